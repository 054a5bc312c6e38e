package job_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/job"
	"github.com/millwright-ci/millwright/agent/job/jobtest"
)

// spot is a machine that its provider can take back: at once, or once it is asked.
type spot struct {
	soon    bool // it has said so already
	asked   bool // it says so when it is asked
	suspect sync.Once
	notice  chan struct{}
}

func (s *spot) Engine(context.Context) (job.Engine, error) {
	if s.soon {
		close(s.notice)
	}
	return job.Engine{Machine: "auto-1"}, nil
}

func (s *spot) Broken(error) {}

func (s *spot) Suspect() {
	if s.asked {
		s.suspect.Do(func() { close(s.notice) })
	}
}

func (s *spot) Gone(ctx context.Context) error { return s.Interrupted(ctx) }

func (s *spot) Interrupted(ctx context.Context) error {
	select {
	case <-s.notice:
		return errors.New("the instance is interrupted: price")
	case <-ctx.Done():
		return nil
	}
}

// A job whose machine is taken back fails for a reason that GitLab retries it for, and its trace says what happened.
func TestTakenBack(t *testing.T) {
	const told = "The provider takes the machine auto-1 back (the instance is interrupted: price)"
	const blamed = "ERROR: Job failed (system failure): the provider took the machine auto-1 back (the instance is interrupted: price): "
	for _, tt := range []struct {
		name   string
		spot   *spot
		script string
		reason coordinator.FailureReason
		code   int
		want   []string
		not    []string
	}{
		{"told before it fails", &spot{soon: true}, "sleep 1; exit 3", coordinator.RunnerSystemFailure, 0, []string{told, blamed}, nil},
		{"killed, and told when asked", &spot{asked: true}, "exit 137", coordinator.RunnerSystemFailure, 0, []string{blamed}, nil},
		{"killed by itself", &spot{}, "exit 137", coordinator.ScriptFailure, 137, nil, []string{"provider"}},
		{"told, and it comes to its end", &spot{soon: true}, "sleep 1", "", 0, []string{told, "Job succeeded"}, []string{blamed}},
		{"not told", &spot{asked: true}, "exit 3", coordinator.ScriptFailure, 3, nil, []string{"provider"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := jobtest.New(t)
			machine := tt.spot
			machine.notice = make(chan struct{})
			e := b.Run(t, t.Context(), jobtest.Script([]string{tt.script}), func(p *job.Params, _ *config.Runner) { p.Engines = machine })
			jobtest.CheckTrace(t, e, tt.want, tt.not)
			if wasBack := tt.spot.soon || tt.reason == coordinator.RunnerSystemFailure; e.Broken != wasBack {
				t.Errorf("broken: %t", e.Broken)
			}
			e.Broken = false
			jobtest.CheckEnd(t, e, tt.reason, tt.code)
		})
	}
}
