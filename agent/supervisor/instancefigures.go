package supervisor

import (
	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/metrics"
	"github.com/millwright-ci/millwright/agent/pool"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// configureInstances begins the metrics of a runner with [runners.autoscaler].
func (s *Supervisor) configureInstances(w *worker) {
	r := w.current()
	if a := r.Autoscaler; a != nil && autoscaled(r.Executor) {
		s.metrics.InstancesConfigured(w.labels(), metrics.BucketsOf(a.OperationTimeBuckets, a.CreationTimeBuckets, a.IsRunningTimeBuckets,
			a.DeletionTimeBuckets, a.ReadinessTimeBuckets, a.LifeDurationBuckets))
	}
}

// instanceFigures are a pool's numbers for GitLab Runner's metrics of the newer autoscaler; nil for others.
func instanceFigures(r *config.Runner, s pool.Status) *metrics.Instances {
	i := instanceSettingsOf(r)
	if i == nil {
		return nil
	}
	figures := &metrics.Instances{
		Max: s.Limits.MaxInstances, Capacity: i.CapacityPerInstance, MaxUse: i.MaxUseCount, Desired: s.Wanted, States: map[string]int{}, Missed: s.Missed,
		Tasks: map[string]int{"idle": s.Slots.Free, "reserved": s.Slots.Reserved, "acquired": s.Slots.Used, "unavailable": s.Slots.Unavailable, "unready": s.Slots.Creating},
		Operations: map[string]int{
			"reserve": s.Leases.Reserved, "unreserve": s.Leases.Unreserved, "acquire": s.Leases.Acquired, "release": s.Leases.Released,
		},
	}
	for _, m := range s.Machines {
		figures.States[instanceState(&m)]++
	}
	return figures
}

// instanceState is a machine's state in GitLab Runner's words: it runs while it is made ready, too.
func instanceState(m *fleet.Machine) string {
	switch {
	case m.State == fleet.Removing:
		return "deleting"
	case m.State != fleet.Creating || m.Instance.Status == abi.StatusRunning:
		return "running"
	case m.Instance.Name == "":
		return "requested"
	case m.Instance.ID == "":
		return "pending"
	}
	return "creating"
}

// instanceSettingsOf is instanceSettings, nil where the runner has none.
func instanceSettingsOf(r *config.Runner) *abi.InstanceSettings {
	if r.Autoscaler == nil || !autoscaled(r.Executor) {
		return nil
	}
	return instanceSettings(r)
}
