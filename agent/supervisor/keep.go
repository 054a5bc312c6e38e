package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/executor"
	"github.com/millwright-ci/millwright/agent/job"
	"github.com/millwright-ci/millwright/agent/pool"
)

// openKept finds the folder of running jobs, and in it those that an agent before has begun. Agents that share a runtime directory
// have a folder each.
func (s *Supervisor) openKept() {
	if s.o.RuntimeDir == "" || s.o.Incumbent != nil {
		return
	}
	s.resumes = true
	if s.o.Operator != nil {
		if op, err := s.o.Operator(); err == nil && op.ResumeJobs != nil {
			s.resumes = *op.ResumeJobs
		}
	}
	dir := filepath.Join(s.o.RuntimeDir, "jobs-"+s.journal.Owner())
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Error("Jobs of the agent before are not taken up", "error", err)
	}
	for _, e := range entries {
		k, err := job.Load(filepath.Join(dir, e.Name()))
		if err != nil { // it was being made when the agent ended, before the coordinator heard of it; or it is of another version
			s.log.Error("A job of the agent before is not taken up; the coordinator ends it when it hears nothing of it", "error", err)
			_ = os.RemoveAll(k.Dir)
			continue
		}
		s.kept = append(s.kept, k)
	}
	if !s.resumes {
		return
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		s.log.Warn("Jobs will end with this agent, since their state can't be kept", "error", err)
		return
	}
	s.keepDir = dir
}

// keepJob makes the folder of a job that begins; "" when it can't, so that the job ends with the agent.
func (s *Supervisor) keepJob(r *job.Record) string {
	if s.keepDir == "" {
		return ""
	}
	dir, err := os.MkdirTemp(s.keepDir, strconv.FormatInt(r.Job.ID, 10)+"-")
	if err == nil {
		err = r.Save(dir)
	}
	if err != nil {
		s.log.Warn("The job will end with this agent, since its state can't be kept", "job", r.Job.ID, "error", err)
		return ""
	}
	return dir
}

// goesOn are the machines of a runner whose jobs are taken up.
func (s *Supervisor) goesOn(key string) map[string][]int64 {
	machines := map[string][]int64{}
	for _, k := range s.kept {
		if s.resumes && k.RunnerKey == key && k.Prepared && k.Machine != "" {
			machines[k.Machine] = append(machines[k.Machine], k.Job.ID)
		}
	}
	return machines
}

// adoptJobs gives the jobs of the agent before their slots, before any other job is asked for. They go on when their runner is there.
func (s *Supervisor) adoptJobs() {
	for _, k := range s.kept {
		if w := s.worker(k.RunnerKey); w != nil && k.Machine != "" {
			w.seats.claim(k.Machine, k.Seat, k.Job.ID)
		}
		s.feed.Adopt(k.RunnerKey, k.Job, func() {
			if w := s.worker(k.RunnerKey); w != nil {
				s.goOn(w, k)
			}
		})
	}
}

// goOn takes up a job of the agent before.
func (s *Supervisor) goOn(w *worker, k job.Kept) {
	w.claimSlot(k.Slot)
	one := &runningJob{record: &k.Record, dir: k.Dir, held: &hold{w: w}}
	one.record.Runner.Cache = w.current().Cache // with the credentials, which no record holds
	if !w.holds.take() {
		one.held = nil
	}
	if w.pool != nil && k.Prepared {
		one.kept = w.pool.Kept(k.Job.ID)
	}
	switch {
	case !s.resumes:
		one.lost = errors.New("resume_jobs of millwright.toml is false")
	case k.Lost != nil:
		one.lost = k.Lost
	case one.held == nil:
		one.lost = errors.New("its runner is out of service")
	case (w.pool == nil) == onMachines(k.Runner.Executor):
		one.lost = fmt.Errorf("its runner has the executor %s now", w.current().Executor)
	case !job.Lasting(k.Runner.Executor):
		one.lost = fmt.Errorf("with the executor %s a job's scripts end with the agent that runs them", k.Runner.Executor)
	case w.pool != nil && k.Prepared && one.kept == nil:
		one.lost = fmt.Errorf("its machine %s is gone", k.Machine)
	case w.pool != nil && k.Prepared:
		one.held.lease = one.kept
	}
	if one.lost != nil && one.kept != nil {
		one.kept.Release(true) // it goes, with all that is on it
	}
	if one.lost != nil {
		w.seats.leave(k.Job.ID)
	}
	s.log.Info("Job taken up", "job", k.Job.ID, "runner", k.Runner.Name, "machine", k.Machine, "lost", one.lost)
	s.work(w, one)
	if one.lost != nil {
		s.clearLost(k)
	}
}

// reportLost tells the coordinators of the jobs of the agent before whose runner is no more.
func (s *Supervisor) reportLost() {
	for _, k := range s.kept {
		if s.worker(k.RunnerKey) == nil {
			s.retired.Go(func() { s.lose(k) })
		}
	}
}

// lose ends a job of the agent before for which there is no worker.
func (s *Supervisor) lose(k job.Kept) {
	o := s.clientOptions(&config.Config{}, k.Runner)
	client, err := coordinator.New(o)
	if err != nil {
		s.log.Error("A job of the agent before is not reported", "job", k.Job.ID, "error", err)
		return
	}
	defer client.Close()
	p := job.Params{
		Job: k.Job, Runner: k.Runner, Client: client, Version: s.o.Version, SystemID: k.SystemID, Owner: s.Owner(), Slot: k.Slot, ProjectSlot: k.ProjectSlot,
		Log: s.log, Keep: k.Dir, Lost: errors.New("its runner is no longer in config.toml"),
	}
	s.log.Info("Job taken up", "job", k.Job.ID, "runner", k.Runner.Name, "machine", k.Machine, "lost", p.Lost)
	if !onMachines(k.Runner.Executor) { // else its machine is removed, with all that is on it
		p.Engines = job.Local{}
	}
	job.Run(s.retiring, p)
	s.clearLost(k)
}

// HandOver makes Run return at once and leave the running jobs to the agent that comes next. Jobs that can't be taken up are waited for.
func (s *Supervisor) HandOver() { s.handOnce.Do(func() { close(s.handOver) }) }

// leave ends the agent but not its jobs, nor its machines.
func (s *Supervisor) leave(ctx context.Context) error {
	s.log.Info("Handing the running jobs over to the next agent")
	s.feed.Drain()
	s.leaveJobs(executor.ErrLeft)
	if !waitFor(ctx, s.feed.Wait) {
		return s.end(ctx, false)
	}
	return s.stopPoolsBy(ctx, func(*worker) *pool.Drain { return nil })
}
