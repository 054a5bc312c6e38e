package supervisor

import (
	"time"

	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/feed"
	"github.com/millwright-ci/millwright/agent/job"
	"github.com/millwright-ci/millwright/agent/metrics"
)

// handle runs one job that the feed received, on what it held when it asked. It returns when the job's end is reported and its
// machine is given back.
func (s *Supervisor) handle(w *worker, j *coordinator.Job, lease feed.Lease) {
	defer lease.Release()
	runner, client := w.current(), w.api()
	defer w.done(client)
	slot := w.takeSlot()
	defer w.giveSlot(slot)
	counted := s.metrics.JobStarted(w.labels(), metrics.JobStart{
		Executor: runner.Executor, Queued: time.Duration(j.Info.TimeInQueueSeconds * float64(time.Second)),
		ProjectRunning: j.Info.ProjectJobsRunning, QueueSize: j.Info.QueueSize, QueueDepth: j.Info.QueueDepth,
	})
	params := job.Params{
		Job: j, Runner: &runner, Client: client, Engines: job.Local{}, Version: s.o.Version, SystemID: s.systemID,
		Slot: slot, ProjectSlot: slot, HelperArchive: s.o.HelperArchive, Log: s.log,
		OnState: func(at job.State) { counted.Stage(at.Stage) },
	}
	var engines *machineEngines
	if held, ok := lease.(*hold); ok && held.lease != nil {
		engines = &machineEngines{pool: w.pool, jobID: j.ID, held: held.lease}
		params.Engines, params.ProjectSlot = engines, 0
	}
	result := job.Run(s.jobsCtx, params)
	if engines != nil {
		engines.end(result.Broken)
	}
	counted.End(result.Duration, string(result.Reason))
}
