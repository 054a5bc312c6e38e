package metrics

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// states is gitlab_runner_autoscaling_machine_states: all six states are always there, summed over the runners, as GitLab's
// dashboards expect, and millwright_machines tells the runners apart.
type states struct {
	sum *prometheus.Desc
	own *prometheus.Desc

	mu       sync.Mutex // guards byRunner
	byRunner map[string]abi.Counts
}

func newStates() *states {
	return &states{
		sum: prometheus.NewDesc("gitlab_runner_autoscaling_machine_states",
			"The current number of machines per state in this provider", []string{"state"}, prometheus.Labels{"executor": executorName}),
		own:      prometheus.NewDesc("millwright_machines", "Machines of a runner by state", []string{"runner_name", "state"}, nil),
		byRunner: map[string]abi.Counts{},
	}
}

func (s *states) set(runner string, c abi.Counts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byRunner[runner] = c
}

func (s *states) remove(runner string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byRunner, runner)
}

// Describe is prometheus.Collector's.
func (s *states) Describe(ch chan<- *prometheus.Desc) {
	ch <- s.sum
	ch <- s.own
}

// Collect is prometheus.Collector's.
func (s *states) Collect(ch chan<- prometheus.Metric) {
	s.mu.Lock()
	defer s.mu.Unlock()
	total := map[string]int{}
	for runner, c := range s.byRunner {
		for state, n := range byState(c) {
			total[state] += n
			ch <- prometheus.MustNewConstMetric(s.own, prometheus.GaugeValue, float64(n), runner, state)
		}
	}
	for state := range byState(abi.Counts{}) {
		ch <- prometheus.MustNewConstMetric(s.sum, prometheus.GaugeValue, float64(total[state]), state)
	}
}

func byState(c abi.Counts) map[string]int {
	return map[string]int{
		"creating": c.Creating, "idle": c.Idle, "acquired": c.Acquired, "used": c.Used,
		"removing": c.Removing, "stuck-on-removing": c.Stuck,
	}
}
