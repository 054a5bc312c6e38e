package cli

import (
	"fmt"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
)

// fleetReport tells people what becomes of machines, and counts them for the summary. It is safe for concurrent use.
type fleetReport struct {
	out *terminal

	mu      sync.Mutex // guards the rest
	states  map[string]fleet.State
	serves  map[int64]string  // by job, the machine that it runs on
	said    map[string]string // by module, the reason that was printed last
	created int
	failed  int
	removed int
	ending  bool // all machines are removed, for one reason
}

func newFleetReport(out *terminal) *fleetReport {
	return &fleetReport{out: out, states: map[string]fleet.State{}, serves: map[int64]string{}, said: map[string]string{}}
}

// event prints what a pool reported.
func (r *fleetReport) event(e fleet.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.Decision != nil {
		r.decision(e)
	}
	if e.Machine != nil {
		r.machine(*e.Machine)
	}
}

// decision prints each module's reason when it is another than before, and what follows with the last one. What the chain itself
// has to say, that a module was skipped say, comes under the name of the chain.
func (r *fleetReport) decision(e fleet.Event) {
	type reason struct{ module, text string }
	var reasons []reason
	for _, s := range e.Decision.Steps {
		if s.Proposal.Reason != "" {
			reasons = append(reasons, reason{s.Module, s.Proposal.Reason})
		}
	}
	if n := len(reasons); e.Decision.Reason != "" && (n == 0 || reasons[n-1].text != e.Decision.Reason) {
		reasons = append(reasons, reason{"chain", e.Decision.Reason})
	}
	for i, s := range reasons {
		if i == len(reasons)-1 {
			s.text += consequence(e.Actions)
		}
		if r.said[s.module] != s.text {
			r.said[s.module] = s.text
			r.out.line(blue, "scaling", "%s: %s", s.module, s.text)
		}
	}
}

// consequence is what the plan made of a decision.
func consequence(actions []fleet.Action) string {
	creates, removes := countActions(actions)
	if creates+removes == 0 {
		return ""
	}
	return "; so " + strings.Join(nonEmpty(plural(creates, "create %d"), plural(removes, "remove %d")), ", ")
}

func (r *fleetReport) machine(m fleet.MachineEvent) {
	name := shortName(m.Name)
	if m.Err != "" {
		r.trouble(name, m)
		return
	}
	if m.Phase != "" {
		return
	}
	before := r.states[m.Name]
	r.states[m.Name] = m.State
	switch {
	case m.Gone:
		delete(r.states, m.Name)
		r.removed++
		reason := because(m.Reason)
		if before == fleet.Removing {
			reason = "" // it was told
		}
		r.out.line(faint, "machine", "%s removed after %s%s", name, seconds(m.Duration), reason)
	case m.From == "" && m.State == fleet.Creating:
		r.created++
		r.out.line(plain, "machine", "%s is being created%s; its full name is %s", name, because(m.Reason), m.Name)
	case m.From == "":
		r.out.line(plain, "machine", "%s is %s%s; its full name is %s", name, m.State, because(m.Reason), m.Name)
	case m.From == fleet.Creating && m.State != fleet.Removing:
		r.out.line(green, "machine", "%s ready after %s (%s)", name, seconds(m.Duration), phases(m.Phases))
	case m.State == fleet.Removing && !r.ending:
		r.out.line(plain, "machine", "%s is being removed%s", name, because(m.Reason))
	case m.State == fleet.Used:
		r.serves[m.JobID] = name
	}
}

// trouble prints a call for a machine that failed.
func (r *fleetReport) trouble(name string, m fleet.MachineEvent) {
	if m.Overdue != "" || m.Interrupted { // told beside what becomes of it
		r.out.line(yellow, "machine", "%s: %s", name, m.Err)
		return
	}
	switch m.State {
	case fleet.Creating:
		r.failed++
		r.out.line(red, "machine", "%s can't be created: %s", name, m.Err)
	case fleet.Removing:
		r.out.line(red, "machine", "%s can't be removed yet, it is tried again: %s", name, m.Err)
	default:
		r.out.line(red, "machine", "%s: %s", name, m.Err)
	}
}

// shortName is the part of a machine's name that tells it from the others: what stands for the %s of MachineName ends in a random
// number.
func shortName(name string) string { return name[strings.LastIndex(name, "-")+1:] }

// end says that from now on machines are removed because all is over.
func (r *fleetReport) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ending = true
	if n := len(r.states); n > 0 {
		r.out.line(plain, "end", "removing every machine: %d", n)
	}
}

// of returns the machine that a job runs on, "" when it is not known.
func (r *fleetReport) of(job int64) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.serves[job]
}

// summary says how many machines there were.
func (r *fleetReport) summary() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	failed := ""
	if r.failed > 0 {
		failed = fmt.Sprintf(" (%d failed)", r.failed)
	}
	return fmt.Sprintf("%d created%s, %d removed", r.created, failed, r.removed)
}

// now describes the fleet in a few words for a progress line.
func (r *fleetReport) now() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	counts := map[fleet.State]int{}
	for _, s := range r.states {
		counts[s]++
	}
	parts := make([]string, 0, len(counts))
	for s, n := range counts {
		parts = append(parts, fmt.Sprintf("%d %s", n, s))
	}
	sort.Strings(parts)
	if len(parts) == 0 {
		return "no machine yet"
	}
	return "machines: " + strings.Join(parts, ", ")
}

// phases says where the time of a creation went.
func phases(times []fleet.PhaseTime) string {
	parts := make([]string, 0, len(times))
	for _, t := range times {
		parts = append(parts, fmt.Sprintf("%s %.1f s", t.Phase, t.Duration.Seconds()))
	}
	return strings.Join(parts, ", ")
}

func countActions(actions []fleet.Action) (creates, removes int) {
	for _, a := range actions {
		if a.Kind == fleet.Create {
			creates++
		} else {
			removes++
		}
	}
	return creates, removes
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

func plural(n int, format string) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(format, n)
}

func nonEmpty(parts ...string) []string {
	var out []string
	for _, p := range parts {
		if p != "" {
			out = append(out, p)
		}
	}
	return out
}

// progress prints a line whenever nothing was printed for the given time, until stop is closed, so that no minute is silent.
func progress(out *terminal, every time.Duration, what func() string, stop <-chan struct{}) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
			if out.silent() >= every {
				out.line(faint, "...", "%s", what())
			}
		}
	}
}
