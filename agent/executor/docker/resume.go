package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"

	"github.com/millwright-ci/millwright/agent/executor"
	"github.com/millwright-ci/millwright/agent/wait"
)

// handle is what another agent needs to find what this one made on the engine. Names follow from the job and the stem; the rest is what
// Prepare found out.
type handle struct {
	Stem     string          `json:"stem"`
	Helper   string          `json:"helper,omitempty"` // what containers are created from
	Build    string          `json:"build,omitempty"`
	Network  *networkHandle  `json:"network,omitempty"`
	Services []serviceHandle `json:"services,omitempty"` // in their order
}

type networkHandle struct {
	Name    string `json:"name"`
	ID      string `json:"id"`
	Aliases bool   `json:"aliases"`
}

type serviceHandle struct {
	ID string `json:"id"`
	IP string `json:"ip"`
}

// Handle implements executor.Lasting.
func (e *Executor) Handle() []byte {
	data, _ := json.Marshal(e.handle) // strings: it cannot fail
	return data
}

// remember notes what Prepare found out.
func (e *Executor) remember() {
	e.handle.Helper, e.handle.Build = e.helper.ref, e.build.ref
	e.handle.Network = &networkHandle{Name: e.net.name, ID: e.net.id, Aliases: e.net.aliases}
	for _, s := range e.services {
		e.handle.Services = append(e.handle.Services, serviceHandle{ID: s.id, IP: s.ip})
	}
}

// quiet is a console for what has been said before.
type quiet struct{}

func (quiet) Println(string)   {}
func (quiet) Infoln(string)    {}
func (quiet) Warningln(string) {}
func (quiet) Errorln(string)   {}

// Resume implements executor.Lasting.
func (e *Executor) Resume(ctx context.Context) error {
	e.resumed = true
	console := e.o.Console
	e.o.Console = quiet{}
	err := e.check()
	e.o.Console = console
	if err != nil {
		return err
	}
	h := e.handle
	e.helper.ref, e.build.ref = h.Helper, h.Build
	if h.Network == nil { // Prepare has not come to its end
		return e.awake(ctx)
	}
	e.net = networks{name: h.Network.Name, id: h.Network.ID, aliases: h.Network.Aliases}
	if len(e.services) != len(h.Services) {
		return fmt.Errorf("the job has %d services, and the agent before had started %d", len(e.services), len(h.Services))
	}
	for i, s := range e.services {
		s.id, s.ip = h.Services[i].ID, h.Services[i].IP
		if e.o.ServiceOutput != nil {
			e.followService(s)
		}
	}
	return e.awake(ctx)
}

