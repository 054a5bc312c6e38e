package job

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/trace"
)

// desk answers updates in memory and keeps their states; virtual time and real connections do not go together.
type desk struct {
	answer func(coordinator.Update) (coordinator.UpdateResult, error)

	mu     sync.Mutex
	states []coordinator.JobState
}

func (d *desk) PatchTrace(context.Context, *coordinator.Job, []byte, int64, bool) (coordinator.PatchResult, error) {
	return coordinator.PatchResult{}, errors.New("nobody is here")
}

func (d *desk) UpdateJob(_ context.Context, _ *coordinator.Job, u coordinator.Update) (coordinator.UpdateResult, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.states = append(d.states, u.State)
	return d.answer(u)
}

// later is an engine that comes after a while.
type later time.Duration

func (l later) Engine(ctx context.Context) (Engine, error) {
	if err := pause(ctx, time.Duration(l)); err != nil {
		return Engine{}, err
	}
	return Engine{Machine: "auto-1"}, nil
}

func (later) Broken(error) {}

func TestAccept(t *testing.T) {
	const pending, running = coordinator.JobPending, coordinator.JobRunning
	reply := func(s coordinator.ReplyState, err error) func(coordinator.Update) (coordinator.UpdateResult, error) {
		return func(coordinator.Update) (coordinator.UpdateResult, error) {
			return coordinator.UpdateResult{State: s}, err
		}
	}
	at := func(state coordinator.JobState, s coordinator.ReplyState) func(coordinator.Update) (coordinator.UpdateResult, error) {
		return func(u coordinator.Update) (coordinator.UpdateResult, error) {
			if u.State == state {
				return coordinator.UpdateResult{State: s}, nil
			}
			return coordinator.UpdateResult{}, nil
		}
	}
	away := &coordinator.Error{Err: errors.New("connection refused")}
	after := func(calls int, s coordinator.ReplyState) func(coordinator.Update) (coordinator.UpdateResult, error) {
		return func(coordinator.Update) (coordinator.UpdateResult, error) {
			if calls--; calls >= 0 {
				return coordinator.UpdateResult{State: coordinator.ReplyFailed}, away
			}
			return coordinator.UpdateResult{State: s}, nil
		}
	}
	for _, tt := range []struct {
		name     string
		wait     time.Duration
		stop     time.Duration // the agent is told to stop then
		answer   func(coordinator.Update) (coordinator.UpdateResult, error)
		accepted bool
		err      error
		states   []coordinator.JobState
		took     time.Duration
	}{
		{name: "at once", answer: reply(coordinator.ReplyOK, nil), accepted: true, states: []coordinator.JobState{running}},
		{name: "kept pending", wait: 100 * time.Second, answer: reply(coordinator.ReplyOK, nil), accepted: true, states: []coordinator.JobState{pending, pending, pending, running}, took: 100 * time.Second},
		{name: "given up while pending", wait: time.Hour, answer: at(pending, coordinator.ReplyAbort), err: errAborted, states: []coordinator.JobState{pending}, took: 30 * time.Second},
		{name: "canceled while pending", wait: time.Hour, answer: at(pending, coordinator.ReplyCancel), accepted: true, err: errCanceled, states: []coordinator.JobState{pending, running}, took: 30 * time.Second},
		{name: "given up before it runs", answer: reply(coordinator.ReplyAbort, nil), err: errAborted, states: []coordinator.JobState{running}},
		{name: "canceled before it runs", answer: reply(coordinator.ReplyCancel, nil), accepted: true, err: errCanceled, states: []coordinator.JobState{running}},
		{name: "another runner has it", answer: reply(coordinator.ReplyFailed, coordinator.ErrConflict), err: errAborted, states: []coordinator.JobState{running}},
		{name: "a coordinator that is away", answer: reply(coordinator.ReplyFailed, away), accepted: true, states: slices.Repeat([]coordinator.JobState{running}, 16), took: 115500 * time.Millisecond},
		{name: "away for a moment", answer: after(3, coordinator.ReplyOK), accepted: true, states: []coordinator.JobState{running, running, running, running}, took: 3500 * time.Millisecond},
		{name: "given up while it was away", answer: after(1, coordinator.ReplyAbort), err: errAborted, states: []coordinator.JobState{running, running}, took: 500 * time.Millisecond},
		{name: "interrupted while it is away", stop: time.Second, answer: reply(coordinator.ReplyFailed, away), accepted: true, err: errStop, states: []coordinator.JobState{running, running, running}, took: time.Second},
		{name: "a refusal", answer: reply(coordinator.ReplyFailed, &coordinator.Error{Status: 400}), accepted: true, states: []coordinator.JobState{running}},
		{name: "interrupted while waiting", wait: time.Hour, stop: 70 * time.Second, answer: reply(coordinator.ReplyOK, nil), accepted: true, err: errStop, states: []coordinator.JobState{pending, pending, running}, took: 70 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				if tt.stop > 0 {
					defer time.AfterFunc(tt.stop, func() { cancel(errStop) }).Stop()
				}
				d := &desk{answer: tt.answer}
				r := newRun(Params{Job: &coordinator.Job{ID: 1}, Runner: &config.Runner{}, Client: d, Engines: later(tt.wait)})
				began := time.Now()
				accepted, err := r.accept(ctx, t.Context())
				if accepted != tt.accepted || !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
					t.Errorf("got %v, %v; want %v, %v", accepted, err, tt.accepted, tt.err)
				}
				if !slices.Equal(d.states, tt.states) {
					t.Errorf("told %v, want %v", d.states, tt.states)
				}
				if took := time.Since(began); took != tt.took {
					t.Errorf("took %s, want %s", took, tt.took)
				}
			})
		})
	}
}

