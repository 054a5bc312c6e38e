package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/pool"
)

const defaultMetricsPort = "9252" // GitLab Runner's

// ListenAddress completes [host]:port as GitLab Runner does: the port may be left out.
func ListenAddress(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(address, "["), "]")
		if strings.Contains(host, ":") && net.ParseIP(host) == nil {
			return "", fmt.Errorf("listen_address: %q is no address; write host:port, :port or [::1]:port", address)
		}
	}
	if port == "" {
		port = defaultMetricsPort
	}
	return net.JoinHostPort(host, port), nil
}

// serve runs an HTTP server on l until ctx ends; then it waits shortly for what is under way.
func serve(ctx context.Context, l net.Listener, h http.Handler, logger *slog.Logger) error {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if err := server.Shutdown(grace); err != nil {
			server.Close()
		}
	})
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// public is what listen_address serves: figures for Prometheus and health for load balancers, no secrets and no control.
func (s *Supervisor) public() http.Handler {
	mux := http.NewServeMux()
	page := s.metrics.Handler()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		s.countMachines()
		s.countModules()
		s.countRequests()
		page.ServeHTTP(w, r)
	})
	mux.HandleFunc("GET /debug/jobs/list", func(w http.ResponseWriter, _ *http.Request) { s.jobs.print(w, time.Now()) })
	mux.HandleFunc("GET /debug/process/state", func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		state := s.process
		s.mu.Unlock()
		fmt.Fprintln(w, state)
	})
	mux.HandleFunc("GET /health/ready", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	return mux
}

// control is what agent.sock serves to the command line of the same user.
func (s *Supervisor) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/machines", func(w http.ResponseWriter, _ *http.Request) { reply(w, s.Machines()) })
	mux.HandleFunc("DELETE /v1/machines/{name}", func(w http.ResponseWriter, r *http.Request) {
		done(w, s.RemoveMachine(r.Context(), r.PathValue("name")))
	})
	mux.HandleFunc("GET /v1/strays", func(w http.ResponseWriter, r *http.Request) { reply(w, s.Strays(r.Context())) })
	mux.HandleFunc("DELETE /v1/orphans/{name}", func(w http.ResponseWriter, r *http.Request) {
		done(w, s.RemoveOrphan(r.Context(), r.PathValue("name")))
	})
	mux.HandleFunc("DELETE /v1/others/{owner}/{name}", func(w http.ResponseWriter, r *http.Request) {
		done(w, s.RemoveOther(r.Context(), r.PathValue("owner"), r.PathValue("name")))
	})
	mux.HandleFunc("GET /v1/config", func(w http.ResponseWriter, r *http.Request) {
		reply(w, s.currentConfig().Settings(r.URL.Query().Get("salt")))
	})
	mux.HandleFunc("POST /v1/reload", func(w http.ResponseWriter, _ *http.Request) {
		if err := s.Reload(); err != nil {
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
			return
		}
		reply(w, struct{}{})
	})
	for path, handler := range map[string]http.HandlerFunc{"/": pprof.Index, "/profile": pprof.Profile, "/trace": pprof.Trace} {
		mux.HandleFunc("GET /debug/pprof"+path, handler)
	}
	mux.HandleFunc("POST /v1/handover", func(w http.ResponseWriter, _ *http.Request) {
		s.HandOver()
		reply(w, struct{}{})
	})
	s.controlHand(mux)
	s.controlModules(mux)
	return mux
}

// done answers what was asked to be removed.
func done(w http.ResponseWriter, err error) {
	switch {
	case err == nil:
		reply(w, struct{}{})
	case errors.Is(err, pool.ErrUnknown):
		http.Error(w, err.Error(), http.StatusNotFound)
	case errors.Is(err, pool.ErrInUse), errors.Is(err, pool.ErrName), errors.Is(err, pool.ErrFrozen), errors.Is(err, pool.ErrHeld), errors.Is(err, pool.ErrRemoving):
		http.Error(w, err.Error(), http.StatusConflict)
	default:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		slog.Debug("answer on agent.sock", "error", err)
	}
}
