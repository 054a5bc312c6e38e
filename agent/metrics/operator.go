package metrics

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millwright-ci/millwright/agent/fleet"
)

// Breakers are the states of a runner's breaker.
var Breakers = []string{"closed", "half-open", "open"}

// Scaling is what the operator said, and what holds runners back.
type Scaling struct {
	Frozen   bool
	Ceilings fleet.Ceilings // of the agent as a whole
	Creates  int            // machines that were asked for within the last hour
	Runners  []RunnerScaling
	Accounts []Account
}

// RunnerScaling is what holds one runner back.
type RunnerScaling struct {
	Runner     string
	Ceilings   fleet.Ceilings
	Creates    int
	Breaker    string         // one of Breakers
	Failures   map[string]int // creations in a row that failed, by the kind of error
	PassedOver int            // alternatives that the provider had none of lately
	Rails      []fleet.Rail   // what guard rails change now
	Cordoned   int
	Held       int
}

// Account is one account at a provider.
type Account struct {
	Name      string
	Calls     map[string]int
	Limited   int
	Waiting   int
	PerSecond float64
}

// operator shows Scaling. Of runners with one name the first is shown.
type operator struct {
	frozen, ceiling, creates, condition, rails, breaker, failures, passed *prometheus.Desc
	calls, limited, waiting, rate                                         *prometheus.Desc

	mu  sync.Mutex // guards now
	now Scaling
}

func newOperator() *operator {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("millwright_"+name, help, labels, nil)
	}
	return &operator{
		frozen:    desc("frozen", "1 while the operator has all creating and removing stopped"),
		ceiling:   desc("ceiling", "The operator's ceilings of millwright.toml, as far as there are any; runner_name is empty for those of the agent", "runner_name", "ceiling"),
		creates:   desc("creates_last_hour", "Machines that providers were asked for within the last hour; runner_name is empty for all", "runner_name"),
		condition: desc("machines_kept", "Machines that get no jobs because the operator says so, by condition", "runner_name", "condition"),
		rails:     desc("guard_rail_cut", "By how much a guard rail changes a number of the decision now", "runner_name", "rail", "cause"),
		breaker:   desc("creation_breaker", "1 for the state that the runner's breaker is in: closed, half-open (one machine at a time) or open (none)", "runner_name", "state"),
		failures:  desc("creation_failures_in_a_row", "Creations in a row that failed, by the kind of error", "runner_name", "kind"),
		passed:    desc("alternatives_passed_over", "Alternatives that are passed over since the provider had none lately", "runner_name"),
		calls:     desc("provider_calls_total", "Calls of drivers by account and operation", "account", "operation"),
		limited:   desc("provider_rate_limited_total", "Answers of providers that there were too many calls", "account"),
		waiting:   desc("provider_calls_waiting", "Calls that wait for the account's budget", "account"),
		rate:      desc("provider_calls_per_second", "How many calls a second the account's budget allows now", "account"),
	}
}

func (o *operator) set(s Scaling) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.now = s
}

// Describe is prometheus.Collector's.
func (o *operator) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		o.frozen, o.ceiling, o.creates, o.condition, o.rails, o.breaker, o.failures, o.passed, o.calls, o.limited, o.waiting, o.rate,
	} {
		ch <- d
	}
}

// Collect is prometheus.Collector's.
func (o *operator) Collect(ch chan<- prometheus.Metric) {
	o.mu.Lock()
	s := o.now
	o.mu.Unlock()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(o.frozen, truth(s.Frozen))
	o.ceilings(gauge, "", s.Ceilings)
	gauge(o.creates, float64(s.Creates), "")
	seen := map[string]bool{"": true}
	for _, r := range s.Runners {
		if !seen[r.Runner] {
			seen[r.Runner] = true
			o.runner(gauge, r)
		}
	}
	for _, a := range s.Accounts {
		for op, n := range a.Calls {
			ch <- prometheus.MustNewConstMetric(o.calls, prometheus.CounterValue, float64(n), a.Name, op)
		}
		ch <- prometheus.MustNewConstMetric(o.limited, prometheus.CounterValue, float64(a.Limited), a.Name)
		gauge(o.waiting, float64(a.Waiting), a.Name)
		gauge(o.rate, a.PerSecond, a.Name)
	}
}

func (o *operator) runner(gauge func(*prometheus.Desc, float64, ...string), r RunnerScaling) {
	o.ceilings(gauge, r.Runner, r.Ceilings)
	gauge(o.creates, float64(r.Creates), r.Runner)
	gauge(o.condition, float64(r.Cordoned), r.Runner, "cordoned")
	gauge(o.condition, float64(r.Held), r.Runner, "held")
	gauge(o.passed, float64(r.PassedOver), r.Runner)
	for _, state := range Breakers {
		gauge(o.breaker, truth(state == r.Breaker), r.Runner, state)
	}
	for kind, n := range r.Failures {
		gauge(o.failures, float64(n), r.Runner, kind)
	}
	cut := map[[2]string]int{}
	for _, rail := range r.Rails {
		cut[[2]string{rail.Name, rail.Cause}] += rail.Wanted - rail.Got
	}
	for key, n := range cut {
		gauge(o.rails, float64(n), r.Runner, key[0], key[1])
	}
}

func (o *operator) ceilings(gauge func(*prometheus.Desc, float64, ...string), runner string, c fleet.Ceilings) {
	for name, v := range map[string]float64{
		"max_machines": float64(c.MaxMachines), "max_creates_per_hour": float64(c.MaxCreatesPerHour), "max_machine_age_seconds": c.MaxMachineAge.Seconds(),
	} {
		if v > 0 {
			gauge(o.ceiling, v, runner, name)
		}
	}
}
