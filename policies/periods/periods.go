package main

import (
	"math"
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/policy/calendar"
)

// periods proposes the settings of the last autoscaling section that is active now, else those of [runners.machine].
type periods struct{}

// Describe places the policy before all others.
func (periods) Describe() abi.Describe {
	return abi.Describe{
		Name:     "periods",
		Summary:  "chooses IdleCount, IdleCountMin, IdleScaleFactor and IdleTime by the time of day, as Periods say",
		Position: 10,
	}
}

// Decide always proposes all four settings. An expression that cannot be read and a zone that the snapshot lacks are skipped and
// named in the reason; they are no error, so that one bad section does not switch off the others.
//
// Source: GitLab Runner documentation, "The [[runners.machine.autoscaling]] section": when several match, the last one counts.
func (periods) Decide(s abi.Snapshot) (abi.Proposal, error) {
	runner := s.Runner
	settings := chosen(runner.IdleCount, runner.IdleCountMin, runner.IdleScaleFactor, runner.IdleTimeS)
	if len(runner.Autoscaling) == 0 {
		return abi.Proposal{Settings: settings.proposal(), Reason: "no periods are configured: " + settings.String()}, nil
	}

	why := "no period is active"
	next := int64(calendar.LongestWaitMS)
	var skipped []string
	for i, section := range runner.Autoscaling {
		zone, ok := calendar.Find(s.Zones, section.Timezone)
		if !ok {
			skipped = append(skipped, sectionName(i)+": its time zone `"+section.Timezone+"` is unknown, so it is skipped")
			continue
		}
		found := calendar.Machine.Look(zone, section.Periods, s.NowUnixMS)
		next = min(next, found.NextMS)
		for _, problem := range found.Problems {
			skipped = append(skipped, sectionName(i)+": "+problem+", so it is skipped")
		}
		if found.Active != "" {
			settings = chosen(section.IdleCount, section.IdleCountMin, section.IdleScaleFactor, section.IdleTimeS)
			why = "period `" + found.Active + "` (" + zone.Name + ") is active"
		}
	}
	askAgain := float64(next) / 1000
	reason := strings.Join(append([]string{why + ": " + settings.String()}, skipped...), "; ")
	return abi.Proposal{Settings: settings.proposal(), AskAgainS: &askAgain, Reason: reason}, nil
}

func sectionName(i int) string { return "autoscaling[" + strconv.Itoa(i) + "]" }

// choice is one set of the four settings.
type choice struct {
	idleCount, idleCountMin int
	factor                  float64
	idleTimeS               int64 // seconds
}

// chosen takes the settings as they are, but for what the host would refuse: below zero is zero, and a factor that is no number or
// infinite is off.
func chosen(idleCount, idleCountMin int, factor float64, idleTimeS int64) choice {
	if !(factor > 0) || math.IsInf(factor, 1) {
		factor = 0
	}
	return choice{max(idleCount, 0), max(idleCountMin, 0), factor, max(idleTimeS, 0)}
}

func (c choice) proposal() *abi.Settings {
	return &abi.Settings{IdleCount: &c.idleCount, IdleCountMin: &c.idleCountMin, IdleScaleFactor: &c.factor, IdleTimeS: &c.idleTimeS}
}

// String names the values that take effect, as config.toml writes them.
func (c choice) String() string {
	text := "IdleCount " + strconv.Itoa(c.idleCount)
	if c.factor != 0 {
		text += ", IdleScaleFactor " + strconv.FormatFloat(c.factor, 'g', -1, 64) + ", IdleCountMin " + strconv.Itoa(c.idleCountMin)
	}
	return text + ", IdleTime " + strconv.FormatInt(c.idleTimeS, 10) + " s"
}
