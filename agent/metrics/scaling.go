package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millwright-ci/millwright/agent/fleet"
)

// Codes say in one word how a runner's fleet stands to the decision of its policies; one of them holds at a time.
var Codes = []string{
	CodeSteady, CodeGrowing, CodeShrinking, CodeBackoff, CodeNoGrowth, CodeRail, CodeUndecided, CodeStopping,
}

// The codes.
const (
	CodeSteady    = "steady"     // as many machines are available as are wanted
	CodeGrowing   = "growing"    // fewer are, and more are being created
	CodeShrinking = "shrinking"  // more are; they go when their idle time is over
	CodeBackoff   = "backoff"    // fewer are, and none is created for a while since creations failed
	CodeNoGrowth  = "no_growth"  // a required policy failed
	CodeRail      = "guard_rail" // fewer are, and a guard rail lets no more be created
	CodeUndecided = "undecided"  // the policies have not decided yet
	CodeStopping  = "stopping"   // the runner's machines are left or removed
)

// scaling is what the policies decide, for the runners with machines.
type scaling struct {
	decisions *prometheus.CounterVec
	failures  *prometheus.CounterVec
	rails     *prometheus.CounterVec
	steps     *prometheus.HistogramVec

	idleTime, waiting, code, period *prometheus.Desc

	mu      sync.Mutex // guards what follows
	targets map[string]int
	now     []Fleet
}

func newScaling() *scaling {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("millwright_"+name, help, append([]string{"runner_name"}, labels...), nil)
	}
	return &scaling{
		decisions: counter("millwright_decisions_total", "Decisions of the policy chain that differ from the one before, by what they changed",
			"runner_name", "change"),
		failures: counter("millwright_policy_failures_total", "New decisions in which a policy was skipped since it failed", "runner_name", "policy"),
		rails:    counter("millwright_guard_rails_total", "New decisions of which a guard rail changed a number", "runner_name", "rail"),
		idleTime: desc("idle_time_seconds", "How long a machine beyond the idle target may stay idle"),
		waiting:  desc("jobs_waiting", "Jobs in hand that wait for a machine"),
		code:     desc("decision_code", "How the fleet stands to the decision: 1 for the code that holds now", "code"),
		period:   desc("active_period", "1 for the autoscaling section whose period is active, by its place in the file from 0 on, or none", "section"),
		targets:  map[string]int{},
		steps: histogram("millwright_pool_step_seconds", "How long the turns of the pools' loops took, by what began them: the clock or events",
			prometheus.ExponentialBuckets(0.0001, 2, 14), "by"),
	}
}

func (s *scaling) all() []prometheus.Collector {
	return []prometheus.Collector{s, s.decisions, s.failures, s.rails, s.steps}
}

// PoolStep notes a turn of a pool's loop.
func (m *Metrics) PoolStep(clock bool, took time.Duration) {
	by := "event"
	if clock {
		by = "clock"
	}
	m.scaling.steps.WithLabelValues(by).Observe(took.Seconds())
}

// decided counts a decision that differs from the one before.
func (s *scaling) decided(e fleet.Event) {
	d := e.Decision
	s.mu.Lock()
	before := s.targets[e.Runner]
	s.targets[e.Runner] = d.IdleTarget
	s.mu.Unlock()
	change := "reason"
	switch {
	case d.IdleTarget > before:
		change = "raised"
	case d.IdleTarget < before:
		change = "lowered"
	}
	s.decisions.WithLabelValues(e.Runner, change).Inc()
	for _, step := range d.Steps {
		if step.Err != "" {
			s.failures.WithLabelValues(e.Runner, step.Module).Inc()
		}
	}
	for _, r := range e.Rails {
		s.rails.WithLabelValues(e.Runner, r.Name).Inc()
	}
}

func (s *scaling) set(fleets []Fleet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = fleets
}

// Describe is prometheus.Collector's.
func (s *scaling) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{s.idleTime, s.waiting, s.code, s.period} {
		ch <- d
	}
}

// Collect is prometheus.Collector's. Of runners with one name the first is shown, but for the jobs that wait, which are summed.
func (s *scaling) Collect(ch chan<- prometheus.Metric) {
	s.mu.Lock()
	fleets := s.now
	s.mu.Unlock()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	waiting := map[string]int{}
	for _, f := range fleets {
		_, seen := waiting[f.Runner]
		waiting[f.Runner] += f.Waiting
		if seen {
			continue
		}
		gauge(s.idleTime, f.IdleTime.Seconds(), f.Runner)
		for _, code := range Codes {
			gauge(s.code, truth(code == f.Code), f.Runner, code)
		}
		for _, section := range f.Sections {
			gauge(s.period, truth(section == f.Section), f.Runner, section)
		}
	}
	for runner, n := range waiting {
		gauge(s.waiting, float64(n), runner)
	}
}
