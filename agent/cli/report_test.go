package cli

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/coordinator/embedded"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/supervisor"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

var update = flag.Bool("update", false, "rewrite golden files")

// checkGolden compares got with a file of testdata.
func checkGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got), `go test -update` rewrites it:\n%s", path, diff)
	}
}

// withoutTimes cuts the seconds off the front of each line.
func withoutTimes(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		if i := strings.Index(line, "s  "); i == 7 {
			line = line[i+3:]
		}
		out.WriteString(line)
	}
	return out.String()
}

func decided(target int, reasons map[string]string, order []string, actions ...fleet.Action) fleet.Event {
	d := &fleet.Decision{IdleTarget: target}
	for _, module := range order {
		d.Steps = append(d.Steps, fleet.Step{Module: module, Proposal: abi.Proposal{Reason: reasons[module]}})
		d.Reason = reasons[module]
	}
	return fleet.Event{Decision: d, Actions: actions}
}

func machineEvent(name string, from, to fleet.State, change func(*fleet.MachineEvent)) fleet.Event {
	e := &fleet.MachineEvent{Name: name, From: from, State: to}
	if change != nil {
		change(e)
	}
	return fleet.Event{Machine: e}
}

// TestFleetReport shows each kind of line about machines and scaling.
func TestFleetReport(t *testing.T) {
	var text bytes.Buffer
	r := newFleetReport(newTerminal(&text))
	const one, two, three = "runner-x-exec-1-aaaa1111", "runner-x-exec-2-bbbb2222", "runner-x-exec-3-cccc3333"
	order := []string{"periods", "idlescale"}
	peak := "in the period * * 9-17 * * mon-fri *: IdleCount 2"
	for _, e := range []fleet.Event{
		decided(1, map[string]string{"periods": peak, "idlescale": "0 used × 1 = 0, raised to IdleCountMin 1"}, order, fleet.Action{Kind: fleet.Create}),
		machineEvent(one, "", fleet.Creating, func(e *fleet.MachineEvent) { e.Reason = "0 of 1 wanted are available" }),
		machineEvent(one, fleet.Creating, fleet.Creating, func(e *fleet.MachineEvent) { e.Phase = "insert" }),
		decided(1, map[string]string{"periods": peak, "idlescale": "0 used × 1 = 0, raised to IdleCountMin 1"}, order, fleet.Action{Kind: fleet.Create}), // nothing new
		machineEvent(one, fleet.Creating, fleet.Idle, func(e *fleet.MachineEvent) {
			e.Duration, e.Phases = 4*time.Second, []fleet.PhaseTime{{Phase: "insert", Duration: time.Second}, {Phase: "ssh", Duration: 3 * time.Second}}
		}),
		machineEvent(one, fleet.Idle, fleet.Used, func(e *fleet.MachineEvent) { e.JobID = 7 }),
		decided(2, map[string]string{"periods": peak, "idlescale": "2 used × 1 = 2"}, order, fleet.Action{Kind: fleet.Create}, fleet.Action{Kind: fleet.Create}, fleet.Action{Kind: fleet.Remove}),
		machineEvent(two, "", fleet.Creating, nil),
		machineEvent(one, fleet.Used, fleet.Used, func(e *fleet.MachineEvent) { e.Interrupted, e.Err = true, "the instance is interrupted: price" }),
		machineEvent(two, fleet.Creating, fleet.Creating, func(e *fleet.MachineEvent) { e.Overdue, e.Err = "creating", "it is removed and another one made" }),
		machineEvent(two, fleet.Creating, fleet.Creating, func(e *fleet.MachineEvent) { e.Phase, e.Err = "ssh", "docker: no such image" }),
		machineEvent(two, fleet.Creating, fleet.Removing, func(e *fleet.MachineEvent) { e.Reason = "Failed to create" }),
		machineEvent(two, fleet.Removing, fleet.Removing, func(e *fleet.MachineEvent) { e.Err = "docker: the engine does not answer" }),
		machineEvent(two, fleet.Removing, fleet.Removing, func(e *fleet.MachineEvent) {
			e.Gone, e.Reason, e.Duration = true, "Failed to create", 90*time.Second
		}),
		{Decision: &fleet.Decision{Reason: "idlescale was skipped: trap: unreachable"}},
		machineEvent(three, "", fleet.Idle, func(e *fleet.MachineEvent) { e.Reason = "adopted" }),
	} {
		r.event(e)
	}
	if got := r.of(7); got != "aaaa1111" {
		t.Errorf("job 7 runs on %q", got)
	}
	if got := r.now(); got != "machines: 1 idle, 1 used" {
		t.Errorf("now: %q", got)
	}
	r.end()
	r.event(machineEvent(one, fleet.Used, fleet.Removing, func(e *fleet.MachineEvent) { e.Reason = "shutdown drain" }))
	r.event(machineEvent(one, fleet.Removing, fleet.Removing, func(e *fleet.MachineEvent) { e.Gone, e.Reason = true, "shutdown drain" }))
	text.WriteString(r.summary() + "\n")
	checkGolden(t, "fleet.txt", withoutTimes(text.String()))
}

