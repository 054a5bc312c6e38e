package supervisor

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/job"
	"github.com/millwright-ci/millwright/agent/metrics"
	"github.com/millwright-ci/millwright/agent/pool"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// noon is a Wednesday.
var noon = time.Date(2026, 9, 2, 12, 0, 0, 0, time.UTC)

func TestQueuedTooLong(t *testing.T) {
	section := func(period, pattern string, threshold time.Duration) config.JobQueuingDuration {
		return config.JobQueuingDuration{Periods: []string{period}, Timezone: "UTC", Threshold: config.Duration(threshold), JobsRunningForProject: pattern}
	}
	const always, weekend = "* * * * * * *", "* * * * * sat,sun *"
	for _, tt := range []struct {
		name     string
		sections []config.JobQueuingDuration
		running  string
		want     bool
	}{
		{"no section", nil, "1", false},
		{"beyond the threshold", []config.JobQueuingDuration{section(always, "", 30*time.Second)}, "1", true},
		{"within it", []config.JobQueuingDuration{section(always, "", 2*time.Minute)}, "1", false},
		{"another period", []config.JobQueuingDuration{section(weekend, "", time.Second)}, "1", false},
		{"the last that matches counts", []config.JobQueuingDuration{section(always, "", time.Second), section(always, "", time.Hour)}, "1", false},
		{"the pattern matches", []config.JobQueuingDuration{section(always, "^[0-9]$", time.Second)}, "3", true},
		{"the pattern does not", []config.JobQueuingDuration{section(always, "^[0-9]$", time.Second)}, "+Inf", false},
		{"no pattern", []config.JobQueuingDuration{section(always, "(", time.Second)}, "3", false},
		{"an unknown zone", []config.JobQueuingDuration{{Periods: []string{always}, Timezone: "No/Where", Threshold: 1}}, "3", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := queuedTooLong(&config.Monitoring{JobQueuingDurations: tt.sections}, noon, time.Minute, tt.running); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
	if queuedTooLong(nil, noon, time.Hour, "1") {
		t.Error("without [runners.monitoring]")
	}
}

func TestDecisionCode(t *testing.T) {
	wants := func(n int) *fleet.Decision { return &fleet.Decision{IdleTarget: n} }
	held := pool.Backoff{Failures: 1, Until: noon.Add(time.Minute)}
	for _, tt := range []struct {
		want   string
		status pool.Status
	}{
		{metrics.CodeUndecided, pool.Status{}},
		{metrics.CodeStopping, pool.Status{Stopping: true, Decision: wants(1)}},
		{metrics.CodeSteady, pool.Status{Decision: wants(1), Counts: abi.Counts{Idle: 1, Available: 1}}},
		{metrics.CodeShrinking, pool.Status{Decision: wants(0), Counts: abi.Counts{Idle: 1, Available: 1}}},
		{metrics.CodeGrowing, pool.Status{Decision: wants(1), Counts: abi.Counts{Creating: 1, Available: 1}}},
		{metrics.CodeBackoff, pool.Status{Decision: wants(1), Backoff: held}},
		{metrics.CodeGrowing, pool.Status{Decision: wants(1), Backoff: pool.Backoff{Failures: 1, Until: noon}}},
		{metrics.CodeRail, pool.Status{Decision: wants(2), Rails: []fleet.Rail{{Name: "create"}}}},
		{metrics.CodeNoGrowth, pool.Status{Decision: &fleet.Decision{IdleTarget: 2, NoGrowth: true}}},
	} {
		if got := decisionCode(tt.status, noon); got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.status, got, tt.want)
		}
	}
}

func TestActiveSection(t *testing.T) {
	sections := []config.Autoscaling{
		{Periods: []string{"* * 9-17 * * mon-fri *"}, Timezone: "UTC"},
		{Periods: []string{"* * 12 * * * *"}, Timezone: "UTC"},
		{Periods: []string{"* * 12 * * * *"}, Timezone: "Asia/Tokyo"},
	}
	for at, want := range map[time.Time]string{
		noon: "1", noon.Add(time.Hour): "0", noon.Add(12 * time.Hour): "none", noon.Add(-9 * time.Hour): "2",
	} {
		names, got := activeSection(sections, at)
		if diff := cmp.Diff([]string{"none", "0", "1", "2"}, names); diff != "" || got != want {
			t.Errorf("%s: %s, want %s %s", at, got, want, diff)
		}
	}
}

func TestJobTable(t *testing.T) {
	table := newJobTable()
	w := &worker{now: settings{runner: &config.Runner{Name: "fleet of\nmachines", URL: "https://gitlab.test"}}}
	two := table.add(w, &coordinator.Job{ID: 2}, noon)
	one := table.add(w, &coordinator.Job{ID: 1, Info: coordinator.JobInfo{ProjectID: 7}}, noon)
	table.stage(one, "get_sources")
	table.placed(one, job.Engine{Machine: "auto-1", Instance: "i-12"})
	var text strings.Builder
	table.print(&text, noon.Add(90*time.Second))
	want := `url=https://gitlab.test project=7 job=1 runner="fleet of\nmachines" state=running stage=get_sources machine=auto-1 instance_id=i-12 duration=1m30s
url=https://gitlab.test project=0 job=2 runner="fleet of\nmachines" state=pending stage= machine= instance_id= duration=1m30s
`
	if diff := cmp.Diff(want, text.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	table.remove(one)
	table.remove(two)
	if len(table.list()) != 0 {
		t.Error("jobs that ended are listed")
	}
}
