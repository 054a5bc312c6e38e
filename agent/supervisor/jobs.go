package supervisor

import (
	"regexp"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/feed"
	"github.com/millwright-ci/millwright/agent/job"
	"github.com/millwright-ci/millwright/agent/metrics"
	"github.com/millwright-ci/millwright/agent/pool"
	"github.com/millwright-ci/millwright/sdk/go/period"
)

// stageTimesFlag shows how long each stage takes. Source: GitLab Runner documentation, "Feature flags".
const stageTimesFlag = "FF_EXPORT_HIGH_CARDINALITY_METRICS"

// handle runs one job that the feed received, on what it held when it asked. It returns when the job's end is reported and its
// machine is given back.
func (s *Supervisor) handle(w *worker, j *coordinator.Job, lease feed.Lease) {
	slot := w.takeSlot()
	runner := w.current()
	record := &job.Record{
		Job: j, RunnerKey: w.key, Runner: runner, SystemID: s.systemID, Slot: slot, ProjectSlot: slot, Began: time.Now(),
	}
	held, _ := lease.(*hold)
	if held != nil && held.lease != nil && capacityOf(runner) == 1 {
		record.ProjectSlot = 0
	}
	one := &runningJob{record: record, dir: s.keepJob(record), held: held}
	s.log.Info("Job received", "job", j.ID, "runner", runner.Name, "project", j.Info.ProjectID, "correlation_id", j.CorrelationID, "queued", queued(j))
	s.work(w, one)
	if held == nil {
		lease.Release()
	}
}

// runningJob is a job that a worker runs.
type runningJob struct {
	record *job.Record
	dir    string // that it is kept in; "" when it is not
	held   *hold
	kept   *pool.Lease // its machine, when an agent before has begun it
	lost   error       // why a job of an agent before can't be taken up
}

func queued(j *coordinator.Job) time.Duration {
	return time.Duration(j.Info.TimeInQueueSeconds * float64(time.Second))
}

// work runs a job and gives back what it held, unless it is left to another agent.
func (s *Supervisor) work(w *worker, one *runningJob) {
	record, j, runner := one.record, one.record.Job, one.record.Runner
	if one.held != nil {
		defer one.held.Release()
	}
	if s.o.Jobs != nil {
		s.o.Jobs(1)
		defer s.o.Jobs(-1)
	}
	client := w.api()
	defer w.done(client)
	defer w.giveSlot(record.Slot)
	began := record.Began
	counted := s.metrics.JobStarted(w.labels(), metrics.JobStart{
		Executor: runner.Executor, Queued: queued(j),
		ProjectRunning: j.Info.ProjectJobsRunning, QueueSize: j.Info.QueueSize, QueueDepth: j.Info.QueueDepth,
		TooLong: queuedTooLong(runner.Monitoring, began, queued(j), j.Info.ProjectJobsRunning), StageTimes: runner.FeatureFlags[stageTimesFlag],
	})
	view := s.jobs.add(w, j, began)
	defer s.jobs.remove(view)
	params := job.Params{
		Job: j, Runner: runner, Client: client, Engines: job.Local{}, Version: s.o.Version, SystemID: record.SystemID, Owner: s.Owner(),
		Slot: record.Slot, ProjectSlot: record.ProjectSlot, HelperArchive: s.o.HelperArchive, EngineFacts: &s.engineFacts, Caches: s.caches, Log: s.log, Keep: one.dir, Lost: one.lost,
		OnHost: s.onHost(),
		OnState: func(at job.State) {
			counted.Stage(at.Stage)
			s.jobs.stage(view, at.Stage)
		},
		OnInputs: s.metrics.Interpolated,
	}
	engines := s.enginesOf(w, one)
	switch {
	case engines != nil:
		engines.waits = func() { counted.ExecutorStage(metrics.StageUseMachine) }
		engines.placed = func(e job.Engine) {
			counted.Placed(e.Machine, e.Instance, time.Since(began))
			s.jobs.placed(view, e)
		}
		params.Engines, params.OnEnding = engines, engines.ending
	case one.lost != nil && onMachines(runner.Executor):
		params.Engines = nil // its machine is removed, with all that is on it
	}
	ctx := s.jobsCtx
	if one.dir != "" && job.Lasting(runner.Executor) {
		ctx = s.keptCtx
	}
	result := job.Run(ctx, params)
	if engines != nil && result.Left {
		one.held.lease = nil // the machine stays the job's
	} else if engines != nil {
		counted.ExecutorStage(metrics.StageReleaseMachine)
		engines.end(result.Broken)
	}
	counted.End(result.Duration, string(result.Reason))
}

// onHost is what jobs need that run on a host, as the configuration is now.
func (s *Supervisor) onHost() job.OnHost {
	o := s.o.OnHost
	if o.User == "" {
		o.User = s.currentConfig().User
	}
	return o
}

// enginesOf gives a job the engines of machines; nil when it runs on no machine.
func (s *Supervisor) enginesOf(w *worker, one *runningJob) *machineEngines {
	if one.held == nil || w.pool == nil || one.lost != nil {
		return nil
	}
	log := s.log.With("job", one.record.Job.ID, "runner", one.record.Runner.Name)
	e := &machineEngines{pool: w.pool, jobID: one.record.Job.ID, since: one.record.Began, held: one.held.lease, kept: one.kept, log: log}
	if w.instances != nil {
		e.instances, e.seats = w.instances, &w.seats
	}
	return e
}

// queuedTooLong tells whether a job waited longer at the coordinator than [runners.monitoring] calls acceptable: the last section counts
// whose periods match and whose pattern matches the project's running jobs. Source: GitLab Runner documentation, "Monitoring".
func queuedTooLong(m *config.Monitoring, now time.Time, queued time.Duration, projectRunning string) bool {
	if m == nil {
		return false
	}
	threshold := time.Duration(0)
	for _, section := range m.JobQueuingDurations {
		if active(section.Periods, section.Timezone, now) && matches(section.JobsRunningForProject, projectRunning) {
			threshold = time.Duration(section.Threshold)
		}
	}
	return threshold > 0 && queued > threshold
}

// matches tells whether the pattern matches; none matches everything, and one that is no pattern nothing.
func matches(pattern, text string) bool {
	re, err := regexp.Compile(pattern)
	return err == nil && re.MatchString(text)
}

// active tells whether one of the periods is active, in a zone of which "" is the host's own.
func active(periods []string, zone string, now time.Time) bool {
	if zone == "" {
		zone = "Local"
	}
	at, err := time.LoadLocation(zone)
	if err != nil {
		return false
	}
	local := now.In(at)
	_, offset := local.Zone()
	for _, text := range periods {
		if e, err := period.Parse(text); err == nil && e.Matches(local.Unix()+int64(offset)) {
			return true
		}
	}
	return false
}
