package docker_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/millwright-ci/millwright/agent/executor"
	"github.com/millwright-ci/millwright/agent/executor/docker"
)

const (
	lastWord = "\x1ethe end"
	// sayIt says it on both streams.
	sayIt = "; printf '%s\\n' '" + lastWord + "'; printf '%s\\n' '" + lastWord + "' >&2"
	// untilTold waits for tell.
	untilTold = "; while [ ! -e /builds/told ]; do sleep 0.1; done"
	tell      = "touch /builds/told"
)

// A script that has said its last word is over, whatever its container still does, and the next one begins when that has ended.
func TestLastWord(t *testing.T) {
	t.Parallel()
	var options docker.Options
	first := build(t, func(o *docker.Options) { options = *o })
	options.Console = first.console
	if _, err := first.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	stage := executor.Stage{Name: "test", Place: executor.Helper, LastWord: lastWord}
	run := func(ctx context.Context, j *job, script string) (stdout, stderr string, err error) {
		var out, errs bytes.Buffer
		s := stage
		s.Script, s.Stdout, s.Stderr = []byte(script), &out, &errs
		err = j.Run(ctx, s)
		return out.String(), errs.String(), err
	}
	want := func(what string, got, errs string, err error, wantOut, wantErr string) {
		t.Helper()
		if got != wantOut || errs != wantErr || err != nil {
			t.Errorf("%s: %q and %q, %v; want %q and %q", what, got, errs, err, wantOut, wantErr)
		}
	}
	out, errs, err := run(t.Context(), first, "echo out; echo err >&2"+sayIt+untilTold+"; echo late")
	want("with its last word", out, errs, err, "out\n", "err\n")
	if !first.containers(t)["predefined"].State.Running {
		t.Error("the stage was over when its container had ended")
	}
	out, errs, err = first.script(t.Context(), executor.Build, tell)
	want("in the other container", out, errs, err, "", "")
	out, errs, err = run(t.Context(), first, "echo second; echo "+lastWord+" more; printf '\x1ethe'")
	want("what is not quite it", out, errs, err, "second\n"+lastWord+" more\n\x1ethe", "")
	out, errs, err = run(t.Context(), first, "echo third"+sayIt+"; sleep 3")
	want("ends slowly", out, errs, err, "third\n", "")
	out, errs, err = run(t.Context(), first, "echo fourth"+sayIt+"; sleep 3")
	want("ends slowly, once more", out, errs, err, "fourth\n", "")

	// Another agent's, which does not know how far this one has come.
	options.Handle = first.Handle()
	first.Leave()
	second := build(t, func(o *docker.Options) { *o = options })
	second.label = first.label
	if err := second.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	out, errs, err = run(t.Context(), second, "echo fifth")
	want("of the next agent", out, errs, err, "fifth\n", "")

	// One that takes up a stage finds the word in the engine's log.
	ctx, leave := context.WithCancelCause(t.Context())
	var from executor.Start
	s := stage
	s.Script, s.Stderr = []byte("rm /builds/told; echo begun"+untilTold+"; echo done"+sayIt), &bytes.Buffer{}
	s.Stdout, s.Starting = &signalWriter{when: "begun\n", then: func() { leave(executor.ErrLeft) }}, func(at executor.Start) { from = at }
	if err := second.Run(ctx, s); err != executor.ErrLeft {
		t.Fatalf("got %v, want %v", err, executor.ErrLeft)
	}
	second.Leave()
	third := build(t, func(o *docker.Options) { *o = options })
	third.label = first.label
	if err := third.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	out, errs, err = third.script(t.Context(), executor.Build, tell)
	want("in the other container", out, errs, err, "", "")
	var stdout, stderr bytes.Buffer
	s.Stdout, s.Stderr = &stdout, &stderr
	if started, err := third.Attach(t.Context(), s, from, executor.Position{}); !started || err != nil {
		t.Errorf("attach: %v, %v", started, err)
	}
	want("taken up", stdout.String(), stderr.String(), nil, "begun\ndone\n", "")
}
