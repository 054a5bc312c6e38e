package docker_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/millwright-ci/millwright/agent/executor"
	"github.com/millwright-ci/millwright/agent/executor/docker"
	"github.com/millwright-ci/millwright/agent/executor/docker/dockertest"
)

// Another executor goes on where the first one left: in the middle of a stage, after its end, and before its start.
func TestAttach(t *testing.T) {
	for _, tt := range []struct {
		name, script string
		wait         string // for these words before the executor leaves
		ended        bool   // wait for its end before the next one comes
	}{
		{"in the middle", "for i in 1 2 3 4 5 6; do echo line $i; echo err $i >&2; sleep 0.3; done; exit 3", "line 2\n", false},
		{"when it has ended", "for i in 1 2 3 4 5 6; do echo line $i; echo err $i >&2; done; sleep 0.4; exit 3", "line 1\n", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var options docker.Options
			first := build(t, func(o *docker.Options) { o.Flags.NetworkPerBuild = true; options = *o })
			options.Console = first.console
			if _, err := first.Prepare(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, _, err := first.script(t.Context(), executor.Build, "echo of an earlier stage; touch /kept"); err != nil {
				t.Fatal(err)
			}
			ctx, leave := context.WithCancelCause(t.Context())
			var from executor.Start
			out := &signalWriter{when: tt.wait, then: func() { leave(executor.ErrLeft) }}
			stage := executor.Stage{Name: "test", Place: executor.Build, Script: []byte(tt.script), Stdout: out, Stderr: &bytes.Buffer{}}
			stage.Starting = func(s executor.Start) { from = s }
			if err := first.Run(ctx, stage); err != executor.ErrLeft {
				t.Fatalf("got %v, want %v", err, executor.ErrLeft)
			}
			options.Handle = first.Handle()
			first.Leave()

			second := build(t, func(o *docker.Options) { *o = options })
			second.label = first.label
			if tt.ended {
				waitEnded(t, from.Container)
			}
			if err := second.Resume(t.Context()); err != nil {
				t.Fatal(err)
			}
			var stdout, stderr bytes.Buffer
			stage.Stdout, stage.Stderr = &stdout, &stderr
			started, err := second.Attach(t.Context(), stage, from, executor.Position{})
			if !started || err == nil || err.Error() != "exit code 3" {
				t.Errorf("started %v, %v", started, err)
			}
			var want strings.Builder
			for i := 1; i <= 6; i++ {
				fmt.Fprintf(&want, "line %d\n", i)
			}
			if stdout.String() != want.String() || stderr.String() != strings.ReplaceAll(want.String(), "line", "err") {
				t.Errorf("got %q and %q", stdout.String(), stderr.String())
			}
			last := executor.Start{Container: from.Container, StartedAt: startedAt(t, from.Container)}
			if started, err := second.Attach(t.Context(), stage, last, executor.Position{}); started || err != nil {
				t.Errorf("before its start: %v, %v", started, err)
			}
			if got, _, err := second.script(t.Context(), executor.Build, "ls /kept"); err != nil || got != "/kept\n" {
				t.Errorf("the next stage: %q, %v", got, err)
			}
			if strings.Count(first.console.String(), "Using Docker executor") != 1 {
				t.Errorf("said twice:\n%s", first.console)
			}
		})
	}
}

// What an interrupted preparation has made is removed by the next executor, which knows no more than the stem.
func TestResumePreparation(t *testing.T) {
	var options docker.Options
	first := build(t, func(o *docker.Options) { o.Flags.NetworkPerBuild = true; options = *o })
	options.Handle, options.Console = first.Handle(), first.console
	if _, err := first.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := first.script(t.Context(), executor.Build, "true"); err != nil {
		t.Fatal(err)
	}
	first.Leave()
	second := build(t, func(o *docker.Options) { *o = options })
	second.label = first.label // its clean-up checks that nothing is left
	if err := second.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// waitEnded waits for a container's end.
func waitEnded(t *testing.T, id string) {
	t.Helper()
	status, failed := dockertest.Engine(t).ContainerWait(t.Context(), id, container.WaitConditionNotRunning)
	select {
	case <-status:
	case err := <-failed:
		t.Fatal(err)
	}
}

func startedAt(t *testing.T, id string) time.Time {
	t.Helper()
	info, err := dockertest.Engine(t).ContainerInspect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	at, err := time.Parse(time.RFC3339Nano, info.State.StartedAt)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
