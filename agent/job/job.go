// Package job runs one job from its acceptance to its final report: it drives the stages in GitLab Runner's order, writes their
// scripts, and decides what a failure, a time-out or a cancel means for the rest. Where the stages run is the executor's matter,
// where the engine comes from is its caller's.
package job

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/executor"
	"github.com/millwright-ci/millwright/agent/executor/docker"
	"github.com/millwright-ci/millwright/agent/job/remotecache"
	"github.com/millwright-ci/millwright/agent/trace"
)

// Params are what a job needs. They are not changed.
type Params struct {
	Job     *coordinator.Job
	Runner  *config.Runner
	Client  trace.Client // *coordinator.Client is one
	Engines Engines
	Version Version
	// SystemID is the agent's, Slot the job's number among those of the runner, ProjectSlot the one among those of runner and
	// project (always 0 for docker+machine); both count from 0.
	// Owner is the id of the agent's state directory, which marks what the job makes on an engine; "" marks nothing.
	SystemID, Owner   string
	Slot, ProjectSlot int
	Host              string // the agent's host, for engines that are no machine's; "" asks the system
	// HelperArchive returns the path of the helper image's archive for an architecture in Go's words; "" when there is none.
	HelperArchive func(arch string) string
	// EngineFacts is shared by all jobs of an agent; nil remembers nothing of engines.
	EngineFacts *docker.EngineFacts
	OnHost      OnHost
	// Caches signs the addresses of remote caches; nil makes one for this job alone, which fetches its credentials anew.
	Caches   *remotecache.Store
	TraceDir string // for the trace's buffer; "" means os.TempDir
	// Keep is the job's folder among those of running jobs, which holds the Record; Run removes it at the job's end. "" keeps nothing: the
	// job ends with the agent.
	Keep string
	// Lost is why a job that an agent before has begun can't be taken up; nil takes up what Keep holds.
	Lost error
	Log  *slog.Logger
	// OnState, if set, is called whenever a stage begins or its script has been started. It must return soon.
	OnState func(State)
	// OnInputs, if set, is called when the job's inputs were put in, with unknown or sensitive where one could not be.
	OnInputs func(failure string)
	// OnEnding, if set, is called when the job's end is about to be reported, while its engine is still to be cleared and worth using
	// again. It must return soon.
	OnEnding func()
}

// Version is what the agent calls itself in the job's first line.
type Version struct {
	Version, Revision string
}

// State says where a job is. With the job's payload it is what another agent needs to take the job up.
type State struct {
	JobID   int64
	Machine string // "" for an engine of the host's own
	Stage   string // the section's name: get_sources, step_script
	Status  string // the value of CI_JOB_STATUS
	executor.Position
	TraceSize int64 // bytes of the trace when the stage began
}

// defaultTimeout is the job's when the coordinator names none.
const defaultTimeout = 2 * time.Hour

// run is one job on its way.
type run struct {
	p        Params
	log      *slog.Logger // names the machine, once there is one
	base     *slog.Logger // names the job
	flags    flags
	vars     *variables
	paths    paths
	strategy string // GIT_STRATEGY in force
	timeout  time.Duration
	secrets  coordinator.Variables // those that are resolved
	warnings []string              // of the settings, to be shown once the trace is open
	setup    error                 // why the settings can't be used; shown once the trace is open

	trace  *trace.Trace
	engine Engine
	// engineErr is why no engine could be had.
	engineErr error
	notice    error // the provider's, that it takes the machine back
	exec      executor.Executor
	ready     executor.Ready
	untidy    bool // tidyUp has something to do
	uploads   []remotecache.Parts
	status    string
	// engineLost is set when a stage met an engine that does not answer, or can't work: nothing more is run on it.
	engineLost bool

	control control
	replay
}

// Run runs a job that the coordinator has just handed out, and returns when its end is reported and nothing of it is left on the
// engine. It makes, starts and finishes the job's trace itself: nothing may be sent of it before the job is accepted, which
// waits for the engine.
//
// A ctx that ends stops the job by force: it fails with runner_interrupted and the text of the context's cause.
func Run(ctx context.Context, p Params) Result {
	began := time.Now()
	r := newRun(p)
	res := r.run(ctx)
	res.Duration = time.Since(began)
	if res.Left {
		r.log.Info("job left to the next agent", "stages_done", len(r.progress.Done))
		return res
	}
	r.log.Info("job ended", "state", res.State, "reason", res.Reason, "exit_code", res.Code, "duration", res.Duration.Round(time.Millisecond), "error", res.Err)
	return res
}

func newRun(p Params) *run {
	log := p.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	job := *p.Job // configure changes it
	p.Job = &job
	if p.Caches == nil {
		p.Caches = remotecache.New(remotecache.Options{})
	}
	log = log.With("job", p.Job.ID, "runner", p.Runner.Name)
	r := &run{p: p, log: log, base: log, status: "running"}
	r.configure()
	return r
}