// aPipeline is one with every outcome, and the events that led to it.
func aPipeline(t *testing.T) ([]embedded.JobStatus, embedded.Summary) {
	t.Helper()
	trace := filepath.Join(t.TempDir(), "trace.log")
	const content = "section_start:1795:step_script\r\x1b[0K\x1b[36;1mExecuting\x1b[0;m\n\x1b[32;1m$ make\x1b[0;m\n10%\r90%\r100%\r\n\nmake: *** No rule\nsection_end:1795:step_script\r\x1b[0K\x1b[31;1mERROR: Job failed: exit code 2\x1b[0;m\n"
	if err := os.WriteFile(trace, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	at := func(s int) time.Time { return time.Date(2026, 11, 21, 12, 0, s, 0, time.UTC) }
	end := func(id int64, name string, state embedded.State, change func(*embedded.JobStatus)) embedded.JobStatus {
		j := embedded.JobStatus{ID: id, Name: name, Stage: "test", State: state, Queued: at(0), Started: at(int(id)), Finished: at(30), TraceFile: "/state/" + name + ".log"}
		if change != nil {
			change(&j)
		}
		return j
	}
	failed := func(code int, reason coordinator.FailureReason) func(*embedded.JobStatus) {
		return func(j *embedded.JobStatus) { j.ExitCode, j.FailureReason = code, reason }
	}
	jobs := []embedded.JobStatus{
		end(1, "unit", embedded.Success, nil),
		end(2, "lint", embedded.Failed, func(j *embedded.JobStatus) {
			failed(2, coordinator.ScriptFailure)(j)
			j.TraceFile = trace
		}),
		end(3, "spelling", embedded.Failed, func(j *embedded.JobStatus) { failed(1, coordinator.ScriptFailure)(j); j.AllowFailure = true }),
		end(4, "flaky", embedded.Failed, func(j *embedded.JobStatus) { failed(0, coordinator.RunnerSystemFailure)(j); j.Retried = true }),
		end(5, "slow", embedded.Failed, func(j *embedded.JobStatus) {
			failed(0, embedded.StuckOrTimeout)(j)
			j.Why = "the runner was silent for 1h"
		}),
		end(6, "stopped", embedded.Canceled, nil),
		end(7, "page", embedded.Skipped, func(j *embedded.JobStatus) {
			j.Why, j.Started = "lint failed", time.Time{}
		}),
	}
	return jobs, embedded.Summary{State: embedded.Failed, Jobs: jobs}
}

// TestJobReport shows each kind of line about jobs.
func TestJobReport(t *testing.T) {
	var text bytes.Buffer
	r := newJobReport(newTerminal(&text), func(id int64) string { return map[int64]string{1: "aaaa1111"}[id] })
	if got := r.now(); got != "no job yet" {
		t.Errorf("now: %q", got)
	}
	jobs, summary := aPipeline(t)
	for _, j := range jobs {
		for _, s := range []embedded.State{embedded.Created, embedded.Queued, embedded.Pending, embedded.Running} {
			before := j
			before.State, before.Finished = s, time.Time{}
			if j.Started.IsZero() && s == embedded.Running {
				continue
			}
			r.event(embedded.Event{Job: before})
			r.event(embedded.Event{Job: before}) // a change that is none of the state
		}
		if j.State == embedded.Canceled {
			before := j
			before.State = embedded.Canceling
			r.event(embedded.Event{Job: before})
		}
		r.event(embedded.Event{Job: j})
	}
	r.event(embedded.Event{Pipeline: &embedded.Summary{State: embedded.Running}})
	select {
	case <-r.over:
		t.Error("over too early")
	default:
	}
	r.event(embedded.Event{Pipeline: &summary})
	<-r.over
	text.WriteString(r.now() + "\n" + describePipeline(summary) + "\n")
	checkGolden(t, "jobs.txt", withoutTimes(text.String()))
}

func TestSummary(t *testing.T) {
	_, summary := aPipeline(t)
	var text bytes.Buffer
	printSummary(&text, summary)
	got := strings.ReplaceAll(text.String(), summary.Jobs[1].TraceFile, "/state/lint.log")
	checkGolden(t, "summary.txt", got)
}

func TestMachineTable(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	var text bytes.Buffer
	a := newApp("millwright", &text, &text)
	if err := a.printMachines([]supervisor.Machine{
		{Name: "auto-1", Runner: "docker machines", Driver: "docker", State: fleet.Used, Address: "10.0.0.7", CreatedAt: now.Add(-90 * time.Second), UsedCount: 3, JobID: 42, OtherJobs: []int64{43}},
		{Name: "auto-2", Runner: "docker machines", Driver: "docker", State: fleet.Removing, CreatedAt: now.Add(-26 * time.Hour), Reason: "Too many builds"},
		{Name: "auto-3", Runner: "docker machines", Driver: "google", State: fleet.Creating, Phase: "boot", CreatedAt: now.Add(-20 * time.Second)},
		{Name: "auto-4", Runner: "docker machines", Driver: "google", State: fleet.Idle, Cordoned: true, CreatedAt: now.Add(-20 * time.Second)},
	}, now); err != nil {
		t.Fatal(err)
	}
	if err := a.printMachines(nil, now); err != nil {
		t.Fatal(err)
	}
	checkGolden(t, "machines.txt", text.String())
}

// Colours are for terminals; a reader that goes away is told of once.
func TestTerminal(t *testing.T) {
	var text bytes.Buffer
	out := newTerminal(&text)
	out.color = true
	out.line(green, "job", "passed")
	out.line(red, "job", "failed")
	if got := withoutTimes(text.String()); got != "\x1b[32mjob      \x1b[0m passed\n\x1b[31mjob      \x1b[0m \x1b[31mfailed\x1b[0m\n" {
		t.Errorf("%q", got)
	}
	told := 0
	gone := newTerminal(failingWriter{})
	gone.broken = func(err error) { told++ }
	gone.line(plain, "a", "b")
	gone.raw("c")
	if told != 1 {
		t.Errorf("told %d times", told)
	}
	for d, want := range map[time.Duration]string{
		0: "0.0 s", 1234 * time.Millisecond: "1.2 s", 42 * time.Second: "42 s", 119 * time.Second: "119 s", 200*time.Second + 1: "3m20s",
	} {
		if got := seconds(d); got != want {
			t.Errorf("seconds(%s) = %q, want %q", d, got, want)
		}
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }
