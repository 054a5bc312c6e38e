package embedded

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/ciyaml"
	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
)

// Server is a running coordinator. Its methods are safe for concurrent use.
type Server struct {
	o       Options
	url     string
	dir     string
	tempDir bool
	project *project // nil without Options.Root

	http   *http.Server
	store  *objectStore // nil without Options.DirectDownload
	ctx    context.Context
	stop   context.CancelFunc
	wait   sync.WaitGroup // own goroutines
	active sync.WaitGroup // requests under way; added to under mu and before closing
	events chan struct{}  // capacity 1: there are events to give
	once   sync.Once
	closed error

	mu         sync.Mutex // guards all below
	runners    []*runner
	nextID     int64
	jobs       map[int64]*job
	order      []*job // in the order of their making
	queue      []*job
	queueValue string        // X-GitLab-Last-Update
	queueMoved chan struct{} // closed and replaced with each new value
	pipeline   *pipeline
	canceled   bool // CancelAll was called; nothing is tried again
	closing    bool
	pending    []Event
	violations []Violation
	faults     []*Fault
}

// New serves what the options say until Close. With Options.Root it needs git.
func New(o Options) (*Server, error) {
	o = o.withDefaults()
	s := &Server{
		o: o, jobs: map[int64]*job{}, queueMoved: make(chan struct{}), queueValue: randomToken(), events: make(chan struct{}, 1),
		nextID: 1000, dir: o.Dir,
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.addRunner("default")
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.wait.Go(s.giveEvents)
	s.wait.Go(s.sweep)
	return s, nil
}

// open makes the folders, the repository and the listeners.
func (s *Server) open() error {
	if s.dir == "" {
		dir, err := os.MkdirTemp("", "millwright-coordinator-")
		if err != nil {
			return fmt.Errorf("coordinator: %w", err)
		}
		s.dir, s.tempDir = dir, true
	}
	dir, err := filepath.Abs(s.dir)
	if err != nil {
		return fmt.Errorf("coordinator: folder %s: %w", s.dir, err)
	}
	s.dir = dir
	for _, sub := range []string{"jobs", "artifacts"} {
		if err := os.MkdirAll(filepath.Join(s.dir, sub), 0o700); err != nil {
			return fmt.Errorf("coordinator: %w", err)
		}
	}
	if s.o.Root != "" {
		s.project, err = openProject(s.ctx, s.o, filepath.Join(s.dir, "repository.git"))
		if err != nil {
			return fmt.Errorf("coordinator: project %s: %w", s.o.Root, err)
		}
	}
	listener, err := net.Listen("tcp", s.o.Addr)
	if err != nil {
		return fmt.Errorf("coordinator: %w", err)
	}
	s.url = strings.TrimRight(s.o.URL, "/")
	if s.url == "" {
		s.url = "http://" + listener.Addr().String()
	}
	s.http = s.serve(listener, s.routes())
	if s.o.DirectDownload {
		if s.store, err = s.openStore(); err != nil {
			return fmt.Errorf("coordinator: object store: %w", err)
		}
	}
	return nil
}

// serve answers requests at a listener until Close.
func (s *Server) serve(listener net.Listener, handler http.Handler) *http.Server {
	server := &http.Server{
		Handler:           handler,
		BaseContext:       func(net.Listener) context.Context { return s.ctx },
		ReadHeaderTimeout: 30 * time.Second,
	}
	s.wait.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.o.Log.Error("the embedded coordinator stops serving", "err", err)
		}
	})
	return server
}

// Close stops serving, ends what is under way, gives the last events and returns when nothing of the server runs any more.
func (s *Server) Close() error {
	s.once.Do(func() {
		s.mu.Lock()
		s.closing = true
		s.mu.Unlock()
		s.stop()
		if s.http != nil {
			s.closed = s.http.Close()
		}
		if s.store != nil {
			s.closed = errors.Join(s.closed, s.store.http.Close())
		}
		s.active.Wait()
		s.wait.Wait()
		if s.tempDir {
			s.closed = errors.Join(s.closed, os.RemoveAll(s.dir))
		}
	})
	return s.closed
}

