package policytest

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Limits of a proposal and of a wish for history. hostfuncs/ABI.md states them.
const (
	maxState    = 64 << 10 // bytes
	maxReason   = 512      // bytes
	maxRemovals = 1000
	maxEntries  = 64 // of next_machine and of metrics
	week        = 7 * 24 * 3600
)

var namePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// Check returns why the host would refuse a proposal, or cut it; nil when it would not.
func Check(p abi.Proposal) error {
	var problems []error
	negative := func(name string, n float64) {
		if n < 0 {
			problems = append(problems, fmt.Errorf("%s: %g is negative; use 0 or more", name, n))
		}
	}
	integer := func(name string, n *int) {
		if n != nil {
			negative(name, float64(*n))
		}
	}
	integer("idle_target", p.IdleTarget)
	integer("growth_limit", p.GrowthLimit)
	integer("max_builds", p.MaxBuilds)
	if p.AskAgainS != nil {
		negative("ask_again_s", *p.AskAgainS)
	}
	if s := p.Settings; s != nil {
		integer("settings.idle_count", s.IdleCount)
		integer("settings.idle_count_min", s.IdleCountMin)
		if s.IdleScaleFactor != nil {
			negative("settings.idle_scale_factor", *s.IdleScaleFactor)
		}
		if s.IdleTimeS != nil {
			negative("settings.idle_time_s", float64(*s.IdleTimeS))
		}
	}
	tooMany := func(name string, have, most int, of string) {
		if have > most {
			problems = append(problems, fmt.Errorf("%s: has %d %s; at most %d are allowed", name, have, of, most))
		}
	}
	tooMany("remove", len(p.Remove), maxRemovals, "entries")
	tooMany("next_machine", len(p.NextMachine), maxEntries, "entries")
	tooMany("metrics", len(p.Metrics), maxEntries, "entries")
	tooMany("reason", len(p.Reason), maxReason, "bytes")
	if p.State != nil {
		tooMany("state", len(*p.State), maxState, "bytes")
	}
	if strings.ContainsAny(p.Reason, "\r\n") {
		problems = append(problems, errors.New("reason: has several lines; use one"))
	}
	return errors.Join(problems...)
}

// CheckDescribe returns why the host would refuse what a policy says of itself; nil when it would not.
func CheckDescribe(d abi.Describe) error {
	var problems []error
	if !namePattern.MatchString(d.Name) {
		problems = append(problems, fmt.Errorf("name: %q is none; use lower case letters, digits and hyphens, 63 at most", d.Name))
	}
	if strings.ContainsAny(d.Summary, "\r\n") {
		problems = append(problems, errors.New("summary: has several lines; use one"))
	}
	if len(d.Options) > 0 {
		problems = append(problems, errors.New("options: are for drivers; a policy has its config"))
	}
	if w := d.WantHistory; w != nil {
		if w.StepS < 60 || w.StepS%60 != 0 || w.StepS > week {
			problems = append(problems, fmt.Errorf("want_history: steps of %d s; use a multiple of 60, a week at most", w.StepS))
		}
		if w.Points < 1 || w.Points > 1000 || w.Points*w.StepS > week {
			problems = append(problems, fmt.Errorf("want_history: %d steps of %d s; 1000 steps and a week are kept at most", w.Points, w.StepS))
		}
	}
	return errors.Join(problems...)
}
