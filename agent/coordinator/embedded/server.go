package embedded

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
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
		ErrorLog:          slog.NewLogLogger(s.o.Log.Handler(), slog.LevelWarn),
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

// Handler answers as the server's own address does, for who puts something in front of it; Options.URL is then the address of that.
func (s *Server) Handler() http.Handler { return s.http.Handler }

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
	r := &runner{id: int64(len(s.runners) + 1), description: description}
	s.renew(r, "glrt-")
	s.runners = append(s.runners, r)
	return r
}

// randomToken is 26 letters and digits, 130 bits of chance.
func randomToken() string { return rand.Text() }
