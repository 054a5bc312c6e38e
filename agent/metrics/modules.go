package metrics

import (
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Module is a module as it is now.
type Module struct {
	Kind, Name      string
	Version, SHA256 string
	ABI             int
	Generation      int // 0 of built-in modules
	Loaded          bool
	Refused         bool // the file as it is now is not used
	Quarantined     int  // runners in which it is
}

// ModuleCalls sums the calls of one export of the modules of one name.
type ModuleCalls struct {
	Module  string
	Kind    string
	Export  string
	Calls   uint64
	Errors  uint64
	Seconds float64
	Fuel    float64
	// Requests are those that the calls sent by http_send, and Refused those of them that got no answer.
	Requests, Refused uint64
	Within            map[float64]uint64 // calls that took at most so many seconds
}

// modules is millwright_module_*.
type modules struct {
	info, generation, loaded, refused, quarantined *prometheus.Desc
	calls, errors, seconds, fuel, duration         *prometheus.Desc
	requests, unanswered                           *prometheus.Desc

	mu    sync.Mutex // guards what follows
	now   []Module
	count []ModuleCalls
}

func newModules() *modules {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("millwright_module_"+name, help, append([]string{"kind", "name"}, labels...), nil)
	}
	return &modules{
		info:        desc("info", "A constant 1 with what is known of the module that is loaded", "version", "hash", "abi"),
		generation:  desc("generation", "Generation of the module that is loaded; built-in ones have none"),
		loaded:      desc("loaded", "Whether the module is loaded"),
		refused:     desc("refused", "Whether the module's file as it is now can't be used"),
		quarantined: desc("quarantined", "Runners in whose chain the policy is quarantined"),
		calls:       desc("calls_total", "Calls into the module", "export"),
		errors:      desc("errors_total", "Calls into the module that failed", "export"),
		seconds:     desc("call_seconds_total", "Time that calls into the module took", "export"),
		duration:    desc("call_duration_seconds", "How long calls into the module took", "export"),
		requests:    desc("requests_total", "Requests that the module asked for by http_send", "export"),
		unanswered:  desc("request_errors_total", "Requests of the module that were refused or got no answer", "export"),
		fuel:        desc("fuel_total", "Fuel that calls into the module used, about one for each instruction", "export"),
	}
}

// Modules sets what is loaded and what was called, all at once.
func (m *Metrics) Modules(now []Module, calls []ModuleCalls) {
	m.modules.mu.Lock()
	defer m.modules.mu.Unlock()
	m.modules.now, m.modules.count = now, calls
}

// Describe is prometheus.Collector's.
func (m *modules) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.info, m.generation, m.loaded, m.refused, m.quarantined, m.calls, m.errors, m.seconds, m.fuel, m.duration, m.requests, m.unanswered} {
		ch <- d
	}
}

// Collect is prometheus.Collector's.
func (m *modules) Collect(ch chan<- prometheus.Metric) {
	m.mu.Lock()
	now, count := m.now, m.count
	m.mu.Unlock()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	seen := map[[2]string]bool{} // a built-in module and one that replaces it for some runners bear one name
	for _, x := range now {
		key := [2]string{x.Kind, x.Name}
		if seen[key] {
			continue
		}
		seen[key] = true
		if x.Loaded {
			gauge(m.info, 1, x.Kind, x.Name, x.Version, x.SHA256, strconv.Itoa(x.ABI))
			gauge(m.generation, float64(x.Generation), x.Kind, x.Name)
		}
		gauge(m.loaded, truth(x.Loaded), x.Kind, x.Name)
		gauge(m.refused, truth(x.Refused), x.Kind, x.Name)
		gauge(m.quarantined, float64(x.Quarantined), x.Kind, x.Name)
	}
	for _, c := range count {
		for _, v := range []struct {
			desc *prometheus.Desc
			n    float64
		}{{m.calls, float64(c.Calls)}, {m.errors, float64(c.Errors)}, {m.seconds, c.Seconds}, {m.fuel, c.Fuel}, {m.requests, float64(c.Requests)}, {m.unanswered, float64(c.Refused)}} {
			ch <- prometheus.MustNewConstMetric(v.desc, prometheus.CounterValue, v.n, c.Kind, c.Module, c.Export)
		}
		ch <- prometheus.MustNewConstHistogram(m.duration, c.Calls, c.Seconds, c.Within, c.Kind, c.Module, c.Export)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
