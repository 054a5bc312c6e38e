package docker

import (
	"context"
	"time"

	"github.com/docker/docker/api/types/container"
)

// terminateAll sends TERM to every process in the container but itself, so that a script's children can tidy up: the engine
// alone would only tell the first one, a shell which waits for them. That shell is told first, so that it does not go on with
// the script's next line when its child ends.
const terminateAll = `kill -TERM 1; for p in /proc/[0-9]*; do p=${p#/proc/}; ` +
	`[ "$p" = 1 ] || [ "$p" = $$ ] || kill -TERM "$p"; done 2>/dev/null; exit 0`

// stop ends what runs in the container: TERM inside, then the engine's TERM and, after the grace, KILL. The container itself
// stays, so that after_script finds the file system as the script left it.
func (r *stageRun) stop(ctx context.Context) {
	if left(ctx) || lost(ctx) {
		return
	}
	call, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.grace+callTimeout)
	defer cancel()
	if r.terminate {
		r.signal(call)
	}
	seconds := int(r.grace / time.Second)
	if err := r.e.api.ContainerStop(call, r.id, container.StopOptions{Timeout: &seconds}); err != nil {
		r.e.o.Log.Warn("a stage's container does not stop; removing it", "container", r.id, "error", err)
		r.e.drop(call, r.id)
	}
}

// signal runs terminateAll inside the container. It is best effort: an image without the tools for it gets the engine's stop.
func (r *stageRun) signal(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	exec, err := r.e.api.ContainerExecCreate(ctx, r.id, container.ExecOptions{User: "0", Cmd: []string{"sh", "-c", terminateAll}})
	if err == nil {
		err = r.e.api.ContainerExecStart(ctx, exec.ID, container.ExecStartOptions{Detach: true})
	}
	if err != nil {
		r.e.o.Log.Debug("TERM inside the container", "container", r.id, "error", err)
	}
}
