package supervisor

import (
	"cmp"
	"context"
	"os"
	"slices"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/executor/docker"
	"github.com/millwright-ci/millwright/agent/job"
)

// sweepEvery is how often engines are looked at, unless the options say otherwise.
const sweepEvery = 5 * time.Minute

// engineKey tells engines that runners of the executor docker use apart.
type engineKey struct{ host, certs string }

// sweepLoop removes what jobs have left on engines of one's own that this agent knows nothing of: their state was lost with the runtime
// directory, or they could not be cleared. What is found at two looks in a row goes. Machines are no matter of it: they are cleared before they
// serve again, or removed.
func (s *Supervisor) sweepLoop(ctx context.Context) {
	tick := time.NewTicker(cmp.Or(s.o.SweepEvery, sweepEvery))
	defer tick.Stop()
	seen := map[engineKey]map[string]bool{}
	for {
		seen = s.sweepEngines(ctx, seen)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// sweepEngines looks at each engine once.
func (s *Supervisor) sweepEngines(ctx context.Context, seen map[engineKey]map[string]bool) map[engineKey]map[string]bool {
	found := map[engineKey]map[string]bool{}
	for key, c := range enginesOfOnesOwn(s.currentConfig()) {
		next, err := docker.Sweep{Config: c, Agent: s.Owner(), Known: s.knows, Seen: seen[key], Log: s.log}.Run(ctx)
		if err != nil && ctx.Err() == nil {
			s.log.Debug("What lost jobs left on the engine stays for now", "engine", key.host, "error", err)
		}
		found[key] = next
	}
	return found
}

func enginesOfOnesOwn(c *config.Config) map[engineKey]*config.Docker {
	out := map[engineKey]*config.Docker{}
	for i := range c.Runners {
		if r := &c.Runners[i]; r.Executor == executorDocker {
			out[engineKey{r.Docker.Host, r.Docker.TLSCertPath}] = &r.Docker
		}
	}
	return out
}

// clearLost removes what a job that could not be taken up has on an engine of one's own, also where its state could not be read.
func (s *Supervisor) clearLost(k job.Kept) {
	if k.Runner.Executor != executorDocker || s.knows(k.Job.ID) { // another coordinator's job may have the same id
		return
	}
	sweep := docker.Sweep{Config: &k.Runner.Docker, Agent: s.Owner(), Known: func(id int64) bool { return id != k.Job.ID }, Log: s.log}
	var err error
	for range 2 { // what is found at two looks goes
		if sweep.Seen, err = sweep.Run(s.retiring); err != nil {
			s.log.Warn("What a job has left that could not be taken up stays for now", "job", k.Job.ID, "error", err)
			return
		}
	}
}

// knows tells whether a job is in hand, or one of an agent before that is still to be taken up or reported.
func (s *Supervisor) knows(jobID int64) bool {
	if slices.ContainsFunc(s.jobs.list(), func(v JobView) bool { return v.ID == jobID }) {
		return true
	}
	for _, k := range s.kept {
		if k.Job.ID != jobID {
			continue
		}
		if _, err := os.Stat(k.Dir); err == nil { // it goes with the job
			return true
		}
	}
	return false
}
