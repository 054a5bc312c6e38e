package supervisor

import (
	"cmp"
	"context"
	"path/filepath"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/driver/group"
	"github.com/millwright-ci/millwright/agent/executor/connect"
	"github.com/millwright-ci/millwright/agent/executor/nesting"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/pool"
	"github.com/millwright-ci/millwright/agent/provision/instances"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// The defaults of [runners.autoscaler].
const (
	defaultAcquireTimeout   = 15 * time.Minute
	defaultDeletionInterval = 10 * time.Second
	defaultDeletionRetries  = 3
)

// dialStdioFlag says how the engine of an instance is reached: unset, the way that works is taken.
const dialStdioFlag = "FF_USE_DOCKER_AUTOSCALER_DIAL_STDIO"

// driven is what the machines of a runner are made of by a driver; nil where there are none, or nobody can tell.
func driven(r *config.Runner) *config.Machine {
	if !onMachines(r.Executor) {
		return nil
	}
	m, err := r.Fleet()
	if err != nil {
		return nil
	}
	return m
}

// capacityOf is how many jobs a machine of the runner takes at once.
func capacityOf(r *config.Runner) int {
	if !autoscaled(r.Executor) || r.Autoscaler == nil {
		return 1
	}
	return max(r.Autoscaler.CapacityPerInstance, 1)
}

// acquireTimeout is how long a job waits for an instance.
func acquireTimeout(r *config.Runner) time.Duration {
	if r.Autoscaler == nil {
		return defaultAcquireTimeout
	}
	return cmp.Or(time.Duration(r.Autoscaler.InstanceAcquireTimeout), defaultAcquireTimeout)
}

// ofAutoscaler adds what [runners.autoscaler] says to a pool's settings.
func (s *Supervisor) ofAutoscaler(made *pool.Settings, r config.Runner) {
	a := r.Autoscaler
	if !autoscaled(r.Executor) || a == nil {
		return
	}
	made.Runner.Instances = instanceSettings(&r)
	made.Throttle.PerSecond, made.Throttle.Burst = a.ScaleThrottle.Rate(a.MaxInstances)
	made.ReservationThrottling = a.ReservationThrottling == nil || *a.ReservationThrottling
	made.AcquireWait = acquireTimeout(&r)
	made.ProbeTries = a.FailureThreshold
	made.List, made.Poll = time.Duration(a.UpdateInterval), time.Duration(a.UpdateIntervalExpecting)
	if capacityOf(&r) > 1 && r.Executor == executorInstance && !a.VMIsolation.Enabled {
		s.log.Warn("Jobs share instances without being kept apart: each can read and change what others leave there; set capacity_per_instance to 1 for jobs that don't trust each other",
			"runner", r.Name, "capacity_per_instance", a.CapacityPerInstance)
	}
}

// instanceSettings is [runners.autoscaler] as policies see it.
func instanceSettings(r *config.Runner) *abi.InstanceSettings {
	a := r.Autoscaler
	i := &abi.InstanceSettings{CapacityPerInstance: capacityOf(r), MaxUseCount: max(a.MaxUseCount, 0), MaxInstances: max(a.MaxInstances, 0)}
	for _, p := range a.Policy {
		i.Policy = append(i.Policy, abi.InstancePolicy{
			Periods: p.ActivePeriods(), Timezone: p.Timezone, IdleCount: p.IdleCount, IdleTimeS: int64(time.Duration(p.IdleTime) / time.Second),
			ScaleFactor: p.ScaleFactor, ScaleFactorLimit: p.ScaleFactorLimit, PreemptiveMode: p.Preemptive(),
		})
	}
	return i
}

// deletion is how the worker's machines are removed when the agent ends; nil where they stay.
func (w *worker) deletion() *pool.Drain {
	r := w.current()
	if !autoscaled(r.Executor) || r.Autoscaler == nil || !r.Autoscaler.DeleteInstancesOnShutdown {
		return nil
	}
	return &pool.Drain{
		MaxRetries:   atLeast(r.Autoscaler.ShutdownDeletionRetries, defaultDeletionRetries),
		RetryBackoff: time.Duration(atLeast(r.Autoscaler.ShutdownDeletionInterval, config.Duration(defaultDeletionInterval))),
	}
}

// newInstances makes what makes the machines of a worker of the newer autoscaler ready.
func (s *Supervisor) newInstances(w *worker) *instances.Provisioner {
	return instances.New(instances.Options{
		Machines: s.provisioner, Log: s.log.With("runner", w.current().Name),
		Target: w.target, Wishes: w.instanceWishes, Heartbeat: w.heartbeat,
	})
}

// target settles how a machine of the worker's is reached, as its configuration is now.
func (w *worker) target(ctx context.Context, m fleet.Machine) (*connect.Target, error) {
	if isGroup(m.Driver) {
		return w.targetInGroup(ctx, m)
	}
	login, err := w.s.provisioner.Login(m)
	if err != nil {
		return nil, err
	}
	return connect.New(connect.Options{
		Connector: w.current().Autoscaler.ConnectorConfig, Login: login, PinFile: w.pinFile(m),
		Connection: group.Connection{InternalAddr: m.Instance.Address, Port: m.Instance.SSHPort},
	})
}

// pinFile is where the host key of a machine of the worker's is noted.
func (w *worker) pinFile(m fleet.Machine) string {
	return filepath.Join(w.s.journal.Store(), "machines", m.Name, "host_key.pub")
}

// instanceWishes are what makes an instance ready. The engine of a machine that a driver made is set up as for docker+machine, unless
// connector_config names the protocol that leads to an engine which is there.
func (w *worker) instanceWishes(m fleet.Machine) instances.Wishes {
	r := w.current()
	wishes := instances.Wishes{ReadyCommand: r.Autoscaler.InstanceReadyCommand}
	if v := &r.Autoscaler.VMIsolation; v.Enabled {
		wishes.Nest = &nesting.Options{Host: v.NestingHost, Config: v.NestingConfig}
	}
	if r.Executor != executorAutoscaler {
		return wishes
	}
	wishes.Engine = instances.TLS
	if r.Autoscaler.ConnectorConfig.Protocol != "" || isGroup(m.Driver) {
		wishes.Engine, wishes.EngineHost = instances.Tunnel, r.Docker.Host
	}
	if on, set := r.FeatureFlags[dialStdioFlag]; set {
		wishes.Way = connect.Forward
		if on {
			wishes.Way = connect.Stdio
		}
	}
	return wishes
}
