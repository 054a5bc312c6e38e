package job_test

import (
	"context"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/executor"
	"github.com/millwright-ci/millwright/agent/job"
	"github.com/millwright-ci/millwright/agent/job/jobtest"
)

// handOver is the payload of a job with all kinds of stages.
func handOver(b *jobtest.Bench) coordinator.Job {
	j := jobtest.With(jobtest.Script([]string{"for i in 1 2 3 4 5 6; do echo out $i; echo err $i >&2; sleep 0.1; done; mkdir -p deps; date >deps/f", "ping -c1 -W2 db >/dev/null"}, "echo after $CI_JOB_STATUS"),
		"FF_NETWORK_PER_BUILD", "true", "GIT_STRATEGY", "clone")
	j.Services = []coordinator.Image{{Name: b.Image, Alias: "db", Command: []string{"sleep", "1000"}}}
	j.Cache = []coordinator.Cache{{Key: "k", Paths: []string{"deps"}}}
	return jobtest.Archived(j, coordinator.Artifact{Paths: []string{"deps"}})
}

// A job that is handed over whenever something begins goes on as if nothing had been.
func TestHandOver(t *testing.T) {
	b := jobtest.New(t)
	volumes := func(_ *job.Params, r *config.Runner) { r.Docker.Volumes = []string{"/cache"} }
	_ = b.Run(t, t.Context(), handOver(b), volumes) // leaves a cache to the others
	whole := b.Run(t, t.Context(), handOver(b), volumes)
	jobtest.CheckTrace(t, whole, []string{"\nafter success\n", "Job succeeded"}, nil)

	var mu sync.Mutex
	seen := map[string]bool{}
	agents := 0
	parts := b.Run(t, t.Context(), handOver(b), func(p *job.Params, r *config.Runner) {
		volumes(p, r)
		p.Keep = filepath.Join(t.TempDir(), "job")
		if err := (&job.Record{Job: p.Job, Runner: r}).Save(p.Keep); err != nil {
			t.Fatal(err)
		}
		for {
			agents++
			ctx, leave := context.WithCancelCause(t.Context())
			next := *p
			next.OnState = func(s job.State) {
				mu.Lock()
				defer mu.Unlock()
				at := s.Stage
				if s.Container != "" {
					at += " started"
				}
				if !seen[at] {
					seen[at] = true
					leave(executor.ErrLeft)
				}
			}
			if agents > 60 {
				t.Fatal("the job never ends")
			}
			if len(seen) == 14 { // six stages, which begin and start, and two of preparation, which only begin; the bench runs the last part
				*p = next
				p.OnState = nil
				leave(nil)
				return
			}
			kept, err := job.Load(p.Keep)
			if err != nil {
				t.Fatal(err)
			}
			next.Job = kept.Job
			res := job.Run(ctx, next)
			leave(nil)
			if !res.Left {
				t.Fatalf("agent %d ended the job: %+v; seen %v", agents, res, seen)
			}
		}
	})
	t.Logf("%d agents had the job: %v", agents, seen)
	jobtest.CheckTrace(t, parts, []string{"\nafter success\n", "Job succeeded"}, nil)
	if got, want := calm(parts.Trace), calm(whole.Trace); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	jobtest.CheckUploads(t, parts, 1)
}

// changing is what differs from job to job.
var changing = regexp.MustCompile(`\d+\.\d+\.\d+\.\d+|section_(start|end):\d+|[0-9a-f]{7,}|\d+(\.\d+)? ?(ms|B|KB|s)\b|id=\d+|job-\d+|job=\d+|(?m)^.*(The agent was started anew meanwhile|Using Docker executor with).*\n`)

// calm is a trace without what differs, its lines sorted: stages write on two streams, and the preparation does several things at once.
func calm(trace string) string {
	lines := strings.Split(changing.ReplaceAllString(trace, "#"), "\n")
	for i := range lines {
		lines[i] = strings.TrimLeft(lines[i], "#") // a section's mark may stand before either of two lines
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
