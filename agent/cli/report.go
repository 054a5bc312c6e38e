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
	phases  map[string][]string
	states  map[string]fleet.State
	created int
	removed int
	reason  string
}

func newFleetReport(out *terminal) *fleetReport {
	return &fleetReport{out: out, phases: map[string][]string{}, states: map[string]fleet.State{}}
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
	text := fmt.Sprintf("hold %d available: %s", e.Decision.IdleTarget, e.Decision.Reason)
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
		r.phases[m.Name] = append(r.phases[m.Name], fmt.Sprintf("%s %.1f", m.Phase, m.Duration.Seconds()))
		return
	}
	before := r.states[m.Name]
	r.states[m.Name] = m.State
	switch {
	case m.Gone:
		delete(r.states, m.Name)
		delete(r.phases, m.Name)
		r.removed++
		r.out.line(faint, "machine", "%s removed after %s%s", m.Name, seconds(m.Duration), because(m.Reason))
	case m.Err != "":
		r.out.line(red, "machine", "%s %s: %s", m.Name, m.State, m.Err)
	case m.State == fleet.Creating:
		r.created++
		r.out.line(plain, "machine", "%s creating%s", m.Name, because(m.Reason))
	case m.State == fleet.Idle && before == fleet.Creating:
		r.out.line(green, "machine", "%s ready after %s (%s s)", m.Name, seconds(m.Duration), strings.Join(r.phases[m.Name], ", "))
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