// URL is what goes into a runner's url, and the base of all others.
func (s *Server) URL() string { return s.url }

// Dir is where repository, artifacts and traces lie.
func (s *Server) Dir() string { return s.dir }

// RunnerToken is the token of the runner that every server has.
func (s *Server) RunnerToken() config.Secret {
	s.mu.Lock()
	defer s.mu.Unlock()
	return config.Secret(s.runners[0].token)
}

// AddRunner makes another runner and returns its token.
func (s *Server) AddRunner(description string) config.Secret {
	s.mu.Lock()
	defer s.mu.Unlock()
	return config.Secret(s.addRunner(description).token)
}

func (s *Server) addRunner(description string) *runner {
	r := &runner{id: int64(len(s.runners) + 1), token: "glrt-" + randomToken(), description: description}
	s.runners = append(s.runners, r)
	return r
}

// Enqueue puts one job into the queue as it is and returns its id. Filled in where empty: id and token (always the server's own),
// the features of the coordinator, and with a project what to check out.
func (s *Server) Enqueue(payload coordinator.Job) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.newJob(payload.Info.Name, payload.Info.Stage)
	j.raw = &payload
	s.move(j, Queued)
	return j.status.ID
}

// Jobs are all jobs so far, in the order of their making.
func (s *Server) Jobs() []JobStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]JobStatus, len(s.order))
	for i, j := range s.order {
		out[i] = j.status
	}
	return out
}

// Job is one job with what it has left so far.
func (s *Server) Job(id int64) (JobResult, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j, ok := s.jobs[id]
	if !ok {
		return JobResult{}, false
	}
	return j.result(), true
}

// Trace is a job's trace, raw as received; empty before the first byte.
func (s *Server) Trace(id int64) ([]byte, error) {
	r, ok := s.Job(id)
	if !ok {
		return nil, fmt.Errorf("coordinator: there is no job %d", id)
	}
	raw, err := os.ReadFile(r.TraceFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return raw, err
}

// WaitJob waits for a job's end. A job that is tried again has ended too: the new try has an id of its own.
func (s *Server) WaitJob(ctx context.Context, id int64) (JobResult, error) {
	s.mu.Lock()
	j := s.jobs[id]
	s.mu.Unlock()
	if j == nil {
		return JobResult{}, fmt.Errorf("coordinator: there is no job %d", id)
	}
	select {
	case <-j.done:
		s.mu.Lock()
		defer s.mu.Unlock()
		return j.result(), nil
	case <-ctx.Done():
		return JobResult{}, ctx.Err()
	case <-s.ctx.Done():
		return JobResult{}, errClosed
	}
}

var errClosed = errors.New("coordinator: closed")

// StartPipeline begins a pipeline. only names the jobs that are wanted, by the names of the file; those whose result they need
// come along. Without names all jobs run, but manual ones. A server runs one pipeline.
func (s *Server) StartPipeline(p *ciyaml.Pipeline, only ...string) error {
	if s.project == nil {
		return errors.New("coordinator: a pipeline needs a project; set Options.Root")
	}
	jobs, err := s.resolve(p, only)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pipeline != nil {
		return errors.New("coordinator: a pipeline has been started already")
	}
	s.pipeline = s.newPipeline(p, jobs, only)
	s.emit(Event{Time: time.Now(), Pipeline: s.pipeline.summary()})
	s.schedule()
	return nil
}

// Wait waits for the pipeline's end.
func (s *Server) Wait(ctx context.Context) (Summary, error) {
	s.mu.Lock()
	line := s.pipeline
	s.mu.Unlock()
	if line == nil {
		return Summary{}, errors.New("coordinator: no pipeline has been started")
	}
	select {
	case <-line.done:
	case <-ctx.Done():
		return s.Summary(), ctx.Err()
	case <-s.ctx.Done():
		return s.Summary(), errClosed
	}
	return s.Summary(), nil
}

// Summary is the pipeline as it stands; the zero value without one.
func (s *Server) Summary() Summary {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pipeline == nil {
		return Summary{}
	}
	return *s.pipeline.summary()
}

// emit hands an event to the goroutine that gives them. The caller holds mu.
func (s *Server) emit(e Event) {
	s.pending = append(s.pending, e)
	select {
	case s.events <- struct{}{}:
	default:
	}
}

// giveEvents calls OnEvent in order, without the lock, until the server closes and the last one is given.
func (s *Server) giveEvents() {
	for {
		s.mu.Lock()
		events := s.pending
		s.pending = nil
		s.mu.Unlock()
		for _, e := range events {
			s.o.OnEvent(e)
		}
		if len(events) > 0 {
			continue
		}
		select {
		case <-s.events:
		case <-s.ctx.Done():
			if s.drained() {
				return
			}
		}
	}
}

func (s *Server) drained() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.pending) == 0
}

