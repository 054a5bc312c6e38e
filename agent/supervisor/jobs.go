package supervisor

import (
	"regexp"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/feed"
	"github.com/millwright-ci/millwright/agent/job"
	"github.com/millwright-ci/millwright/agent/metrics"
	"github.com/millwright-ci/millwright/sdk/go/period"
)

// stageTimesFlag shows how long each stage takes. Source: GitLab Runner documentation, "Feature flags".
const stageTimesFlag = "FF_EXPORT_HIGH_CARDINALITY_METRICS"

// handle runs one job that the feed received, on what it held when it asked. It returns when the job's end is reported and its
// machine is given back.
func (s *Supervisor) handle(w *worker, j *coordinator.Job, lease feed.Lease) {
	defer lease.Release()
	if s.o.Jobs != nil {
		s.o.Jobs(1)
		defer s.o.Jobs(-1)
	}
	runner, client := w.current(), w.api()
	defer w.done(client)
	slot := w.takeSlot()
	defer w.giveSlot(slot)
	began := time.Now()
	queued := time.Duration(j.Info.TimeInQueueSeconds * float64(time.Second))
	counted := s.metrics.JobStarted(w.labels(), metrics.JobStart{
		Executor: runner.Executor, Queued: queued,
		ProjectRunning: j.Info.ProjectJobsRunning, QueueSize: j.Info.QueueSize, QueueDepth: j.Info.QueueDepth,
		TooLong: queuedTooLong(runner.Monitoring, began, queued, j.Info.ProjectJobsRunning), StageTimes: runner.FeatureFlags[stageTimesFlag],
	})
	log := s.log.With("job", j.ID, "runner", runner.Name)
	log.Info("Job received", "project", j.Info.ProjectID, "correlation_id", j.CorrelationID, "queued", queued)
	view := s.jobs.add(w, j, began)
	defer s.jobs.remove(view)
	params := job.Params{
		Job: j, Runner: &runner, Client: client, Engines: job.Local{}, Version: s.o.Version, SystemID: s.systemID,
		Slot: slot, ProjectSlot: slot, HelperArchive: s.o.HelperArchive, Log: s.log,
		OnState: func(at job.State) {
			counted.Stage(at.Stage)
			s.jobs.stage(view, at.Stage)
		},
		OnInputs: s.metrics.Interpolated,
	}
	var engines *machineEngines
	if held, ok := lease.(*hold); ok && held.lease != nil {
		engines = &machineEngines{pool: w.pool, jobID: j.ID, since: began, held: held.lease, log: log}
		engines.waits = func() { counted.ExecutorStage(metrics.StageUseMachine) }
		engines.placed = func(e job.Engine) {
			counted.Placed(e.Machine, e.Instance, time.Since(began))
			s.jobs.placed(view, e)
		}
		params.Engines, params.ProjectSlot, params.OnEnding = engines, 0, engines.ending
	}
	result := job.Run(s.jobsCtx, params)
	if engines != nil {
		counted.ExecutorStage(metrics.StageReleaseMachine)
		engines.end(result.Broken)
	}
	counted.End(result.Duration, string(result.Reason))
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
