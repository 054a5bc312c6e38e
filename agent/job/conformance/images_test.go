package conformance

import (
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/executor/docker/dockertest"
	"github.com/millwright-ci/millwright/agent/job"
	"github.com/millwright-ci/millwright/agent/job/jobtest"
)

// imageRows are about the job's image: what it needs, and which one is allowed.
func imageRows() []row {
	return []row{
		{n: 58, name: "busybox", payload: script([]string{"cat README.md"}), want: []string{"\na project\n"}},
		{n: 59, name: "no shell", run: noShell},
		{n: 60, name: "entrypoint", run: entrypoint(nil, 2)},
		{n: 61, name: "no entrypoint", run: entrypoint([]string{""}, 0)},
		{n: 62, name: "image not allowed", run: notAllowed},
		{n: 69, name: "user", run: user},
		{n: 70, name: "unsupported option", payload: options(`{"docker":{"bogus":1}}`), want: []string{"unsupported executor_opts", "bogus"}, not: []string{"Preparing the"}, reason: coordinator.RunnerSystemFailure, code: 3},
	}
}

func options(raw string) coordinator.Job {
	j := script([]string{"true"})
	j.Image = &coordinator.Image{Name: "x", ExecutorOpts: []byte(raw)}
	return j
}

func noShell(t *testing.T, b *jobtest.Bench) {
	payload := script([]string{"true"})
	payload.Image = &coordinator.Image{Name: dockertest.Bare(t)}
	e := b.Run(t, t.Context(), payload, nil)
	jobtest.CheckTrace(t, e, []string{"ERROR: Job failed (system failure): "}, []string{"$ true"})
	jobtest.CheckEnd(t, e, coordinator.RunnerSystemFailure, 0)
}

// entrypoint runs two stages in an image whose entrypoint says E, and counts how often.
func entrypoint(own []string, want int) func(*testing.T, *jobtest.Bench) {
	return func(t *testing.T, b *jobtest.Bench) {
		payload := script([]string{"echo the script"}, "echo after ran")
		payload.Image = &coordinator.Image{Name: dockertest.Busybox(t, `ENTRYPOINT ["/bin/sh", "-c", "echo E; exec \"$@\"", "entrypoint"]`), Entrypoint: own}
		e := b.Run(t, t.Context(), payload, nil)
		jobtest.CheckTrace(t, e, []string{"\nthe script\n", "\nafter ran\n", "Job succeeded"}, nil)
		if got := strings.Count(e.Trace, "\nE\n"); got != want {
			t.Errorf("the entrypoint ran %d times, want %d:\n%s", got, want, e.Trace)
		}
	}
}

// notAllowed is refused once, not three times, and as what it is.
func notAllowed(t *testing.T, b *jobtest.Bench) {
	payload := script([]string{"true"})
	payload.Image = &coordinator.Image{Name: b.Image}
	e := b.Run(t, t.Context(), payload, func(_ *job.Params, r *config.Runner) {
		r.Docker.Image, r.Docker.AllowedImages = "", []string{"ruby:*"}
	})
	refusal := `The "` + b.Image + `" image is not present on list of allowed images:`
	jobtest.CheckTrace(t, e, []string{"ERROR: " + refusal + "\n- ruby:*\n", "ERROR: Job failed: disallowed image"}, nil)
	jobtest.CheckEnd(t, e, coordinator.ConfigurationError, 0)
	if n := strings.Count(e.Trace, refusal); n != 1 {
		t.Errorf("refused %d times", n)
	}
}

// user runs as one who is not root, on files that the helper has made as root.
func user(t *testing.T, b *jobtest.Bench) {
	payload := script([]string{"id -u", "stat -c '%u %a' README.md src", "echo more >>README.md && touch src/b.txt"})
	payload.Image = &coordinator.Image{Name: b.Image, ExecutorOpts: []byte(`{"docker":{"user":1000}}`)}
	e := b.Run(t, t.Context(), payload, nil)
	jobtest.CheckTrace(t, e, []string{"\n1000\n", "\n0 666\n0 777\n", "Job succeeded"}, nil)
}
