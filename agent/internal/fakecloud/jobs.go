package fakecloud

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Jobs is an Options.Engine that takes jobs: containers are made, started, attached to, waited for and removed as on a real engine, and
// nothing runs in them. A script that holds a line as Script returns makes its container live that long and speak that much; every other
// one ends at once, well. The first script may come in the container's environment. A container with an open standard input is taken for
// one that waits for a line there, at each start.
func Jobs() func(machine string) http.Handler {
	return func(string) http.Handler { return newJobEngine() }
}

// jobEngine is the containers of one machine. Source: Docker Engine API v1.41.
type jobEngine struct {
	mux *http.ServeMux

	mu         sync.Mutex // guards containers and what they hold
	containers map[string]*container
}

// container is what is left of a container when nothing runs in it. jobEngine.mu guards it.
type container struct {
	id, name string
	labels   map[string]string
	act      act  // of the script that was copied last
	gated    bool // it waits for a line before its script

	running           bool
	started, finished time.Time
	word              chan struct{} // closed when the start under way has its line; nil from then on
	stop              chan struct{} // closed to end the start under way
	exit              chan struct{} // closed when the start under way ends, or else the next one
	streams           []*stream     // attached to the start under way, or waiting for the next one
}

func newJobEngine() *jobEngine {
	e := &jobEngine{mux: http.NewServeMux(), containers: map[string]*container{}}
	for pattern, handler := range map[string]http.HandlerFunc{
		"POST /containers/create":      e.create,
		"GET /containers/json":         e.list,
		"PUT /containers/{id}/archive": e.with(e.copyIn),
		"POST /containers/{id}/attach": e.with(e.attach),
		"POST /containers/{id}/start":  e.with(e.start),
		"GET /containers/{id}/json":    e.with(e.inspect),
		"GET /containers/{id}/logs":    e.with(func(w http.ResponseWriter, _ *http.Request, _ *container) { w.WriteHeader(http.StatusOK) }),
		"POST /containers/{id}/wait":   e.with(e.wait),
		"POST /containers/{id}/stop":   e.with(e.end),
		"POST /containers/{id}/kill":   e.with(e.end),
		"DELETE /containers/{id}":      e.with(e.remove),
		"POST /networks/create": func(w http.ResponseWriter, _ *http.Request) {
			reply(w, http.StatusCreated, map[string]string{"Id": hexID()})
		},
		"POST /networks/prune":  func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, struct{}{}) },
		"DELETE /networks/{id}": noContent,
		"POST /volumes/create": func(w http.ResponseWriter, _ *http.Request) {
			reply(w, http.StatusCreated, map[string]string{"Name": hexID()})
		},
		"DELETE /volumes/{name}": noContent,
	} {
		e.mux.HandleFunc(pattern, handler)
	}
	e.mux.HandleFunc("/", noContainers)
	return e
}

func (e *jobEngine) ServeHTTP(w http.ResponseWriter, r *http.Request) { e.mux.ServeHTTP(w, r) }

func noContent(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }

// hexID is a name as engines give it.
func hexID() string {
	const digits = "0123456789abcdef"
	var raw [64]byte
	_, _ = rand.Read(raw[:]) // never fails
	for i := range raw {
		raw[i] = digits[raw[i]%16]
	}
	return string(raw[:])
}

// with finds the container that a path names by its id.
func (e *jobEngine) with(do func(http.ResponseWriter, *http.Request, *container)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		c := e.containers[r.PathValue("id")]
		e.mu.Unlock()
		if c == nil {
			reply(w, http.StatusNotFound, map[string]string{"message": "No such container: " + r.PathValue("id")})
			return
		}
		do(w, r, c)
	}
}

func (e *jobEngine) create(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Labels    map[string]string
		Env       []string
		OpenStdin bool
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&body); err != nil {
		reply(w, http.StatusBadRequest, map[string]string{"message": "the body: " + err.Error()})
		return
	}
	c := &container{
		id: hexID(), name: r.URL.Query().Get("name"), labels: body.Labels, gated: body.OpenStdin,
		act: actOf([]byte(strings.Join(body.Env, "\n"))), exit: make(chan struct{}),
	}
	e.mu.Lock()
	e.containers[c.id] = c
	e.mu.Unlock()
	reply(w, http.StatusCreated, map[string]any{"Id": c.id, "Warnings": []string{}})
}

// list knows the filter for labels, with and without a value.
func (e *jobEngine) list(w http.ResponseWriter, r *http.Request) {
	var filters struct{ Label map[string]bool }
	if text := r.URL.Query().Get("filters"); text != "" {
		if err := json.Unmarshal([]byte(text), &filters); err != nil {
			reply(w, http.StatusBadRequest, map[string]string{"message": "filters: " + err.Error()})
			return
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	found := []map[string]any{}
	for _, c := range e.containers {
		if c.bears(filters.Label) {
			found = append(found, map[string]any{"Id": c.id, "Names": []string{"/" + c.name}, "Labels": c.labels})
		}
	}
	reply(w, http.StatusOK, found)
}

func (c *container) bears(labels map[string]bool) bool {
	for label := range labels {
		key, value, valued := strings.Cut(label, "=")
		if has, ok := c.labels[key]; !ok || valued && has != value {
			return false
		}
	}
	return true
}

func (e *jobEngine) inspect(w http.ResponseWriter, _ *http.Request, c *container) {
	e.mu.Lock()
	defer e.mu.Unlock()
	reply(w, http.StatusOK, map[string]any{"Id": c.id, "Name": "/" + c.name, "State": map[string]any{
		"Running": c.running, "StartedAt": c.started.Format(time.RFC3339Nano), "FinishedAt": c.finished.Format(time.RFC3339Nano),
	}})
}

// wait answers when the container does not run, or when it has ended once more. The headers come at once, as an engine's do.
func (e *jobEngine) wait(w http.ResponseWriter, r *http.Request, c *container) {
	e.mu.Lock()
	exit, now := c.exit, !c.running && r.URL.Query().Get("condition") != "next-exit"
	e.mu.Unlock()
	if !now {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush() // who is gone shows below
		select {
		case <-exit:
		case <-r.Context().Done():
			return
		}
	}
	_ = json.NewEncoder(w).Encode(map[string]int{"StatusCode": 0})
}

// end serves stop and kill.
func (e *jobEngine) end(w http.ResponseWriter, r *http.Request, c *container) {
	e.halt(c)
	noContent(w, r)
}

func (e *jobEngine) remove(w http.ResponseWriter, r *http.Request, c *container) {
	e.halt(c)
	e.mu.Lock()
	delete(e.containers, c.id)
	e.over(c)
	e.mu.Unlock()
	noContent(w, r)
}

// halt ends what runs and waits for it.
func (e *jobEngine) halt(c *container) {
	e.mu.Lock()
	running, exit := c.running, c.exit
	if running && c.stop != nil {
		close(c.stop)
		c.stop = nil
	}
	e.mu.Unlock()
	if running {
		<-exit
	}
}

// over tells whoever attached or waits that a start has ended. e.mu is held.
func (e *jobEngine) over(c *container) {
	for _, s := range c.streams {
		s.close()
	}
	c.streams = nil
	close(c.exit)
	c.exit = make(chan struct{})
}
