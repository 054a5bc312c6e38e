package main

import (
	"encoding/json"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// settings are those of package fakearm.
type settings struct {
	OpTime     time.Duration
	GoneTime   time.Duration
	SharedTime time.Duration
	PageSize   int
	Token      string

	HardwareURL string // where machines are booted; "": nowhere
}

// command is what a test asks of a cloud.
type command struct {
	Do    string
	Name  string
	Value string
	Tags  map[string]string
}

// control makes clouds and lets tests look into them.
type control struct {
	versions map[string]string

	mu     sync.Mutex // guards clouds
	clouds []*cloud
}

func newControl(versions map[string]string) http.Handler {
	c := &control{versions: versions}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /clouds", c.start)
	mux.HandleFunc("POST /clouds/{n}", c.command)
	return mux
}

func (c *control) start(w http.ResponseWriter, r *http.Request) {
	var s settings
	if err := json.NewDecoder(r.Body).Decode(&s); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	made := newCloud(s, "http://"+listener.Addr().String(), c.versions)
	go func() { _ = http.Serve(listener, made) }() // until the process ends
	c.mu.Lock()
	c.clouds = append(c.clouds, made)
	n := len(c.clouds) - 1
	c.mu.Unlock()
	_ = json.NewEncoder(w).Encode(map[string]string{"path": "/clouds/" + strconv.Itoa(n), "url": made.url})
}

func (c *control) command(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.PathValue("n"))
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil || n < 0 || n >= len(c.clouds) {
		http.NotFound(w, r)
		return
	}
	var cmd command
	if err := json.NewDecoder(r.Body).Decode(&cmd); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer, err := c.clouds[n].command(cmd)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_ = json.NewEncoder(w).Encode(answer)
}
