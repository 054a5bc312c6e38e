package supervisor

import (
	"time"

	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/feed"
	"github.com/millwright-ci/millwright/agent/job"
)

// handle runs one job that the feed received, on the lease that it held when it asked. It returns when the job's end is reported and
// its machine is given back.
func (s *Supervisor) handle(w *worker, j *coordinator.Job, lease feed.Lease) {
	w.jobs.Add(1)
	defer w.jobs.Done()
	runner := w.current()
	slot := w.takeSlot()
	defer w.giveSlot(slot)
	params := job.Params{
		Job: j, Runner: &runner, Client: w.api(), Engines: job.Local{}, Version: s.o.Version, SystemID: s.systemID,
		Slot: slot, ProjectSlot: slot, HelperArchive: s.o.HelperArchive, Log: s.log,
	}
	var engines *machineEngines
	if held, ok := lease.(machineLease); ok {
		engines = &machineEngines{pool: w.pool, jobID: j.ID, held: held.lease}
		params.Engines, params.ProjectSlot = engines, 0
	}
	labels := w.labels()
	s.metrics.JobStarted(labels, time.Duration(j.Info.TimeInQueueSeconds*float64(time.Second)))
	result := job.Run(s.jobsCtx, params)
	if engines != nil {
		engines.end(result.Broken)
	}
	s.metrics.JobEnded(labels, result.Duration, string(result.Reason))
}
