package drivertest

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"
)

// Outcome is what became of one check.
type Outcome struct {
	Check    string
	Problems []string // none: it passed, or was left out
	Skipped  string   // why
	Took     time.Duration
}

// Examine runs the suite outside of tests and tells report what became of each check as soon as that is known. newSubject is called once,
// and once for each that it declares what is wanted for. It ends early with ctx.
func Examine(ctx context.Context, newSubject func() Subject, report func(Outcome)) {
	declared := newSubject()
	for _, c := range checks {
		if ctx.Err() != nil {
			return
		}
		if why := c.lacks(declared); why != "" {
			report(Outcome{Check: c.name, Skipped: why})
			continue
		}
		report(examine(ctx, c.name, func(t TB) { c.test(newBench(t, newSubject())) }))
	}
}

// examine runs one check on a goroutine of its own, which Fatalf ends.
func examine(ctx context.Context, name string, check func(TB)) Outcome {
	began := time.Now()
	e := &examination{ctx: ctx, Outcome: Outcome{Check: name}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer e.cleanUp()
		check(e)
	}()
	<-done
	e.Took = time.Since(began)
	return e.Outcome
}

// examination is a test outside of tests.
type examination struct {
	ctx      context.Context // of the whole suite: what testing.T's is to a test
	cleanups []func()

	mu sync.Mutex // guards Problems, which the goroutines of a check may add to
	Outcome
}

func (e *examination) Helper()                  {}
func (e *examination) Context() context.Context { return e.ctx }

func (e *examination) Cleanup(f func()) { e.cleanups = append(e.cleanups, f) }

func (e *examination) cleanUp() {
	for _, f := range slices.Backward(e.cleanups) {
		f()
	}
}

func (e *examination) Errorf(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.Problems = append(e.Problems, fmt.Sprintf(format, args...))
}

func (e *examination) Fatalf(format string, args ...any) {
	e.Errorf(format, args...)
	runtime.Goexit()
}
