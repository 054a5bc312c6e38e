package scale

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Size is what is measured: an agent with so many machines and jobs, and how each is looked at.
type Size struct {
	Machines, Jobs int
	Lasts          time.Duration // of a job, on average
	Rate           int           // bytes of trace a second and job
	Window         time.Duration // how long the agent is watched, once idle and once with its jobs
	Settle         time.Duration // how long it is left alone before
	Patience       time.Duration // how long all machines may take, and all jobs to run
}

// Figures are an agent over one window.
type Figures struct {
	Machines, Jobs int
	Memory         memory        // at the end
	CPU            float64       // of one core: 1 is all of it
	TickP50        time.Duration // of the pool
	TickP99        time.Duration
	Ticks          int           // that these are of
	PickUpP50      time.Duration // of a queued job, by the coordinator's clock
	PickUpP95      time.Duration
	PickUps        int
	Ended, Failed  int     // jobs, within the window
	TraceRate      float64 // bytes a second that arrived at the coordinator
	Goroutines     int
	HeapBytes      int64 // in use by the agent's Go heap
	Load           float64
}

const (
	tickSeries = `millwright_pool_step_seconds_bucket{by="clock"`
	tickCount  = `millwright_pool_step_seconds_count{by="clock"}`
)

// Measure starts a world of that size and returns how the agent was while idle, and then with jobs, if there are to be any.
func Measure(ctx context.Context, p Programs, s Size, progress io.Writer, look func(what string, w Look)) (idle, busy *Figures, err error) {
	began := time.Now()
	w, err := newWorld(ctx, p, s.Machines, s.Jobs)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	say := func(format string, args ...any) {
		fmt.Fprintf(progress, "%6.1fs  %d machines, %d jobs: %s\n", time.Since(began).Seconds(), s.Machines, s.Jobs, fmt.Sprintf(format, args...))
	}
	if err := w.machines(ctx, s); err != nil {
		return nil, nil, err
	}
	say("the machines are idle")
	if idle, err = w.watch(ctx, s, 0); err != nil {
		return nil, nil, err
	}
	say("%s", idle)
	look("idle", Look{PID: w.agent.cmd.Process.Pid, Dir: w.dir, Figures: *idle})
	if s.Jobs == 0 {
		return idle, nil, nil
	}
	if err := w.jobs(ctx, s); err != nil {
		return idle, nil, err
	}
	say("the jobs run")
	if busy, err = w.watch(ctx, s, s.Jobs); err != nil {
		return idle, nil, err
	}
	say("%s", busy)
	look("busy", Look{PID: w.agent.cmd.Process.Pid, Dir: w.dir, Figures: *busy})
	return idle, busy, nil
}

// Look is an agent at the end of a window, while it lives.
type Look struct {
	PID     int
	Dir     string // with its state directory, state
	Figures Figures
}

// machines waits until all are there.
func (w *world) machines(ctx context.Context, s Size) error {
	ctx, cancel := context.WithTimeoutCause(ctx, s.Patience, fmt.Errorf("not within %s", s.Patience))
	defer cancel()
	return until(ctx, 200*time.Millisecond, fmt.Sprintf("%d idle machines", s.Machines), w.agent, func() (bool, error) {
		now, err := w.scrape(ctx)
		if err != nil {
			return false, err
		}
		n := 0
		for _, state := range []string{"idle", "acquired"} { // the request for a job that is held open has one of them
			n += int(now.sum(`millwright_machines{runner_name="scale",state="` + state + `"`))
		}
		if n < s.Machines {
			return false, fmt.Errorf("there are %d", n)
		}
		return true, nil
	})
}

// jobs has the coordinator keep the load up, and waits until all jobs run.
func (w *world) jobs(ctx context.Context, s Size) error {
	if err := w.load(ctx, Load{Jobs: s.Jobs, Lasts: s.Lasts, Rate: s.Rate, PerSecond: 20}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.Patience, fmt.Errorf("not within %s", s.Patience))
	defer cancel()
	return until(ctx, 200*time.Millisecond, fmt.Sprintf("%d running jobs", s.Jobs), w.agent, func() (bool, error) {
		now, err := w.status(ctx)
		switch {
		case err != nil:
			return false, err
		case now.Failed > 0:
			return false, fmt.Errorf("%d failed: %q; the agent's log ends with\n%s", now.Failed, now.Why, w.agent.tail())
		case now.Running < s.Jobs-s.Jobs/20: // some are between two
			return false, fmt.Errorf("there are %d", now.Running)
		}
		return true, nil
	})
}

