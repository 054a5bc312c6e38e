package docker_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/millwright-ci/millwright/agent/executor/docker"
	"github.com/millwright-ci/millwright/agent/executor/docker/dockertest"
)

// What an engine behind a socket tells of itself is asked once by the jobs that share it; that the engine is there, each time.
func TestEngineFacts(t *testing.T) {
	t.Parallel()
	var infos, pings atomic.Int32
	host := dockertest.SocketGate(t, func(r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/info"):
			infos.Add(1)
		case strings.HasSuffix(r.URL.Path, "/_ping"):
			pings.Add(1)
		}
	})
	var shared docker.EngineFacts
	for range 3 {
		start(t, func(o *docker.Options) { o.Host, o.EngineFacts = host, &shared })
	}
	if infos.Load() != 1 || pings.Load() < 2 {
		t.Errorf("%d questions about the engine by three jobs, and %d pings", infos.Load(), pings.Load())
	}
	start(t, func(o *docker.Options) { o.Host = host })
	if infos.Load() != 2 {
		t.Errorf("%d questions with a job that shares nothing", infos.Load())
	}
}
