package policies_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// gitlab answers for the project 42 with two pages of pending jobs to whoever has the token.
type gitlab struct {
	*httptest.Server
	requests, limited atomic.Int32
}

func newGitLab(t *testing.T) *gitlab {
	t.Helper()
	g := &gitlab{}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.requests.Add(1)
		if r.Header.Get("Private-Token") != "glpat-of-the-operator" {
			http.Error(w, `{"message":"401 Unauthorized"}`, http.StatusUnauthorized)
			return
		}
		if g.limited.Load() > 0 {
			w.Header().Set("Retry-After", "120")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		if r.URL.Path != "/api/v4/projects/42/jobs" || r.FormValue("scope[]") != "pending" {
			http.NotFound(w, r)
			return
		}
		if r.FormValue("page") == "" {
			w.Header().Set("Link", `<https://gitlab.internal/api/v4/projects/42/jobs?page=2&scope%5B%5D=pending>; rel="next", <https://gitlab.internal/>; rel="first"`)
		}
		fmt.Fprint(w, `[{"id":1,"tag_list":[]},{"id":2,"tag_list":["docker"]},{"id":3,"tag_list":["windows"]}]`)
	}))
	t.Cleanup(g.Close)
	return g
}

// TestQueueDepth drops the policy into an agent, as its README says, and lets it ask a real server.
func TestQueueDepth(t *testing.T) {
	t.Parallel()
	g, a := newGitLab(t), newAgent(t)
	a.write("gitlab-token", []byte("glpat-of-the-operator\n"))
	a.write("policies.d/queue-depth.toml", file(t, "queue-depth/queue-depth.toml",
		"https://gitlab.example.com", g.URL, `"30s"`, `"1s"`, `[42, "web/shop"]`, "[42]", `["platform"]`, "[]"))
	a.write("policies.d/queue-depth.wasm", wasm(t, "queue-depth"))
	a.start()

	// Without a grant it is not loaded, and the message gives the lines.
	if s := a.status("queue-depth"); s.Loaded || !strings.HasSuffix(s.Refused, fmt.Sprintf("[grants.queue-depth]\nhostnames = [%q]", g.URL)) {
		t.Errorf("without a grant it is %+v", s)
	}
	a.write("millwright.toml", file(t, "queue-depth/millwright.toml",
		"https://gitlab.example.com", g.URL, "/etc/gitlab-runner/gitlab-token", filepath.ToSlash(filepath.Join(a.dir, "gitlab-token"))))

	decide := func(now time.Time) (fleet.Decision, string) {
		d := a.decide(abi.Snapshot{NowUnixMS: now.UnixMilli(), Runner: abi.RunnerSettings{IdleCount: 3, IdleTimeS: 60}})
		return d, step(d, "queue-depth").Proposal.Reason
	}
	a.until("four jobs of two pages and three idle machines are wanted", func() bool {
		d, why := decide(time.Now())
		return d.IdleTarget == 7 && strings.Contains(why, "4 jobs wait at GitLab")
	})

	// GitLab limits the rate: it is left alone, and the count ages until it is too old.
	g.limited.Store(1)
	a.until("the policy knows of the limit", func() bool {
		_, why := decide(time.Now())
		return strings.Contains(why, "asks for no request within")
	})
	before, at := g.requests.Load(), a.status("queue-depth").Calls
	a.until("it was called two times more", func() bool { return a.status("queue-depth").Calls > at+1 })
	if n := g.requests.Load(); n != before {
		t.Errorf("%d requests were sent in spite of Retry-After", n-before)
	}
	if d, why := decide(time.Now().Add(4 * time.Minute)); d.IdleTarget != 3 || !strings.Contains(why, "which is too long") {
		t.Errorf("after four minutes %d are wanted, since %s", d.IdleTarget, why)
	}
	if strings.Contains(a.log.String(), "glpat") {
		t.Error("the token is in the log")
	}
}
