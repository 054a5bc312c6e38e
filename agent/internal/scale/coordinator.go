package scale

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/coordinator/embedded"
	"github.com/millwright-ci/millwright/agent/internal/fakecloud"
)

// Load is how many jobs there are to be at any time, and what each does. A job that ends makes place for the next.
type Load struct {
	Jobs      int           `json:"jobs"`
	Lasts     time.Duration `json:"lasts"`      // on average; each job half as long to one and a half times as long
	Rate      int           `json:"rate"`       // bytes of trace a second
	PerSecond int           `json:"per_second"` // jobs that are queued a second at most
}

// LoadStatus is what became of a load. Counts and waits are since the last reset.
type LoadStatus struct {
	Running    int             `json:"running"`
	Succeeded  int             `json:"succeeded"`
	Failed     int             `json:"failed"`
	PickUps    []time.Duration `json:"pick_ups"` // from queued to handed out
	TraceBytes int64           `json:"trace_bytes"`
	Why        []string        `json:"why"`        // of the first failures
	Violations []string        `json:"violations"` // of the runner API
}

// Announcement is the line by which a coordinator's process says where it is.
type Announcement struct {
	URL     string `json:"url"` // the runner API
	Token   string `json:"token"`
	Control string `json:"control"` // PUT /load, POST /reset, GET /status
}

// Coordinator is the life of a coordinator's process: it says where it is, and ends when its input does.
func Coordinator(in io.Reader, out io.Writer) error {
	l := &loader{began: map[int64]bool{}, moved: make(chan struct{}, 1)}
	server, err := embedded.New(embedded.Options{OnEvent: l.event})
	if err != nil {
		return err
	}
	defer server.Close()
	l.server = server
	control, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	web := &http.Server{Handler: l.control(), ReadHeaderTimeout: time.Minute}
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { _ = web.Serve(control) }) // ends with Close
	work.Go(func() { l.keepUp(ctx) })
	defer work.Wait()
	defer web.Close()
	defer cancel()
	err = json.NewEncoder(out).Encode(Announcement{
		URL: server.URL(), Token: server.RunnerToken().Reveal(), Control: "http://" + control.Addr().String(),
	})
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, in)
	return err
}

// loader keeps a load on a coordinator.
type loader struct {
	server *embedded.Server
	moved  chan struct{} // capacity 1: there may be something to do

	mu    sync.Mutex // guards what follows
	load  Load
	live  int // jobs that have not ended
	made  int
	began map[int64]bool // of the jobs that live: whether they run
	seen  LoadStatus
}

func (l *loader) event(e embedded.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	j := e.Job
	switch {
	case j.State == embedded.Pending:
		l.seen.PickUps = append(l.seen.PickUps, j.Pending.Sub(j.Queued))
	case j.State == embedded.Running:
		l.began[j.ID] = true
	case j.State.Final():
		delete(l.began, j.ID)
		l.live--
		if j.State == embedded.Success {
			l.seen.Succeeded++
			break
		}
		l.seen.Failed++
		if len(l.seen.Why) < 5 {
			l.seen.Why = append(l.seen.Why, fmt.Sprintf("%s %s %s", j.State, j.FailureReason, j.Why))
		}
	}
	select {
	case l.moved <- struct{}{}:
	default:
	}
}

// keepUp queues jobs until there are as many as the load says, evenly.
func (l *loader) keepUp(ctx context.Context) {
	for {
		l.mu.Lock()
		load, lacks := l.load, l.live < l.load.Jobs
		if lacks {
			l.live++
			l.made++
		}
		first := l.made <= load.Jobs
		l.mu.Unlock()
		pause := time.Second
		if lacks {
			l.server.Enqueue(load.job(first))
			pause = time.Second / time.Duration(max(load.PerSecond, 1))
		}
		wake := l.moved
		if lacks {
			wake = nil
		}
		select {
		case <-ctx.Done():
			return
		case <-wake:
		case <-time.After(pause):
		}
	}
}

// job is the next one. The first ones are of all ages, so that they do not end together.
func (l Load) job(first bool) coordinator.Job {
	part := 0.5 + rand.Float64()
	if first {
		part = 0.2 + 1.3*rand.Float64()
	}
	lasts := time.Duration(part * float64(l.Lasts))
	return coordinator.Job{
		Info:      coordinator.JobInfo{Name: "scale", Stage: "test", ProjectID: 1},
		Runner:    coordinator.RunnerInfo{Timeout: 3600},
		Variables: coordinator.Variables{{Key: "GIT_STRATEGY", Value: "none"}},
		Image:     &coordinator.Image{Name: "debian:bookworm"},
		Steps: []coordinator.Step{{
			Name: "script", Script: []string{fakecloud.Script(int(lasts.Milliseconds()), l.Rate)}, Timeout: 3600, When: "on_success",
		}},
	}
}

func (l *loader) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /load", func(w http.ResponseWriter, r *http.Request) {
		var load Load
		if err := json.NewDecoder(r.Body).Decode(&load); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		l.mu.Lock()
		l.load, l.made = load, 0
		l.mu.Unlock()
		select {
		case l.moved <- struct{}{}:
		default:
		}
	})
	mux.HandleFunc("POST /reset", func(http.ResponseWriter, *http.Request) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.seen = LoadStatus{}
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(l.status()) })
	return mux
}

func (l *loader) status() LoadStatus {
	l.mu.Lock()
	s := l.seen
	s.Running = len(l.began)
	l.mu.Unlock()
	for _, v := range l.server.Violations() {
		s.Violations = append(s.Violations, v.String())
	}
	files, _ := filepath.Glob(filepath.Join(l.server.Dir(), "jobs", "*.log"))
	for _, path := range files {
		if info, err := os.Stat(path); err == nil { // it may be gone
			s.TraceBytes += info.Size()
		}
	}
	return s
}
