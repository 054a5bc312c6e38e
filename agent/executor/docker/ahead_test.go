package docker_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"

	"github.com/millwright-ci/millwright/agent/executor"
	"github.com/millwright-ci/millwright/agent/executor/docker"
	"github.com/millwright-ci/millwright/agent/executor/docker/dockertest"
)

// The first scripts of the tests below.
const (
	firstHelper = "umask 0000; echo sources >/builds/f; hostname"
	firstBuild  = "cat /builds/f; hostname; env | grep MILLWRIGHT; id -u"
)

// longBuild is too long for a variable.
var longBuild = firstBuild + "\n#" + strings.Repeat("x", 200<<10)

// ahead starts an executor that is told its first scripts.
func ahead(t *testing.T, change func(*docker.Options)) *job {
	t.Helper()
	return start(t, func(o *docker.Options) { tellFirst(o, change) })
}

func tellFirst(o *docker.Options, change func(*docker.Options)) {
	o.First = func(executor.Ready) docker.First {
		return docker.First{Helper: []byte(firstHelper), HelperPlain: true, Build: []byte(firstBuild), HelperEnds: true}
	}
	if change != nil {
		change(o)
	}
}

// containers returns the job's containers by their kind.
func (j *job) containers(t *testing.T) map[string]container.InspectResponse {
	t.Helper()
	api := dockertest.Engine(t)
	list, err := api.ContainerList(t.Context(), container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", j.label))})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]container.InspectResponse{}
	for _, c := range list {
		if out[c.Labels["com.gitlab.gitlab-runner.type"]], err = api.ContainerInspect(t.Context(), c.ID); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// What is done ahead shows in nothing but the time that it takes, and is left undone where it would show.
func TestAhead(t *testing.T) {
	for _, tt := range []struct {
		name   string
		lines  []string // of the build image's Dockerfile
		script string   // of the build container; "" for firstBuild
		change func(*docker.Options)
		user   string
		held   bool // the build container waits while the helper works
		shared bool // and the helper has its network
	}{
		{name: "all of it", user: "0", held: true, shared: true},
		{name: "network of the job's own", change: func(o *docker.Options) { o.Flags.NetworkPerBuild = true }, user: "0", held: true, shared: true},
		{name: "user without rights", lines: []string{"USER 1000"}, user: "1000", held: true, shared: true},
		{name: "user of the configuration", change: func(o *docker.Options) { o.Config.User = "1001:1001" }, user: "1001", held: true, shared: true},
		{name: "script that is too long", script: longBuild, change: func(o *docker.Options) { o.First = firstOf(longBuild) }, user: "0", held: true, shared: true},
		{name: "another script in the end", change: func(o *docker.Options) { o.First = firstOf("echo never") }, user: "0", held: true, shared: true},
		{name: "lines of somebody else's in the helper's script", change: func(o *docker.Options) { o.First = firstOf(firstBuild) }, user: "0", held: true, shared: true},
		{name: "helper goes on", change: func(o *docker.Options) {
			o.First = func(executor.Ready) docker.First {
				return docker.First{Helper: []byte(firstHelper), Build: []byte(firstBuild)}
			}
		}, user: "0", held: true},
		{name: "sysctls", change: func(o *docker.Options) {
			o.Config.Sysctls = map[string]string{"net.ipv4.ip_unprivileged_port_start": "80"}
		}, user: "0", held: true},
		{name: "entrypoint", lines: []string{`ENTRYPOINT ["/bin/sh", "-c", "exec \"$@\"", "--"]`}, user: "0"},
		{name: "entrypoint that the job clears", lines: []string{`ENTRYPOINT ["/no/such"]`}, change: func(o *docker.Options) { o.Image.Entrypoint = []string{""} }, user: "0", held: true, shared: true},
		{name: "health check", lines: []string{`HEALTHCHECK CMD true`}, user: "0"},
		{name: "working directory among the sources", lines: []string{`WORKDIR /builds/group/project`}, user: "0"},
		{name: "variable for the linker", change: func(o *docker.Options) { o.Env = append(o.Env, "LD_PRELOAD=/builds/group/project/x.so") }, user: "0"},
		{name: "no first scripts", change: func(o *docker.Options) { o.First = nil }, user: "0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			j := ahead(t, func(o *docker.Options) {
				if tt.lines != nil {
					o.Image.Name = dockertest.Busybox(t, tt.lines...)
				}
				if tt.change != nil {
					tt.change(o)
				}
			})
			helper, errs, err := j.script(t.Context(), executor.Helper, firstHelper)
			if err != nil || errs != "" {
				t.Fatalf("helper: %q %q, %v", helper, errs, err)
			}
			c := j.containers(t)
			if held := c["build"].ContainerJSONBase != nil && c["build"].State.Running; held != tt.held {
				t.Errorf("held: %v, want %v", held, tt.held)
			}
			if shared := c["predefined"].HostConfig.NetworkMode.IsContainer(); shared != tt.shared {
				t.Errorf("network shared: %v, want %v", shared, tt.shared)
			}
			script := tt.script
			if script == "" {
				script = firstBuild
			}
			build, errs, err := j.script(t.Context(), executor.Build, script)
			if want := "sources\n" + helper + tt.user + "\n"; err != nil || build != want {
				t.Fatalf("build: %q %q, %v; want the helper's sources, its hostname, no variable of ours, and the user: %q", build, errs, err, want)
			}
			for _, place := range []executor.Place{executor.Build, executor.Helper} {
				if out, errs, err := j.script(t.Context(), place, "cat /builds/f; read x || echo no input"); err != nil || out != "sources\nno input\n" {
					t.Errorf("later, %s: %q %q, %v", place, out, errs, err)
				}
			}
		})
	}
}