// awake waits a moment for an engine that does not answer: it may be starting anew, as the agent is.
func (e *Executor) awake(ctx context.Context) error {
	for away := (outage{limit: e.silence()}); ; {
		err := e.ping(ctx)
		if err == nil {
			return e.greet(ctx)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := away.missed(err); err != nil {
			return err
		}
		if err := wait.For(ctx, time.Second); err != nil {
			return err
		}
	}
}

// Attach implements executor.Lasting.
func (e *Executor) Attach(ctx context.Context, s executor.Stage, from executor.Start, at executor.Position) (started bool, err error) {
	if from.Container == "" {
		return false, nil
	}
	now, info, err := e.started(ctx, from)
	if err != nil {
		return true, e.gone(s.Place, fmt.Errorf("stage %s: %w", s.Name, engineErr(err)))
	}
	if now.Container == "" {
		return false, nil
	}
	if at.LogSince.IsZero() {
		at = now
	}
	slot := e.slots[s.Place]
	slot.mu.Lock()
	slot.know(e, info)
	slot.mu.Unlock()
	run := e.newRun(from.Container, s)
	if slot.gated && info.State.Running { // whether the agent before has come to open it is not known
		if err := e.open(ctx, from.Container); err != nil && ctx.Err() == nil {
			return true, engineErr(fmt.Errorf("stage %s: the word to begin: %w", s.Name, err))
		}
	}
	run.noted.Do(func() { run.begin = at })
	if s.Started != nil {
		s.Started(at)
	}
	return true, e.after(ctx, s.Place, run.resume(ctx))
}

// started returns the position of the start that follows from; without a container when there was none. The call that asked for it may
// still be under way at the engine, so it gets a moment.
func (e *Executor) started(ctx context.Context, from executor.Start) (executor.Position, container.InspectResponse, error) {
	for began := time.Now(); ; {
		call, cancel := lasting(ctx) // a job that is stopped has its container stopped, which has to be known
		info, err := e.api.ContainerInspect(call, from.Container)
		cancel()
		if err != nil {
			return executor.Position{}, info, err
		}
		if at, _ := time.Parse(time.RFC3339Nano, info.State.StartedAt); !at.Equal(from.StartedAt) {
			position := executor.Position{Container: from.Container, StartedAt: at}
			if !from.StartedAt.IsZero() { // else all of the log is this start's own
				_, position.LogSince = boundary(info.State.StartedAt, from.EndedAt.Format(time.RFC3339Nano))
			}
			return position, info, nil
		}
		if ctx.Err() != nil || time.Since(began) > settle {
			return executor.Position{}, info, nil
		}
		if err := wait.For(ctx, settle/10); err != nil {
			return executor.Position{}, info, err
		}
	}
}

// lastStart is the container as it is before it is started again.
func (e *Executor) lastStart(ctx context.Context, id string) (executor.Start, error) {
	info, err := e.api.ContainerInspect(ctx, id)
	if err != nil {
		return executor.Start{}, err
	}
	from := executor.Start{Container: id}
	from.StartedAt, _ = time.Parse(time.RFC3339Nano, info.State.StartedAt)
	from.EndedAt, _ = time.Parse(time.RFC3339Nano, info.State.FinishedAt)
	return from, nil
}

// resume is run for a container that has been started: what it wrote comes from the engine's log.
func (r *stageRun) resume(ctx context.Context) error {
	if r.word != nil {
		defer r.word.flush()
	}
	err := r.end(ctx, r.readLog(ctx))
	var exit *executor.ExitError
	if left(ctx) || err != nil && ctx.Err() == nil && !errors.As(err, &exit) {
		return err
	}
	// What it wrote when the follower had gone, because it was stopped or the engine closed the stream early.
	call, cancel := lasting(ctx)
	defer cancel()
	if more := r.copyLog(call, false); more != nil && !errdefs.IsNotFound(more) {
		r.e.o.Log.Warn("the end of a stage's output may be missing", "container", r.id, "error", more)
	}
	return err
}

// Leave implements executor.Lasting.
func (e *Executor) Leave() {
	e.endLife()
	e.background.Wait()
	e.api.Close()
}

// left tells whether ctx ended because the agent hands its jobs over.
func left(ctx context.Context) bool { return errors.Is(context.Cause(ctx), executor.ErrLeft) }

// containerName is the name of a place's container.
func (e *Executor) containerName(place executor.Place) string {
	if place == executor.Build {
		return e.base + "-" + string(buildRole)
	}
	return e.base + "-" + string(helperRole)
}

// nowhere is a container that is not there.
var nowhere = container.InspectResponse{ContainerJSONBase: &container.ContainerJSONBase{}}

// named returns what the engine tells of a container that an agent before may have made; without an id when there is none.
func (e *Executor) named(ctx context.Context, name string) (container.InspectResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	info, err := e.api.ContainerInspect(ctx, name)
	if errdefs.IsNotFound(err) {
		return nowhere, nil
	}
	if err != nil {
		return nowhere, engineErr(err)
	}
	return info, nil
}

// appeared waits for a container whose creation is under way, and otherwise returns why it could not be made.
func (e *Executor) appeared(ctx context.Context, name string, why error) (string, error) {
	for began := time.Now(); time.Since(began) < callTimeout; {
		if info, err := e.named(ctx, name); err != nil || info.ID != "" {
			return info.ID, err
		}
		if err := wait.For(ctx, settle/10); err != nil {
			return "", err
		}
	}
	return "", why
}

// removed calls remove until it has its way. An agent before may have been at it: as long as the engine is removing a container for that
// one, the container's volumes and its network are in use.
func (e *Executor) removed(ctx context.Context, remove func() error) error {
	for began := time.Now(); ; {
		err := remove()
		if err == nil || errdefs.IsNotFound(err) {
			return nil
		}
		if !e.resumed || time.Since(began) > stopGrace || wait.For(ctx, settle/10) != nil {
			return err
		}
	}
}

// findNetwork finds the network of a preparation that an agent before did not finish.
func (e *Executor) findNetwork(ctx context.Context) error {
	if !e.resumed || e.net.id != "" || !e.o.Flags.NetworkPerBuild {
		return nil
	}
	list, err := e.api.NetworkList(ctx, network.ListOptions{Filters: filters.NewArgs(filters.Arg("label", ownLabel+"="+e.own))})
	if err != nil {
		return err
	}
	for _, n := range list {
		e.net.id = n.ID
	}
	return nil
}

var _ executor.Lasting = (*Executor)(nil)
