package cli

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/millwright-ci/millwright/agent/coordinator/embedded"
)

// summary prints the pipeline's end and returns errSilent unless it passed.
func (e *execution) summary() error {
	s := e.server.Summary()
	e.out.do(func(w io.Writer) {
		printSummary(w, s)
		fmt.Fprintf(w, "machines: %s\n", e.machines.summary())
		for _, v := range e.server.Violations() {
			fmt.Fprintf(w, "protocol violation: %s\n", v)
		}
	})
	p := red
	if s.State == embedded.Success {
		p = green
	}
	e.out.raw("%s\n", e.out.painted(p, fmt.Sprintf("the pipeline %s after %s", pipelineOutcome(s), seconds(time.Since(e.out.start)))))
	if s.State != embedded.Success {
		return errSilent
	}
	return nil
}

// printSummary prints to a buffer: a table of the jobs, the ends of the traces of those that failed, and figures.
func printSummary(out io.Writer, s embedded.Summary) {
	counts := map[string]int{}
	var waits []time.Duration
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "JOB\tSTAGE\tOUTCOME\tQUEUED\tRAN\tTRACE")
	for _, j := range s.Jobs {
		counts[outcome(j)]++
		queued, ran, trace := "-", "-", "-"
		if !j.Started.IsZero() {
			waits = append(waits, j.Started.Sub(j.Queued))
			queued, trace = seconds(j.Started.Sub(j.Queued)), j.TraceFile
		}
		if !j.Started.IsZero() && !j.Finished.IsZero() {
			ran = seconds(j.Finished.Sub(j.Started))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", j.Name, j.Stage, outcome(j), queued, ran, trace)
	}
	_ = w.Flush() // out is a buffer
	for _, j := range s.Jobs {
		if outcome(j) == string(embedded.Failed) {
			printEnd(out, j)
		}
	}
	fmt.Fprintf(out, "\njobs: %s\n", sumUp(counts))
	if len(waits) > 0 {
		slices.Sort(waits)
		fmt.Fprintf(out, "from queued to started: %s at the median, %s at most\n", seconds(waits[len(waits)/2]), seconds(waits[len(waits)-1]))
	}
}

// traceLines is how much of a failed job's trace the summary shows.
const traceLines = 12

// printEnd prints the end of a job's trace, where its failure stands most of the time.
func printEnd(out io.Writer, j embedded.JobStatus) {
	text, err := embedded.ReadTrace(j.TraceFile)
	if err != nil || len(text) == 0 {
		return
	}
	fmt.Fprintf(out, "\n%s (%s) failed; the end of its trace:\n", j.Name, j.Stage)
	lines := plainLines(string(text))
	for _, line := range lines[max(0, len(lines)-traceLines):] {
		fmt.Fprintln(out, "    "+line)
	}
}

var (
	marker = regexp.MustCompile("section_(start|end):[0-9]+:[^\r\n]*\r")
	escape = regexp.MustCompile("\x1b\\[[0-9;]*[A-Za-z]")
)

// plainLines are the lines of a trace without section markers, colours, carriage returns and empty lines.
func plainLines(trace string) []string {
	trace = escape.ReplaceAllString(marker.ReplaceAllString(trace, ""), "")
	var lines []string
	for line := range strings.Lines(trace) {
		line = strings.TrimRight(line, "\r\n ")
		line = line[strings.LastIndex(line, "\r")+1:]
		if line != "" {
			lines = append(lines, line)
		}
	}
	return lines
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

// sumUp counts the jobs by outcome: the passed first, then the others by name.
func sumUp(counts map[string]int) string {
	parts := make([]string, 0, len(counts))
	for what, n := range counts {
		if what != passed {
			parts = append(parts, fmt.Sprintf("%d %s", n, what))
		}
	}
	slices.SortFunc(parts, func(a, b string) int { return strings.Compare(a[strings.Index(a, " "):], b[strings.Index(b, " "):]) })
	return strings.Join(append([]string{fmt.Sprintf("%d %s", counts[passed], passed)}, parts...), ", ")
}