// watch measures one window. The metrics are read as Prometheus would, every 15 seconds.
func (w *world) watch(ctx context.Context, s Size, jobs int) (*Figures, error) {
	if err := pause(ctx, s.Settle, w.agent); err != nil {
		return nil, err
	}
	if err := w.reset(ctx); err != nil {
		return nil, err
	}
	pid := w.agent.cmd.Process.Pid
	before, err := w.look(ctx, pid)
	if err != nil {
		return nil, err
	}
	for over := time.Now().Add(s.Window); time.Now().Before(over); {
		if err := pause(ctx, min(15*time.Second, time.Until(over)), w.agent); err != nil {
			return nil, err
		}
		if _, err := w.scrape(ctx); err != nil {
			return nil, err
		}
	}
	after, err := w.look(ctx, pid)
	if err != nil {
		return nil, err
	}
	if len(after.status.Violations) > 0 {
		return nil, fmt.Errorf("the coordinator complains: %q", after.status.Violations)
	}
	if after.status.Failed > 0 {
		return nil, fmt.Errorf("%d jobs failed: %q; the agent's log ends with\n%s", after.status.Failed, after.status.Why, w.agent.tail())
	}
	took := after.at.Sub(before.at).Seconds()
	if most := s.mostEnds(jobs, took); after.status.Succeeded > most {
		return nil, fmt.Errorf("%d jobs ended in %.0f s, and it can be %d at most as long as they last: their scripts are not played, so this measures something else", after.status.Succeeded, took, most)
	}
	d := after.page.since(before.page)
	f := &Figures{
		Machines: s.Machines, Jobs: jobs, CPU: (after.cpu - before.cpu).Seconds() / took,
		TickP50: d.histogram(tickSeries, 0.5), TickP99: d.histogram(tickSeries, 0.99), Ticks: int(d[tickCount]),
		PickUpP50: quantile(after.status.PickUps, 0.5), PickUpP95: quantile(after.status.PickUps, 0.95), PickUps: len(after.status.PickUps),
		Ended: after.status.Succeeded, Failed: after.status.Failed,
		TraceRate:  float64(after.status.TraceBytes-before.status.TraceBytes) / took,
		Goroutines: int(after.page["go_goroutines"]), HeapBytes: int64(after.page["go_memstats_heap_inuse_bytes"]), Load: loadAverage(),
	}
	f.Memory, err = memoryOf(pid)
	return f, err
}

// mostEnds is how many jobs can end within so many seconds: each lasts half as long as the average at least.
func (s Size) mostEnds(jobs int, seconds float64) int {
	return int(float64(jobs) * (1 + 2*seconds/s.Lasts.Seconds()))
}

// moment is what a window begins and ends with.
type moment struct {
	at     time.Time
	cpu    time.Duration
	page   page
	status LoadStatus
}

func (w *world) look(ctx context.Context, pid int) (m moment, err error) {
	if m.page, err = w.scrape(ctx); err != nil {
		return m, err
	}
	if m.status, err = w.status(ctx); err != nil {
		return m, err
	}
	m.at = time.Now()
	m.cpu, err = processorTime(pid)
	return m, err
}

// pause waits unless the agent ends.
func pause(ctx context.Context, d time.Duration, alive *child) error {
	over := time.Now().Add(d)
	return until(ctx, max(d, time.Millisecond), "the window", alive, func() (bool, error) { return !time.Now().Before(over), nil })
}

func (f *Figures) String() string {
	s := fmt.Sprintf("RSS %s (max %s), CPU %.1f %% of a core, tick p50 %s p99 %s of %d", megabytes(f.Memory.RSS), megabytes(f.Memory.RSSMax),
		100*f.CPU, short(f.TickP50), short(f.TickP99), f.Ticks)
	if f.Jobs > 0 {
		s += fmt.Sprintf(", pick-up p50 %s p95 %s of %d, %d jobs ended, %d failed, trace %.0f KB/s", short(f.PickUpP50), short(f.PickUpP95),
			f.PickUps, f.Ended, f.Failed, f.TraceRate/1000)
	}
	return s + fmt.Sprintf(", %d goroutines, load average %.1f", f.Goroutines, f.Load)
}

func megabytes(n int64) string { return fmt.Sprintf("%.0f MB", float64(n)/1e6) }

// short is a time with three digits at most.
func short(d time.Duration) string {
	switch {
	case d >= time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d >= 10*time.Millisecond:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1e3)
	}
	return fmt.Sprintf("%.2f ms", d.Seconds()*1e3)
}
