package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millwright-ci/millwright/agent/fleet"
)

// machines is what becomes of machines beyond GitLab's figures: why they go, what fails about them, what is lost.
type machines struct {
	removals    *prometheus.CounterVec
	failures    *prometheus.CounterVec
	overdue     *prometheus.CounterVec
	interrupted *prometheus.CounterVec
	idle        *prometheus.CounterVec
	orphans     *prometheus.GaugeVec
	ledger      *prometheus.GaugeVec
	blind       *prometheus.GaugeVec
	stopping    *prometheus.HistogramVec

	mu   sync.Mutex            // guards idle's growth
	seen map[any]time.Duration // idle time that was counted, by the pool
}

func newMachines() *machines {
	return &machines{
		removals: counter("millwright_machine_removals_total", "Machines that were removed, by why", "runner_name", "reason"),
		failures: counter("millwright_machine_failures_total", "What failed about machines (create, probe, remove), by the kind of error",
			"runner_name", "operation", "kind"),
		overdue:     counter("millwright_machine_overdue_total", "Machines that were in a state for too long", "runner_name", "state"),
		interrupted: counter("millwright_machine_interruptions_total", "Machines that their provider took back", "runner_name"),
		idle:        counter("millwright_idle_machine_seconds_total", "Time that machines were idle, summed over them", "runner_name"),
		orphans: gauge("millwright_orphans", "Instances under our owner tag that no journal entry explains; kept: they are not removed without an operator",
			"driver", "kept"),
		ledger: gauge("millwright_removal_ledger", "Machines whose removal failed and is tried again", "runner_name"),
		blind:  gauge("millwright_lists_failing", "Places at providers whose last list failed, so that nothing there can count as gone", "runner_name"),
		stopping: ofExecutor("gitlab_runner_autoscaling_machine_stopping_duration_seconds",
			"Histogram of machine stopping timings; empty, since machines are removed without a stop before",
			[]float64{1, 3, 5, 10, 30, 50, 60, 80, 90, 120}),
		seen: map[any]time.Duration{},
	}
}

func (m *machines) all() []prometheus.Collector {
	return []prometheus.Collector{m.removals, m.failures, m.overdue, m.interrupted, m.idle, m.orphans, m.ledger, m.blind, m.stopping}
}

// event counts what a pool tells of a machine.
func (m *machines) event(runner string, e *fleet.MachineEvent) {
	switch {
	case e.Gone && e.Cause != "":
		m.removals.WithLabelValues(runner, e.Cause).Inc()
	case e.Op != "":
		m.failures.WithLabelValues(runner, e.Op, string(e.Kind)).Inc()
	case e.Overdue != "":
		m.overdue.WithLabelValues(runner, e.Overdue).Inc()
	case e.Interrupted:
		m.interrupted.WithLabelValues(runner).Inc()
	}
}

// set takes in what the pools hold. Orphans that several of them see count once.
func (m *machines) set(fleets []Fleet) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.orphans.Reset()
	m.ledger.Reset()
	m.blind.Reset()
	seen := map[any]time.Duration{}
	known := map[Orphan]bool{}
	for _, f := range fleets {
		grown := f.IdleFor - m.seen[f.Pool]
		if grown < 0 {
			grown = f.IdleFor // another pool at the same place
		}
		if grown > 0 {
			m.idle.WithLabelValues(f.Runner).Add(grown.Seconds())
		}
		seen[f.Pool] = f.IdleFor
		m.ledger.WithLabelValues(f.Runner).Add(float64(f.Ledger))
		m.blind.WithLabelValues(f.Runner).Add(float64(f.Blind))
		for _, o := range f.Orphans {
			if !known[o] {
				known[o] = true
				kept := "false"
				if o.Kept {
					kept = "true"
				}
				m.orphans.WithLabelValues(o.Driver, kept).Inc()
			}
		}
	}
	m.seen = seen
}

// Orphan is an instance that no journal entry explains.
type Orphan struct {
	Driver, Name string
	Kept         bool // it is not removed without an operator
}
