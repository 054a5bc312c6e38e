package rules

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// count is a number of a proposal that counts machines or jobs.
type count struct {
	name string
	at   **int
}

// counts lists them; a nil number is absent. p itself is left as it is.
func counts(p *abi.Proposal) []count {
	list := []count{{"idle_target", &p.IdleTarget}, {"idle_slots", &p.IdleSlots}, {"growth_limit", &p.GrowthLimit}, {"max_builds", &p.MaxBuilds}}
	if p.Settings != nil {
		list = append(list, count{"settings.idle_count", &p.Settings.IdleCount}, count{"settings.idle_count_min", &p.Settings.IdleCountMin})
	}
	return list
}

// Change is a number that is taken for another one.
type Change struct {
	Name        string
	Wanted, Got int
}

// Cut returns a proposal as the host takes it, without what is merely too large, and the numbers that it cut. p stays as it is.
func Cut(p abi.Proposal) (abi.Proposal, []Change) {
	var cuts []Change
	if p.Settings != nil {
		settings := *p.Settings
		p.Settings = &settings
	}
	for _, n := range counts(&p) {
		if *n.at != nil && **n.at > MaxNumber {
			cuts = append(cuts, Change{n.name, **n.at, MaxNumber})
			most := MaxNumber
			*n.at = &most
		}
	}
	p.Reason = Sentence(p.Reason)
	if len(p.Remove) > 0 {
		removals := make([]abi.Removal, len(p.Remove))
		for i, r := range p.Remove {
			removals[i] = abi.Removal{Name: r.Name, Reason: Sentence(r.Reason)}
		}
		p.Remove = removals
	}
	return p, cuts
}

// Wordy returns what the host would cut of a reason; nil when nothing.
func Wordy(reason string) error {
	switch n := len(reason); {
	case strings.ContainsAny(reason, "\r\n"):
		return errors.New("reason: has several lines; use one")
	case n > MaxReason:
		return fmt.Errorf("reason: has %d bytes; at most %d are shown", n, MaxReason)
	}
	return nil
}

// Sentence makes a guest's words fit for a terminal: one line, no control characters, not too long.
func Sentence(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case r < ' ' || r == 0x7f || r == utf8.RuneError:
			return -1
		}
		return r
	}, s)
	if len(s) > MaxReason {
		s = strings.ToValidUTF8(s[:MaxReason], "") + "…"
	}
	return strings.TrimSpace(s)
}
