package supervisor

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
)

// A job that does not stop within shutdown_timeout does not hold the agent up, and the agent says so by its error: its coordinator
// never answers what it is told of the job.
func TestShutdownTimeout(t *testing.T) {
	over, told := make(chan struct{}), make(chan struct{}, 16)
	var given atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else the end of the connection is not seen
		switch {
		case r.Method == http.MethodPost && given.CompareAndSwap(false, true):
			rw.Header().Set("Content-Type", "application/json")
			rw.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(rw, `{"id": 7, "token": "job-7", "steps": [{"name": "script", "script": ["true"]}]}`)
		case r.Method == http.MethodPost:
			rw.WriteHeader(http.StatusNoContent)
		default:
			told <- struct{}{}
			select {
			case <-over:
			case <-r.Context().Done():
			}
			rw.WriteHeader(http.StatusForbidden) // the job is over
		}
	}))
	defer server.Close()
	w := newWorld(t)
	r := w.runner("silent")
	r.URL = server.URL
	w.config.ShutdownTimeout = 1
	w.config.Runners = []config.Runner{r}
	w.start()
	<-told
	began := time.Now()
	w.stop(errors.New("terminated"))
	err := w.finish()
	if err == nil || !strings.Contains(err.Error(), "jobs did not stop within shutdown_timeout (1s)") {
		t.Errorf("the end: %v", err)
	}
	if took := time.Since(began); took > 20*time.Second { // the job itself would take 25 s
		t.Errorf("it took %s", took)
	}
	close(over)
	w.until("the job has ended", func() bool { return len(w.s.jobs.list()) == 0 })
}
