package metrics

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Fleet is what one pool holds.
type Fleet struct {
	Runner     string // the runner's name; several may bear the same
	Counts     abi.Counts
	IdleTarget int // machines that the policy chain wants available
}

// states is gitlab_runner_autoscaling_machine_states: all six states are always there, summed over the runners, as GitLab's
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
			"The current number of machines per state in this provider", []string{"state"}, prometheus.Labels{"executor": executorName}),
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
	total := byState(abi.Counts{})
	own := map[string]map[string]int{}
	targets := map[string]int{}
	for _, f := range fleets {
		targets[f.Runner] += f.IdleTarget
		if own[f.Runner] == nil {
			own[f.Runner] = map[string]int{}
		}
		for state, n := range byState(f.Counts) {
			total[state] += n
			own[f.Runner][state] += n
		}
	}
	for state, n := range total {
		ch <- prometheus.MustNewConstMetric(s.sum, prometheus.GaugeValue, float64(n), state)
	}
	for runner, counts := range own {
		ch <- prometheus.MustNewConstMetric(s.target, prometheus.GaugeValue, float64(targets[runner]), runner)
		for state, n := range counts {
			ch <- prometheus.MustNewConstMetric(s.own, prometheus.GaugeValue, float64(n), runner, state)
		}
	}
}

func byState(c abi.Counts) map[string]int {
	return map[string]int{
		"creating": c.Creating, "idle": c.Idle, "acquired": c.Acquired, "used": c.Used,
		"removing": c.Removing, "stuck-on-removing": c.Stuck,
	}
}
