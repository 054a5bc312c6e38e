package feed

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/internal/memnet"
)

// bench is a feed with all that is around it: a coordinator with a queue for each token, over real HTTP, machines to count, and jobs that
// last as long as the test says.
type bench struct {
	t    *testing.T
	feed *Feed
	net  *memnet.Listener

	mu       sync.Mutex
	queue    map[string]int      // jobs by token
	status   map[string]int      // what a token gets instead of a job
	poll     time.Duration       // how long a request without a job is held
	think    time.Duration       // how long it looks for a job, whoever still waits
	polled   bool                // whether the answer to a request without a job says that it was held
	requests []request           // as they came
	open     map[string]int      // requests under way by token
	most     map[string]int      // the most of them at once
	jobs     map[int64]string    // running, to their token
	released map[string]int      // leases given back, by the feed or a job
	machines map[string]int      // machines free, by token; absent: as many as wanted
	events   map[EventKind][]any // what the feed told
	why      Why                 // of the last Skipped, "" once something else followed a turn
	lastID   int64

	retryAfter int           // seconds, said with status
	duration   time.Duration // of a job
	uneven     bool          // some jobs last a bit longer
	peak       int           // the most jobs at once
}

type request struct {
	at    time.Time
	token string
}

// inBubble runs a test in virtual time on a fresh bench.
func inBubble(t *testing.T, f func(*testing.T, *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{
			t: t, queue: map[string]int{}, status: map[string]int{}, open: map[string]int{}, most: map[string]int{}, jobs: map[int64]string{},
			released: map[string]int{}, machines: map[string]int{}, events: map[EventKind][]any{}, duration: time.Minute,
		}
		b.net = memnet.Serve(t, b)
		b.feed = New(Options{Events: b.event})
		ctx, cancel := context.WithCancel(t.Context())
		b.feed.Start(ctx)
		f(t, b)
		cancel()
		b.feed.Wait()
		if len(b.jobs) > 0 {
			t.Errorf("jobs %v run although the feed has ended", b.jobs)
		}
	})
}

func (b *bench) event(e Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events[e.Kind] = append(b.events[e.Kind], e.Err)
	if e.Kind != Turn {
		b.why = e.Why
	}
}

func (b *bench) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body) // only then the server sees the client go
	token := r.Header.Get("RUNNER-TOKEN")
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests = append(b.requests, request{time.Now(), token})
	b.open[token]++
	b.most[token] = max(b.most[token], b.open[token])
	defer func() { b.open[token]-- }()
	if s := b.status[token]; s != 0 {
		if b.retryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(b.retryAfter))
		}
		w.WriteHeader(s)
		return
	}
	if b.think > 0 {
		b.mu.Unlock()
		time.Sleep(b.think)
		b.mu.Lock()
	}
	if b.queue[token] == 0 && b.poll > 0 {
		b.mu.Unlock()
		select {
		case <-time.After(b.poll):
		case <-r.Context().Done():
		}
		b.mu.Lock()
	}
	if b.queue[token] == 0 {
		if b.polled {
			w.Header().Set("Gitlab-Ci-Builds-Polling", "yes")
		}
		w.WriteHeader(http.StatusNoContent)
		return
	}
	b.queue[token]--
	b.lastID++
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	json.NewEncoder(w).Encode(map[string]any{"id": b.lastID, "token": fmt.Sprint("job-", b.lastID)})
}

// runner makes a runner whose key, name and token are the same.
func (b *bench) runner(token string, change func(*Runner)) Runner {
	client, err := coordinator.New(coordinator.Options{URL: "http://gitlab.test", Token: config.Secret(token), Dial: b.net.Dial})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(client.Close)
	r := Runner{Key: token, Name: token, Client: client, Provider: machines{b, token}, Handler: b.handler(token)}
	if change != nil {
		change(&r)
	}
	return r
}

func (b *bench) handler(token string) Handler {
	return func(ctx context.Context, job *coordinator.Job, lease Lease) {
		defer lease.Release()
		b.mu.Lock()
		b.jobs[job.ID] = token
		b.peak = max(b.peak, len(b.jobs))
		lasts := b.duration
		if b.uneven {
			lasts += time.Duration(job.ID%7) * time.Second
		}
		b.mu.Unlock()
		select {
		case <-time.After(lasts):
		case <-ctx.Done():
		}
		b.mu.Lock()
		delete(b.jobs, job.ID)
		b.mu.Unlock()
	}
}

// machines is a Provider that counts.
type machines struct {
	b     *bench
	token string
}

func (m machines) Acquire(context.Context) (Lease, error) {
	m.b.mu.Lock()
	defer m.b.mu.Unlock()
	if free, counted := m.b.machines[m.token]; counted {
		if free == 0 {
			return nil, ErrNoCapacity
		}
		m.b.machines[m.token]--
	}
	return &hold{m: m}, nil
}

type hold struct {
	m    machines
	once bool
}

func (h *hold) Release() {
	h.m.b.mu.Lock()
	defer h.m.b.mu.Unlock()
	if h.once {
		h.m.b.t.Error("a lease was released twice")
	}
	h.once = true
	h.m.b.released[h.m.token]++
	if _, counted := h.m.b.machines[h.m.token]; counted {
		h.m.b.machines[h.m.token]++
	}
}

// do changes the bench.
func (b *bench) do(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

// asked counts the requests with that token, "" any.
func (b *bench) asked(token string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, r := range b.requests {
		if token == "" || r.token == token {
			n++
		}
	}
	return n
}

// running counts the jobs of that token, "" any.
func (b *bench) running(token string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, t := range b.jobs {
		if token == "" || t == token {
			n++
		}
	}
	return n
}

func (b *bench) count(kind EventKind) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.events[kind])
}

// pass lets virtual time go by, and all that falls into it be done.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