func (r *run) run(ctx context.Context) (res Result) {
	if err := r.openTrace(); err != nil {
		defer r.forget(res)
		return r.stillborn(ctx, err)
	}
	tr := r.trace
	defer tr.Close()
	r.maskValues()
	// What must still be done when the agent is told to stop goes by alive, the job itself by ctx.
	alive, stop := graceAfter(ctx, shutdownGrace)
	defer stop()
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	r.control.abort = abort
	r.start = func() { tr.Start(alive) }
	r.gone = func() bool { return left(ctx) }
	defer context.AfterFunc(ctx, func() {
		if left(ctx) {
			tr.Leave()
		}
	})()
	defer func() { r.forget(res) }()

	accepted, err := r.take(ctx, alive)
	if left(ctx) {
		return r.leave()
	}
	if !accepted {
		if err := r.cleanup(alive); err != nil { // of a job that was taken up
			r.log.Warn("clean-up", "error", err)
		}
		return Result{State: coordinator.JobFailed, Reason: coordinator.JobCanceled, Err: err, Dropped: true}
	}
	if err == nil {
		err = r.body(ctx)
	}
	if left(ctx) {
		return r.leave()
	}
	return r.finish(alive, r.blameProvider(alive, err))
}

// stillborn reports a job for which not even a trace could be had.
func (r *run) stillborn(ctx context.Context, err error) Result {
	_, unsent := r.p.Client.UpdateJob(ctx, r.p.Job, coordinator.Update{State: coordinator.JobFailed, FailureReason: coordinator.RunnerSystemFailure})
	return Result{State: coordinator.JobFailed, Reason: coordinator.RunnerSystemFailure, Sent: coordinator.RunnerSystemFailure, Err: err, Unsent: unsent}
}

// body is all between the acceptance and the end.
func (r *run) body(ctx context.Context) error {
	r.greet()
	if r.setup != nil {
		return r.setup
	}
	if err := r.resolveSecrets(); err != nil {
		return err
	}
	ctx, end := r.within(ctx, "job", r.timeout, timeoutf("execution took longer than %s", r.timeout))
	defer end()
	return r.stages(ctx)
}

// greet writes the first lines of every job.
func (r *run) greet() {
	v := r.p.Version
	r.trace.Println(fmt.Sprintf("Running with millwright %s (%s), compatible with gitlab-runner %s", v.Version, v.Revision, coordinator.CompatVersion))
	r.trace.Println(fmt.Sprintf("  on %s %s, system ID: %s", r.p.Runner.Name, config.ShortToken(r.p.Runner.Token), r.p.SystemID))
	if changed := r.flags.changed(); changed != "" {
		r.trace.Println("  feature flags: " + changed)
	}
	for _, w := range r.warnings {
		r.trace.Warningln(w)
	}
}

// finish writes the last line, then reports the end and clears the engine at the same time: who waits for the job need not wait
// for the clearing.
func (r *run) finish(ctx context.Context, err error) Result {
	reason, code, classified := classify(err)
	res := Result{State: coordinator.JobFailed, Reason: reason, Code: code, Err: err}
	switch {
	case err == nil:
		res = Result{State: coordinator.JobSuccess}
		r.trace.Infoln("Job succeeded")
	default:
		res.Sent = r.p.Job.Features.Accepted(reason)
		res.Dropped = errors.Is(err, errAborted) || r.trace.Aborted()
		if r.stranded {
			r.goLive() // else the line would count as one of those that are repeated
		}
		r.trace.Errorln(verdict(reason, classified, err))
	}
	if r.p.OnEnding != nil && !isEngineFault(err) {
		r.p.OnEnding()
	}
	r.goLive() // not before the last line, which an agent before may have said
	r.noteEnding()
	var group sync.WaitGroup
	group.Go(func() {
		if err := r.cleanup(ctx); err != nil {
			r.log.Warn("clean-up", "error", err)
			res.Broken = true
		}
	})
	unsent := r.trace.Finish(ctx, trace.Outcome{State: res.State, FailureReason: res.Sent, ExitCode: res.Code})
	group.Wait()
	res.Unsent = unsent
	res.Broken = res.Broken || isEngineFault(err) || r.notice != nil
	return res
}

// cleanupLimit bounds the removal of what a job made, lostCleanupLimit that from an engine that did not answer before.
const (
	cleanupLimit     = 5 * time.Minute
	lostCleanupLimit = 20 * time.Second
)

func (r *run) cleanup(ctx context.Context) error {
	if r.exec == nil {
		return nil
	}
	limit := cleanupLimit
	if r.engineLost {
		limit = lostCleanupLimit
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	r.tidyUp(ctx)
	err := r.exec.Cleanup(ctx)
	r.exec = nil
	return err
}

// shutdownGrace is what a job has to stop, clear up and report once the agent is told to stop.
const shutdownGrace = 25 * time.Second

// graceAfter returns a context that outlives ctx by d.
func graceAfter(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	alive, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var timer *time.Timer
	var mu sync.Mutex
	release := context.AfterFunc(ctx, func() {
		mu.Lock()
		defer mu.Unlock()
		timer = time.AfterFunc(d, cancel)
	})
	return alive, func() {
		release()
		cancel()
		mu.Lock()
		defer mu.Unlock()
		if timer != nil {
			timer.Stop()
		}
	}
}
