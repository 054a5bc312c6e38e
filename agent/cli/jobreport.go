package cli

import (
	"fmt"
	"sort"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/millwright-ci/millwright/agent/coordinator/embedded"
)

// jobReport tells people what becomes of jobs. It is safe for concurrent use.
type jobReport struct {
	out *terminal

	mu   sync.Mutex // guards what follows
	jobs map[int64]embedded.JobStatus
}

func newJobReport(out *terminal) *jobReport {
	return &jobReport{out: out, jobs: map[int64]embedded.JobStatus{}}
}

// event prints what the coordinator reported.
func (r *jobReport) event(e embedded.Event) {
	if e.Pipeline != nil {
		return // the jobs tell it all
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.jobs[e.Job.ID].State
	r.jobs[e.Job.ID] = e.Job
	if j := e.Job; j.State != before {
		p, text := describeJob(j)
		if text != "" {
			r.out.line(p, "job", "%s (%s) %s", j.Name, j.Stage, text)
		}
	}
}

func describeJob(j embedded.JobStatus) (paint, string) {
	took := ""
	if !j.Started.IsZero() && !j.Finished.IsZero() {
		took = " after " + seconds(j.Finished.Sub(j.Started))
	}
	switch j.State {
	case embedded.Running:
		return plain, fmt.Sprintf("started; %s after it was queued", seconds(j.Started.Sub(j.Queued)))
	case embedded.Canceling:
		return yellow, "is being canceled"
	case embedded.Success:
		return green, "passed" + took
	case embedded.Failed:
		p, text := red, "failed"+took+failure(j)
		if j.AllowFailure {
			p, text = yellow, text+"; it is allowed to"
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

func failure(j embedded.JobStatus) string {
	text := ": " + string(j.FailureReason)
	if j.ExitCode != 0 {
		text += fmt.Sprintf(", exit code %d", j.ExitCode)
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
	return "jobs: " + strings.Join(parts, ", ")
}

// outcome is a job's end in one word.
func outcome(j embedded.JobStatus) string {
	switch {
	case j.State == embedded.Success:
		return "passed"
	case j.State == embedded.Failed && j.AllowFailure:
		return "failed, allowed"
	case j.State == embedded.Failed && j.Retried:
		return "failed, tried again"
	}
	return string(j.State)
}

// summary prints the pipeline's end and returns errSilent unless it passed.
func (e *execution) summary() error {
	s := e.server.Summary()
	counts := map[string]int{}
	var waits []time.Duration
	e.out.raw("\n")
	w := tabwriter.NewWriter(e.out.w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "JOB\tSTAGE\tOUTCOME\tQUEUED\tRAN\tTRACE")
	for _, j := range s.Jobs {
		counts[outcome(j)]++
		queued, ran := "-", "-"
		if !j.Started.IsZero() {
			waits = append(waits, j.Started.Sub(j.Queued))
			queued = seconds(j.Started.Sub(j.Queued))
		}
		if !j.Started.IsZero() && !j.Finished.IsZero() {
			ran = seconds(j.Finished.Sub(j.Started))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", j.Name, j.Stage, outcome(j), queued, ran, j.TraceFile)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	created, removed := e.machines.summary()
	e.out.raw("\njobs: %s\nmachines: %d created, %d removed\n", sumUp(counts), created, removed)
	if len(waits) > 0 {
		sort.Slice(waits, func(i, k int) bool { return waits[i] < waits[k] })
		e.out.raw("from queued to started: %s at the median, %s at most\n", seconds(waits[len(waits)/2]), seconds(waits[len(waits)-1]))
	}
	for _, v := range e.server.Violations() {
		e.out.raw("protocol violation: %s\n", v)
	}
	e.out.raw("the pipeline %s after %s\n", pipelineOutcome(s), seconds(time.Since(e.out.start)))
	if s.State != embedded.Success {
		return errSilent
	}
	return nil
}

func pipelineOutcome(s embedded.Summary) string {
	switch s.State {
	case embedded.Success:
		return "passed"
	case embedded.Running:
		return "was stopped"
	}
	return string(s.State)
}

func sumUp(counts map[string]int) string {
	parts := make([]string, 0, len(counts))
	for what, n := range counts {
		parts = append(parts, fmt.Sprintf("%d %s", n, what))
	}
	sort.Strings(parts)
	return strings.Join(parts, "; ")
}
