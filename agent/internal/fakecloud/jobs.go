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
// one ends at once, well.
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
	act      act // of the script that was copied last

	running           bool
	started, finished time.Time
	stop              chan struct{} // closed to end the start under way
	ended             chan struct{} // closed when no start is under way
	streams           []*stream     // attached and waiting for the next start
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
	var body struct{ Labels map[string]string }
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&body); err != nil {
		reply(w, http.StatusBadRequest, map[string]string{"message": "the body: " + err.Error()})
		return
	}
	c := &container{id: hexID(), name: r.URL.Query().Get("name"), labels: body.Labels, ended: make(chan struct{})}
	close(c.ended)
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

// wait answers when the container does not run.
func (e *jobEngine) wait(w http.ResponseWriter, r *http.Request, c *container) {
	e.mu.Lock()
	ended := c.ended
	e.mu.Unlock()
	select {
	case <-ended:
		reply(w, http.StatusOK, map[string]int{"StatusCode": 0})
	case <-r.Context().Done():
	}
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
	waiting := c.streams
	c.streams = nil
	e.mu.Unlock()
	for _, s := range waiting {
		s.close()
	}
	noContent(w, r)
}

// halt ends what runs and waits for it.
func (e *jobEngine) halt(c *container) {
	e.mu.Lock()
	if c.running && c.stop != nil {
		close(c.stop)
		c.stop = nil
	}
	ended := c.ended
	e.mu.Unlock()
	<-ended
}
