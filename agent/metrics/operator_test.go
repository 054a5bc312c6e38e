package metrics

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/millwright-ci/millwright/agent/fleet"
)

// What the operator said is shown as it is now, and two runners with one name are shown once.
func TestScalingFigures(t *testing.T) {
	m := New(Version{})
	m.Scaling(Scaling{
		Frozen: true, Ceilings: fleet.Ceilings{MaxMachines: 50, MaxMachineAge: 24 * time.Hour}, Creates: 7,
		Runners: []RunnerScaling{
			{Runner: "a", Breaker: "open", Failures: map[string]int{"quota": 3}, PassedOver: 2, Cordoned: 1, Held: 2, Creates: 4,
				Ceilings: fleet.Ceilings{MaxCreatesPerHour: 9},
				Rails:    []fleet.Rail{{Name: "create", Cause: "max_machines", Wanted: 8, Got: 2}, {Name: "remove", Cause: "in_use", Wanted: 3, Got: 1}}},
			{Runner: "a", Breaker: "closed"},
		},
		Accounts: []Account{{Name: "google", Calls: map[string]int{"create": 5, "list": 9}, Limited: 1, Waiting: 3, PerSecond: 2.5}},
	})
	want := `
# HELP millwright_ceiling The operator's ceilings of millwright.toml, as far as there are any; runner_name is empty for those of the agent
# TYPE millwright_ceiling gauge
millwright_ceiling{ceiling="max_creates_per_hour",runner_name="a"} 9
millwright_ceiling{ceiling="max_machine_age_seconds",runner_name=""} 86400
millwright_ceiling{ceiling="max_machines",runner_name=""} 50
# HELP millwright_creates_last_hour Machines that providers were asked for within the last hour; runner_name is empty for all
# TYPE millwright_creates_last_hour gauge
millwright_creates_last_hour{runner_name=""} 7
millwright_creates_last_hour{runner_name="a"} 4
# HELP millwright_creation_breaker 1 for the state that the runner's breaker is in: closed, half-open (one machine at a time) or open (none)
# TYPE millwright_creation_breaker gauge
millwright_creation_breaker{runner_name="a",state="closed"} 0
millwright_creation_breaker{runner_name="a",state="half-open"} 0
millwright_creation_breaker{runner_name="a",state="open"} 1
# HELP millwright_frozen 1 while the operator has all creating and removing stopped
# TYPE millwright_frozen gauge
millwright_frozen 1
# HELP millwright_guard_rail_cut By how much a guard rail changes a number of the decision now
# TYPE millwright_guard_rail_cut gauge
millwright_guard_rail_cut{cause="in_use",rail="remove",runner_name="a"} 2
millwright_guard_rail_cut{cause="max_machines",rail="create",runner_name="a"} 6
# HELP millwright_machines_kept Machines that get no jobs because the operator says so, by condition
# TYPE millwright_machines_kept gauge
millwright_machines_kept{condition="cordoned",runner_name="a"} 1
millwright_machines_kept{condition="held",runner_name="a"} 2
# HELP millwright_provider_calls_total Calls of drivers by account and operation
# TYPE millwright_provider_calls_total counter
millwright_provider_calls_total{account="google",operation="create"} 5
millwright_provider_calls_total{account="google",operation="list"} 9
`
	if err := testutil.GatherAndCompare(m.registry, strings.NewReader(want), "millwright_ceiling", "millwright_creates_last_hour",
		"millwright_creation_breaker", "millwright_frozen", "millwright_guard_rail_cut", "millwright_machines_kept", "millwright_provider_calls_total"); err != nil {
		t.Error(err)
	}
	m.Scaling(Scaling{})
	if err := testutil.GatherAndCompare(m.registry, strings.NewReader(`
# HELP millwright_frozen 1 while the operator has all creating and removing stopped
# TYPE millwright_frozen gauge
millwright_frozen 0
`), "millwright_frozen", "millwright_machines_kept"); err != nil {
		t.Error(err)
	}
}
