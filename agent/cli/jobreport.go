package cli

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/millwright-ci/millwright/agent/coordinator/embedded"
)

// jobReport tells people what becomes of jobs. It is safe for concurrent use.
type jobReport struct {
	out     *terminal
	machine func(job int64) string // the machine that a job runs on, "" when it is not known
	over    chan struct{}          // closed when the pipeline has ended and all of it is told

	mu   sync.Mutex // guards what follows
	jobs map[int64]embedded.JobStatus
}

func newJobReport(out *terminal, machine func(int64) string) *jobReport {
	return &jobReport{out: out, machine: machine, over: make(chan struct{}), jobs: map[int64]embedded.JobStatus{}}
}

// event prints what the coordinator reported.
func (r *jobReport) event(e embedded.Event) {
	if e.Pipeline != nil { // the jobs tell it all
		if e.Pipeline.State.Final() {
			close(r.over)
		}
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.jobs[e.Job.ID].State
	r.jobs[e.Job.ID] = e.Job
	if j := e.Job; j.State != before {
		p, text := describeJob(j, r.machine(j.ID))
		if text != "" {
			r.out.line(p, "job", "%s (%s) %s", j.Name, j.Stage, text)
		}
	}
}

func describeJob(j embedded.JobStatus, machine string) (paint, string) {
	took := ""
	if !j.Started.IsZero() && !j.Finished.IsZero() {
		took = " after " + seconds(j.Finished.Sub(j.Started))
	}
	switch j.State {
	case embedded.Running:
		if machine != "" {
			machine = " on " + machine
		}
		return plain, fmt.Sprintf("started%s, %s after it was queued", machine, seconds(j.Started.Sub(j.Queued)))
	case embedded.Canceling:
		return yellow, "is being canceled"
	case embedded.Success:
		return green, "passed" + took
	case embedded.Failed:
		p, text := red, "failed"+took+failure(j)
		if j.AllowFailure {
			p, text = yellow, text+"; it is allowed to fail"
		}
		if j.Retried {
			p, text = yellow, text+"; it is tried again"
		}
		return p, text
	case embedded.Canceled:
		return yellow, "canceled" + took
	case embedded.Skipped:
		return faint, "skipped" + because(j.Why)
	}
	return plain, ""
}

// describePipeline tells what will run.
func describePipeline(s embedded.Summary) string {
	var stages []string
	for _, j := range s.Jobs {
		if !slices.Contains(stages, j.Stage) {
			stages = append(stages, j.Stage)
		}
	}
	return fmt.Sprintf("%d jobs, stages: %s", len(s.Jobs), strings.Join(stages, ", "))
}

func failure(j embedded.JobStatus) string {
	text := ": " + string(j.FailureReason)
	if j.ExitCode != 0 {
		text = fmt.Sprintf(": exit code %d", j.ExitCode)
	}
	if j.Why != "" {
		text += " (" + j.Why + ")"
	}
	return text
}

// now describes the jobs in a few words for a progress line.
func (r *jobReport) now() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	counts := map[embedded.State]int{}
	for _, j := range r.jobs {
		counts[j.State]++
	}
	parts := make([]string, 0, len(counts))
	for s, n := range counts {
		parts = append(parts, fmt.Sprintf("%d %s", n, s))
	}
	sort.Strings(parts)
	if len(parts) == 0 {
		return "no job yet"
	}
	return "jobs: " + strings.Join(parts, ", ")
}

const passed = "passed"

// outcome is a job's end in one word.
func outcome(j embedded.JobStatus) string {
	switch {
	case j.State == embedded.Success:
		return passed
	case j.State == embedded.Failed && j.AllowFailure:
		return "failed (allowed)"
	case j.State == embedded.Failed && j.Retried:
		return "failed (tried again)"
	}
	return string(j.State)
}