var errStop = errors.New("terminated")

func TestCacheKey(t *testing.T) {
	for _, tt := range []struct {
		key, want string
		fails     bool
	}{
		{key: "k", want: "k"}, {key: "a/b-1", want: "a/b-1"}, {key: "a/../b", want: "b"}, {key: `a\b`, want: "a/b"}, {key: "a%2f%2E%2e%2Fb ", want: "b"},
		{key: "..", fails: true}, {key: "%2e%2e/", fails: true}, {key: "/", fails: true}, {key: "  ", fails: true}, {key: "../../etc", want: "etc"},
	} {
		r := newRun(Params{Job: &coordinator.Job{ID: 1, Git: coordinator.GitInfo{RepoURL: "http://h/g/p.git"}}, Runner: &config.Runner{}, Client: &desk{}})
		tr, err := trace.New(trace.Options{Job: r.p.Job, Client: r.p.Client, Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		r.trace = tr
		got, err := r.cacheKey(tt.key)
		if got != tt.want || (err != nil) != tt.fails {
			t.Errorf("%q: got %q, %v; want %q", tt.key, got, err, tt.want)
		}
		if err == nil && r.cacheArchive(got).File != "/cache/g/p/"+tt.want+"/cache.zip" {
			t.Errorf("%q: archive %s", tt.key, r.cacheArchive(got).File)
		}
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestInterpolate(t *testing.T) {
	input := func(key, content string, sensitive bool) coordinator.Input {
		in := coordinator.Input{Key: key}
		in.Value.Content, in.Value.Sensitive = []byte(content), sensitive
		return in
	}
	original := coordinator.Job{
		Inputs: []coordinator.Input{input("s", `"text"`, false), input("n", "7", false), input("hidden", `"x"`, true)},
		Steps:  []coordinator.Step{{Name: "script", Script: []string{"a ${{ job.inputs.s }}-${{job.inputs.n}}"}}, {Name: "release", Script: []string{"${{ job.inputs.s }}"}}},
		Cache:  []coordinator.Cache{{Key: "k-${{ job.inputs.n }}"}},
	}
	job := original
	if err := interpolate(&job); err != nil {
		t.Fatal(err)
	}
	if job.Steps[0].Script[0] != "a text-7" || job.Steps[1].Script[0] != "${{ job.inputs.s }}" || job.Cache[0].Key != "k-7" {
		t.Errorf("got %+v", job)
	}
	if original.Steps[0].Script[0] == job.Steps[0].Script[0] || original.Cache[0].Key == job.Cache[0].Key {
		t.Error("the payload's own slices were changed")
	}
	for _, name := range []string{"hidden", "unknown"} {
		job = original
		job.Image = &coordinator.Image{Name: "${{ job.inputs." + name + " }}"}
		if err := interpolate(&job); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