func firstOf(build string) func(executor.Ready) docker.First {
	return func(executor.Ready) docker.First {
		return docker.First{Helper: []byte(firstHelper), Build: []byte(build), HelperEnds: true}
	}
}

// A build container that can't be made fails its own stage, not the helper's; one that dies at its gate is started again.
func TestAheadFails(t *testing.T) {
	t.Run("can't be made", func(t *testing.T) {
		j := ahead(t, func(o *docker.Options) { o.Config.PidMode = "container:no-such-container" })
		if out, errs, err := j.script(t.Context(), executor.Helper, firstHelper); err != nil {
			t.Fatalf("helper: %q %q, %v", out, errs, err)
		}
		if _, _, err := j.script(t.Context(), executor.Build, firstBuild); err == nil {
			t.Error("the build container's own stage did not fail")
		}
	})
	t.Run("dies", func(t *testing.T) {
		j := ahead(t, nil)
		if out, errs, err := j.script(t.Context(), executor.Helper, firstHelper); err != nil {
			t.Fatalf("helper: %q %q, %v", out, errs, err)
		}
		if err := dockertest.Engine(t).ContainerKill(t.Context(), j.containers(t)["build"].ID, "KILL"); err != nil {
			t.Fatal(err)
		}
		if out, errs, err := j.script(t.Context(), executor.Helper, "cat /builds/f"); err != nil || out != "sources\n" {
			t.Errorf("helper again: %q %q, %v", out, errs, err)
		}
		if out, errs, err := j.script(t.Context(), executor.Build, firstBuild); err != nil || !strings.Contains(out, "sources") {
			t.Errorf("build: %q %q, %v", out, errs, err)
		}
	})
}

// Another executor opens the gate of a container that waits at it, or of which it isn't known whether it does.
func TestAttachAtGate(t *testing.T) {
	for _, tt := range []struct {
		name    string
		leave   executor.Place // in whose stage the first executor leaves, just before it is started
		opened  bool           // the first executor has come to open the gate
		another string         // the script by then
	}{
		{name: "before the sources", leave: executor.Helper},
		{name: "at the gate", leave: executor.Build},
		{name: "behind the gate", leave: executor.Build, opened: true},
		{name: "another script", leave: executor.Helper, another: "echo another; cat /builds/f"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var options docker.Options
			first := build(t, func(o *docker.Options) { tellFirst(o, nil); options = *o })
			options.Console = first.console
			if _, err := first.Prepare(t.Context()); err != nil {
				t.Fatal(err)
			}
			if tt.leave == executor.Build {
				if out, errs, err := first.script(t.Context(), executor.Helper, firstHelper); err != nil {
					t.Fatalf("helper: %q %q, %v", out, errs, err)
				}
			}
			ctx, leave := context.WithCancelCause(t.Context())
			script := firstBuild
			if tt.leave == executor.Helper {
				script = firstHelper
			}
			var from executor.Start
			out := &signalWriter{when: "sources", then: func() { leave(executor.ErrLeft) }}
			stage := executor.Stage{Name: "test", Place: tt.leave, Script: []byte(script), Stdout: out, Stderr: &bytes.Buffer{}}
			stage.Starting = func(s executor.Start) {
				if from = s; !tt.opened {
					leave(executor.ErrLeft)
				}
			}
			if err := first.Run(ctx, stage); err == nil && !tt.opened || err != nil && !errors.Is(err, executor.ErrLeft) && !errors.Is(err, context.Canceled) {
				t.Fatalf("the first executor: %v", err)
			}
			options.Handle = first.Handle()
			first.Leave()

			second := build(t, func(o *docker.Options) { *o = options })
			second.label = first.label
			if err := second.Resume(t.Context()); err != nil {
				t.Fatal(err)
			}
			var stdout, stderr bytes.Buffer
			stage.Stdout, stage.Stderr, stage.Starting = &stdout, &stderr, nil
			started, err := second.Attach(t.Context(), stage, from, executor.Position{})
			if err != nil || started != (tt.leave == executor.Build) {
				t.Fatalf("started %v, %v: %q %q", started, err, stdout.String(), stderr.String())
			}
			if started && strings.Count(stdout.String(), "sources\n") != 1 {
				t.Errorf("got %q %q", stdout.String(), stderr.String())
			}
			if !started {
				if out, errs, err := second.script(t.Context(), executor.Helper, firstHelper); err != nil {
					t.Fatalf("helper: %q %q, %v", out, errs, err)
				}
				if tt.another != "" {
					script = tt.another
				} else {
					script = firstBuild
				}
				if out, errs, err := second.script(t.Context(), executor.Build, script); err != nil || strings.Count(out, "sources\n") != 1 || strings.Contains(out, "another") != (tt.another != "") {
					t.Fatalf("build: %q %q, %v", out, errs, err)
				}
			}
			if out, errs, err := second.script(t.Context(), executor.Build, "cat /builds/f"); err != nil || out != "sources\n" {
				t.Errorf("the next stage: %q %q, %v", out, errs, err)
			}
		})
	}
}

// What the image has where the sources go does not come among them, as when its container is made after they have been fetched.
func TestImageHasBuilds(t *testing.T) {
	t.Parallel()
	j := ahead(t, func(o *docker.Options) {
		o.Image.Name = dockertest.After(t, dockertest.Busybox(t), "mkdir /builds && echo image >/builds/theirs")
	})
	if _, errs, err := j.script(t.Context(), executor.Helper, firstHelper); err != nil || errs != "" {
		t.Fatalf("helper: %q, %v", errs, err)
	}
	if out, errs, err := j.script(t.Context(), executor.Build, "ls /builds"); err != nil || out != "f\n" {
		t.Errorf("%q %q, %v", out, errs, err)
	}
}
