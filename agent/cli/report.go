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
	created int
	removed int
	reason  string
}

func newFleetReport(out *terminal) *fleetReport {
	return &fleetReport{out: out, states: map[string]fleet.State{}}
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

func (r *fleetReport) decision(e fleet.Event) {
	text := fmt.Sprintf("hold %d available: %s", e.Decision.IdleTarget, reasons(*e.Decision))
	if creates, removes := countActions(e.Actions); creates+removes > 0 {
		text += "; so " + strings.Join(nonEmpty(plural(creates, "create %d"), plural(removes, "remove %d")), ", ")
	}
	if text != r.reason {
		r.reason = text
		r.out.line(blue, "scaling", "%s", text)
	}
}

func (r *fleetReport) machine(m fleet.MachineEvent) {
	if m.Phase != "" {
		return
	}
	r.states[m.Name] = m.State
	switch {
	case m.Gone:
		delete(r.states, m.Name)
		r.removed++
		r.out.line(faint, "machine", "%s removed after %s%s", m.Name, seconds(m.Duration), because(m.Reason))
	case m.Err != "":
		r.out.line(red, "machine", "%s %s: %s", m.Name, m.State, m.Err)
	case m.From == "" && m.State == fleet.Creating:
		r.created++
		r.out.line(plain, "machine", "%s creating%s", m.Name, because(m.Reason))
	case m.From == fleet.Creating && m.State != fleet.Removing:
		r.out.line(green, "machine", "%s ready after %s (%s)", m.Name, seconds(m.Duration), phases(m.Phases))
	case m.State == fleet.Removing:
		r.out.line(plain, "machine", "%s removing%s", m.Name, because(m.Reason))
	}
}

// summary says how many machines there were.
func (r *fleetReport) summary() (created, removed int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.created, r.removed
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
		return "no machine"
	}
	return "machines: " + strings.Join(parts, ", ")
}

// reasons joins what each policy gave as its reason; the settings' comes before the number's.
func reasons(d fleet.Decision) string {
	var parts []string
	for _, s := range d.Steps {
		parts = append(parts, nonEmpty(s.Proposal.Reason)...)
	}
	if len(parts) == 0 || !strings.HasSuffix(d.Reason, parts[len(parts)-1]) {
		parts = append(parts, nonEmpty(d.Reason)...)
	}
	return strings.Join(parts, "; ")
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