// bumpQueue gives the queue a new value and wakes those who poll for it. The caller holds mu.
func (s *Server) bumpQueue() {
	s.queueValue = randomToken()
	close(s.queueMoved)
	s.queueMoved = make(chan struct{})
}

// sweep drops jobs that a runner took and does not begin, and running ones that have fallen silent.
func (s *Server) sweep() {
	ticker := time.NewTicker(min(max(min(s.o.CommitTimeout, s.o.StuckTimeout)/4, 10*time.Millisecond), time.Second))
	defer ticker.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-ticker.C:
			s.dropSilent(time.Now())
		}
	}
}

func (s *Server) dropSilent(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range slices.Clone(s.order) {
		silent := now.Sub(j.lastSeen)
		switch {
		case j.status.State == Pending && silent > s.o.CommitTimeout:
			s.end(j, Failed, ProvisioningTimeout, 0, fmt.Sprintf("the runner did not begin it within %s", s.o.CommitTimeout))
		case j.status.State == Running && silent > s.o.StuckTimeout:
			s.end(j, Failed, StuckOrTimeout, 0, fmt.Sprintf("the runner was silent for %s", s.o.StuckTimeout))
		case j.status.State == Canceling && silent > s.o.StuckTimeout:
			s.end(j, Canceled, "", 0, "the runner was silent")
		}
	}
}

// Cancel cancels a job as a user does: a running one whose runner can run after_script first becomes canceling, others end at once.
// A canceling job stays so.
func (s *Server) Cancel(id int64) error { return s.cancel(id, false) }

// ForceCancel ends a job at once; the runner hears of it with its next call.
func (s *Server) ForceCancel(id int64) error { return s.cancel(id, true) }

func (s *Server) cancel(id int64, force bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	j, ok := s.jobs[id]
	if !ok {
		return fmt.Errorf("coordinator: there is no job %d", id)
	}
	s.cancelJob(j, force)
	return nil
}

// cancelJob does nothing to a job that has ended. The caller holds mu.
func (s *Server) cancelJob(j *job, force bool) {
	switch {
	case j.status.State.Final():
	case !force && j.status.State == Running && j.graceful:
		s.move(j, Canceling)
	case !force && j.status.State == Canceling:
	default:
		s.end(j, Canceled, "", 0, "canceled")
	}
}

// CancelAll cancels every job that has not ended: gracefully the first time, by force the second.
func (s *Server) CancelAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	force := s.canceled
	s.canceled = true
	// Those that wait go first, so that none of them is started by the end of another.
	for _, waiting := range []bool{true, false} {
		for _, j := range slices.Clone(s.order) {
			if (j.status.State == Created || j.status.State == Queued) == waiting {
				s.cancelJob(j, force)
			}
		}
	}
}

// randomToken is 20 letters and digits and more: 26 in base 32, 130 bits.
func randomToken() string { return rand.Text() }
