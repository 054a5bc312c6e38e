package faults

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/job"
	"github.com/millwright-ci/millwright/agent/job/jobtest"
)

// A service that dies says so in the trace with the end of its log: at once where it is waited for, else when the script has failed.
func TestServiceDies(t *testing.T) {
	t.Parallel()
	b := jobtest.New(t)
	waiting := func(_ *job.Params, r *config.Runner) { r.Docker.WaitForServicesTimeout = 60 }
	service := func(command string) func([]string) coordinator.Job {
		return func(lines []string) coordinator.Job {
			j := script(lines)
			j.Services = []coordinator.Image{{Name: b.Image, Alias: "db", Command: []string{"sh", "-c", command},
				Variables: coordinator.Variables{{Key: "HEALTHCHECK_TCP_PORT", Value: "8080"}}}}
			return j
		}
	}
	t.Run("at its start", func(t *testing.T) {
		e := b.Run(t, t.Context(), service("echo no luck today; exit 3")([]string{"echo ran"}), waiting)
		jobtest.CheckEnd(t, e, "", 0)
		jobtest.CheckTrace(t, e, []string{"*** WARNING: Service " + b.Image + " probably didn't start properly.", "ended with exit code 3", "no luck today", "\nran\n"}, []string{"while the job ran"})
		soon(t, e, 45*time.Second)
	})
	dies := service("while ! [ -e /builds/die ]; do sleep 0.1; done; echo no luck today; exit 3")
	t.Run("in mid-job", func(t *testing.T) {
		e := b.Run(t, t.Context(), dies([]string{"touch /builds/die", "sleep 2", "exit 7"}), nil)
		jobtest.CheckEnd(t, e, coordinator.ScriptFailure, 7)
		jobtest.CheckTrace(t, e, []string{"WARNING: Service " + b.Image, "db) ended with exit code 3 while the job ran", "no luck today", "ERROR: Job failed: exit code 7"}, nil)
		if n := strings.Count(e.Trace, "while the job ran"); n != 1 {
			t.Errorf("it is said %d times", n)
		}
	})
	t.Run("unneeded", func(t *testing.T) {
		e := b.Run(t, t.Context(), dies([]string{"touch /builds/die", "sleep 2"}), nil)
		jobtest.CheckEnd(t, e, "", 0)
		jobtest.CheckTrace(t, e, nil, []string{"while the job ran"})
	})
	t.Run("can't be started", func(t *testing.T) {
		j := service("")([]string{"echo ran"})
		j.Services[0].Command = []string{"/no/such/program"}
		e := b.Run(t, t.Context(), j, waiting)
		failed(t, e, coordinator.ConfigurationError)
		jobtest.CheckTrace(t, e, []string{"ERROR: Job failed: service " + b.Image, "/no/such/program"}, []string{"\nran\n"})
		soon(t, e, 30*time.Second)
	})
}

// An image that does not exist fails the job at once; a registry that is away is tried three times.
func TestImageMissing(t *testing.T) {
	t.Parallel()
	b := jobtest.New(t)
	empty := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			return
		}
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}`))
	}))
	defer empty.Close()
	away := httptest.NewServer(http.NotFoundHandler())
	away.Close()
	pull := func(_ *job.Params, r *config.Runner) { r.Docker.PullPolicy = []string{"always"} }
	for _, tt := range []struct {
		name, registry string
		reason         coordinator.FailureReason
		want           []string
		limit          time.Duration
	}{
		{"no such image", empty.URL, coordinator.ConfigurationError, []string{"ERROR: Job failed: image ", "manifest unknown; check the image's name and tag"}, 30 * time.Second},
		{"registry away", away.URL, coordinator.ExternalDependencyFailure, []string{"connection refused", "trying again (2 of 3)", "trying again (3 of 3)", "ERROR: Job failed: image ", "connection refused; the registry can't be reached"}, time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			image := strings.TrimPrefix(tt.registry, "http://") + "/group/nothing:1"
			j := script([]string{"echo ran"})
			j.Image = &coordinator.Image{Name: image}
			e := b.Run(t, t.Context(), j, pull)
			failed(t, e, tt.reason)
			jobtest.CheckTrace(t, e, tt.want, []string{"\nran\n"})
			soon(t, e, tt.limit)
		})
	}
}
