package metrics

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Fleet is what one pool holds.
type Fleet struct {
	Pool       any    // tells pools apart
	Runner     string // the runner's name; several may bear the same
	Executor   string // "" counts as docker+machine
	Counts     abi.Counts
	Targets    map[fleet.Target]abi.Counts // Counts by where the machines are; nil puts all at the empty target
	IdleTarget int                         // machines that the policy chain wants available
	IdleTime   time.Duration               // how long more than these may stay idle
	Waiting    int                         // jobs without a machine
	IdleFor    time.Duration               // how long machines were idle, summed over them; it only grows
	Orphans    []Orphan                    // instances that no journal entry explains
	Ledger     int                         // machines whose removal failed and is tried again
	Blind      int                         // places whose last list failed
	Code       string                      // one of Codes
	Sections   []string                    // the autoscaling sections of the configuration, and none
	Section    string                      // the one of them that is in force
	Instances  *Instances                  // of a runner with [runners.autoscaler]; nil otherwise
}

// targetLabels are GitLab's labels of where a machine is.
var targetLabels = []string{"target_zone", "target_region", "target_project", "target_machine_type"}

func targetValues(t fleet.Target) []string {
	return []string{t.Zone, t.Region, t.Project, t.MachineType}
}

// states is gitlab_runner_autoscaling_machine_states: all six states are always there, summed over the runners of an executor, as GitLab's
// dashboards expect; millwright_machines and millwright_idle_target tell the runners apart.
type states struct {
	sum    *prometheus.Desc
	own    *prometheus.Desc
	target *prometheus.Desc

	mu     sync.Mutex // guards fleets
	fleets []Fleet
}

func newStates() *states {
	return &states{
		sum: prometheus.NewDesc("gitlab_runner_autoscaling_machine_states",
			"The current number of machines per state in this provider", append([]string{"executor", "state"}, targetLabels...), nil),
		own:    prometheus.NewDesc("millwright_machines", "Machines of a runner by state", []string{"runner_name", "state"}, nil),
		target: prometheus.NewDesc("millwright_idle_target", "Machines that the policy chain wants available", []string{"runner_name"}, nil),
	}
}

func (s *states) set(fleets []Fleet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fleets = fleets
}

// Describe is prometheus.Collector's.
func (s *states) Describe(ch chan<- *prometheus.Desc) {
	ch <- s.sum
	ch <- s.own
	ch <- s.target
}

// Collect is prometheus.Collector's.
func (s *states) Collect(ch chan<- prometheus.Metric) {
	s.mu.Lock()
	fleets := s.fleets
	s.mu.Unlock()
	total := map[place]map[string]int{}
	if !slices.ContainsFunc(fleets, func(f Fleet) bool { return cmp.Or(f.Executor, executorName) == executorName }) {
		add(total, place{executor: executorName}, abi.Counts{})
	}
	own := map[string]map[string]int{}
	targets := map[string]int{}
	for _, f := range fleets {
		targets[f.Runner] += f.IdleTarget
		add(own, f.Runner, f.Counts)
		executor := cmp.Or(f.Executor, executorName)
		if len(f.Targets) == 0 {
			add(total, place{executor: executor}, f.Counts)
		}
		for t, c := range f.Targets {
			add(total, place{executor, t}, c)
		}
	}
	for at, counts := range total {
		for state, n := range counts {
			ch <- prometheus.MustNewConstMetric(s.sum, prometheus.GaugeValue, float64(n), append([]string{at.executor, state}, targetValues(at.target)...)...)
		}
	}
	for runner, counts := range own {
		ch <- prometheus.MustNewConstMetric(s.target, prometheus.GaugeValue, float64(targets[runner]), runner)
		for state, n := range counts {
			ch <- prometheus.MustNewConstMetric(s.own, prometheus.GaugeValue, float64(n), runner, state)
		}
	}
}

// place is what machine states are summed over.
type place struct {
	executor string
	target   fleet.Target
}

// add sums c by state into the counts of a key; zeros make the state appear.
func add[K comparable](sums map[K]map[string]int, key K, c abi.Counts) {
	if sums[key] == nil {
		sums[key] = map[string]int{}
	}
	for state, n := range byState(c) {
		sums[key][state] += n
	}
}

func byState(c abi.Counts) map[string]int {
	return map[string]int{
		"creating": c.Creating, "idle": c.Idle, "acquired": c.Acquired, "used": c.Used,
		"removing": c.Removing, "stuck-on-removing": c.Stuck,
	}
}
