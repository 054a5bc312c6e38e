// Package rules holds what the host demands of what a policy says, for the host itself and for the harness of authors. hostfuncs/ABI.md states it.
package rules

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Limits of what a proposal and a wish for history may hold.
const (
	MaxState    = 64 << 10  // bytes
	MaxReason   = 512       // bytes; what is longer is cut
	MaxRemovals = 1000      // machines
	MaxOptions  = 64        // of next_machine
	MaxMetrics  = 64        // values
	MaxNumber   = 1_000_000 // of machines, jobs or seconds; larger counts as this
	MaxPoints   = 1000      // steps of a history

	week = 7 * 24 * 3600 // seconds of history that the host keeps
)

var namePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// NameForm says in words what a module's name is made of.
const NameForm = "lower case letters, digits and hyphens, 63 at most, with a letter or digit at both ends"

// Name tells whether a module may bear that name, which ends up in logs, metrics and file names.
func Name(name string) bool { return namePattern.MatchString(name) }

// Wish returns why the host would refuse a wish for history; nil when it would not.
func Wish(w abi.HistoryWish) error {
	switch {
	case w.StepS < 60 || w.StepS%60 != 0 || w.StepS > week:
		return fmt.Errorf("wants a history in steps of %d s; use a multiple of 60, a week at most", w.StepS)
	case w.Points < 1 || w.Points > MaxPoints || w.Points*w.StepS > week:
		return fmt.Errorf("wants a history of %d steps of %d s; at most %d steps and a week are kept", w.Points, w.StepS, MaxPoints)
	}
	return nil
}

// Problems are the reasons for which the host would refuse a proposal, each naming its field; none when it would not.
func Problems(p abi.Proposal) []error {
	var problems []error
	for _, n := range counts(&p) {
		if *n.at != nil && **n.at < 0 {
			problems = append(problems, fmt.Errorf("%s: %d %w", n.name, **n.at, errNegative))
		}
	}
	if s := p.Settings; s != nil && s.IdleTimeS != nil && *s.IdleTimeS < 0 {
		problems = append(problems, fmt.Errorf("settings.idle_time_s: %d %w", *s.IdleTimeS, errNegative))
	}
	if s := p.Settings; s != nil && s.IdleScaleFactor != nil && *s.IdleScaleFactor < 0 {
		problems = append(problems, fmt.Errorf("settings.idle_scale_factor: %g %w", *s.IdleScaleFactor, errNegative))
	}
	if p.AskAgainS != nil && *p.AskAgainS < 0 {
		problems = append(problems, fmt.Errorf("ask_again_s: %g %w", *p.AskAgainS, errNegative))
	}
	if p.State != nil && len(*p.State) > MaxState {
		problems = append(problems, fmt.Errorf("state: has %d bytes; at most %d are kept", len(*p.State), MaxState))
	}
	for _, list := range []struct {
		name        string
		have, limit int
	}{{"remove", len(p.Remove), MaxRemovals}, {"next_machine", len(p.NextMachine), MaxOptions}, {"metrics", len(p.Metrics), MaxMetrics}} {
		if list.have > list.limit {
			problems = append(problems, fmt.Errorf("%s: has %d entries; at most %d are allowed", list.name, list.have, list.limit))
		}
	}
	return problems
}

var errNegative = errors.New("is negative; use 0 or more")
