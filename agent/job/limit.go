package job

import (
	"context"
	"slices"
	"time"
)

// limit is a time limit of a part of the job.
type limit struct {
	at    time.Time // when it is over
	cause error
	fire  func()
	timer *time.Timer // nil before goLive
}

func (l *limit) arm() {
	if l.timer == nil {
		l.timer = time.AfterFunc(time.Until(l.at), l.fire)
	}
}

// within is a context with a time limit, which counts from its first beginning though another agent goes on. end must be called.
func (r *run) within(ctx context.Context, name string, d time.Duration, cause error) (limited context.Context, end func()) {
	limited, cancel := context.WithCancelCause(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.progress.Limits == nil {
		r.progress.Limits = map[string]time.Time{}
	}
	began, known := r.progress.Limits[name]
	if !known {
		began = time.Now()
		r.progress.Limits[name] = began
	}
	l := &limit{at: began.Add(d), cause: cause}
	l.fire = func() {
		r.noteEnd(name)
		cancel(cause)
	}
	r.limits[name] = l
	if r.live {
		l.arm()
	}
	return limited, func() {
		r.mu.Lock()
		delete(r.limits, name)
		if l.timer != nil {
			l.timer.Stop()
		}
		r.mu.Unlock()
		cancel(nil)
	}
}

// limitOf returns the name of the limit that ended with cause; "" when none did.
func (r *run) limitOf(cause error) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, l := range r.limits {
		if l.cause == cause {
			return name
		}
	}
	return ""
}

// fire repeats the end of a limit, or a cancel.
func (r *run) fire(name string) {
	if name == cancelName {
		r.control.cancel()
		return
	}
	r.mu.Lock()
	l := r.limits[name]
	r.mu.Unlock()
	if l != nil {
		l.fire()
	}
}

// noteEnd notes when a limit or a cancel ended something, once.
func (r *run) noteEnd(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := slices.ContainsFunc(r.progress.Ends, func(e ending) bool { return e.Name == name })
	if !known {
		r.progress.Ends = append(r.progress.Ends, ending{After: r.next, Name: name})
	}
}
