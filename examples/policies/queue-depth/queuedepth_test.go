package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/policy/policytest"
)

func TestPolicy(t *testing.T) {
	policytest.Suite{
		Policy: queueDepth{}, Config: abi.Raw(`{"projects":[42]}`), Cases: "cases",
		Observed: abi.Raw(`{"at_unix_ms":1787220000000,"pending":7,"more":false,"failed":[],"wait_until_unix_ms":0}`),
	}.Run(t)
}

// server is as much of GitLab's API as the policy asks for.
type server struct {
	*httptest.Server
	jobs   map[string][]string // tags of each pending job, by project
	counts bool                // it sends X-Total, as older ones did

	mu       sync.Mutex // a request whose answer the policy doesn't wait for may still run when the next one is prepared
	requests int
	fail     func(w http.ResponseWriter, r *http.Request) bool
}

// failing makes the requests from now on end with fail, or succeed with nil, and counts them from 0.
func (s *server) failing(fail func(w http.ResponseWriter, r *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests, s.fail = 0, fail
}

// counted gives the number of requests since failing.
func (s *server) counted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{jobs: map[string][]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /gitlab/api/v4/projects/{id}/jobs", s.listJobs)
	mux.HandleFunc("GET /gitlab/api/v4/groups/{id}/projects", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("id") != "web/shop" || r.URL.Query().Get("include_subgroups") != "true" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, `[{"id":42,"path":"a"},{"id":43,"path":"b"}]`)
	})
	mux.HandleFunc("GET /gitlab/api/v4/runners/7", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `{"id":7,"tag_list":["docker","linux"],"run_untagged":false}`)
	})
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests++
		fail := s.fail
		s.mu.Unlock()
		if fail == nil || !fail(w, r) {
			mux.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// listJobs gives the pending jobs of a project in pages, each with a link to the next by the last job's ID.
func (s *server) listJobs(w http.ResponseWriter, r *http.Request) {
	all, ok := s.jobs[r.PathValue("id")]
	query := r.URL.Query()
	if !ok || query.Get("scope[]") != "pending" {
		http.NotFound(w, r)
		return
	}
	size, _ := strconv.Atoi(query.Get("per_page"))
	from, _ := strconv.Atoi(query.Get("cursor"))
	to := min(from+size, len(all))
	if s.counts {
		w.Header().Set("X-Total", strconv.Itoa(len(all)))
	}
	if to < len(all) {
		query.Set("cursor", strconv.Itoa(to))
		w.Header().Set("Link", fmt.Sprintf(`<https://its-own-name.example.com/api/v4/projects/1/jobs?%s>; rel="next"`, query.Encode()))
	}
	page := make([]string, 0, size)
	for i, tags := range all[from:to] {
		page = append(page, fmt.Sprintf(`{"id":%d,"status":"pending","tag_list":[%s],"commit":{"message":"it's \"so\""}}`, from+i, tags))
	}
	fmt.Fprintf(w, "[%s]", strings.Join(page, ","))
}

const now = 1_787_220_000_000

// observe asks the policy at now.
func (s *server) observe(config string, before abi.Raw, nowMS int64) (abi.Raw, error) {
	return queueDepth{}.Observe(abi.ObserveRequest{Config: abi.Raw(`{"url":"` + s.URL + `/gitlab/",` + config + `}`), NowUnixMS: nowMS, Observed: before})
}

func TestCount(t *testing.T) {
	s := newServer(t)
	for range 120 {
		s.jobs["42"] = append(s.jobs["42"], `"docker"`)
	}
	s.jobs["42"] = append(s.jobs["42"], ``, ``, `"docker","linux"`, `"windows"`, `"docker","gpu"`)
	s.jobs["43"] = []string{``, `"linux"`}
	s.jobs["web/api"] = []string{``}
	for name, tc := range map[string]struct {
		config   string
		counts   bool
		pending  int
		requests int
		more     bool
	}{
		"all jobs of a project":       {`"projects":[42]`, false, 125, 3, false},
		"by a path":                   {`"projects":["web/api"]`, false, 1, 1, false},
		"those of the runner's tags":  {`"projects":[42],"tags":["docker","linux"]`, false, 123, 3, false},
		"those with tags only":        {`"projects":[42],"tags":["docker","linux"],"run_untagged":false`, false, 121, 3, false},
		"GitLab knows the tags":       {`"projects":[42,"43"],"runner":7`, false, 122, 5, false},
		"a group, no project twice":   {`"projects":[42],"groups":["web/shop"]`, false, 127, 5, false},
		"GitLab counts":               {`"projects":[42]`, true, 125, 1, false},
		"GitLab counts, but not tags": {`"projects":[42],"tags":["windows"]`, true, 3, 3, false},
		"no more requests":            {`"projects":[42,43],"max_requests":2`, false, 100, 2, true},
	} {
		t.Run(name, func(t *testing.T) {
			s.failing(nil)
			s.counts = tc.counts
			out, err := s.observe(tc.config, nil, now)
			q, ok := readQueue(out)
			if err != nil || !ok || q.pending != tc.pending || q.more != tc.more || q.atUnixMS != now || s.counted() != tc.requests {
				t.Errorf("%s, %v in %d requests; want %d jobs in %d", out, err, s.counted(), tc.pending, tc.requests)
			}
		})
	}
}

func TestFailures(t *testing.T) {
	s := newServer(t)
	s.jobs["42"] = []string{``, ``}
	answer := func(status int) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			w.WriteHeader(status)
			return true
		}
	}
	if out, err := s.observe(`"projects":[42,41]`, nil, now); err != nil || !strings.Contains(string(out), `"pending":2`) || !strings.Contains(string(out), "project 41: status 404") {
		t.Errorf("one of two is not there: %s, %v", out, err)
	}
	for name, tc := range map[string]struct {
		fail func(http.ResponseWriter, *http.Request) bool
		want string
	}{
		"a bad token":   {answer(401), "read_api"},
		"GitLab is ill": {answer(502), "status 502"},
		"no answer": {func(http.ResponseWriter, *http.Request) bool {
			panic(http.ErrAbortHandler)
		}, "project 42: "},
	} {
		t.Run(name, func(t *testing.T) {
			s.failing(tc.fail)
			if out, err := s.observe(`"projects":[42]`, nil, now); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s, %v; want an error that tells %q, so that the count before stays", out, err, tc.want)
			}
		})
	}
}

// TestRateLimit checks that nothing is sent for as long as GitLab wishes, and that the count before stays with its age.
func TestRateLimit(t *testing.T) {
	s := newServer(t)
	s.jobs["42"] = []string{``, ``}
	s.jobs["43"] = []string{``}
	before, err := s.observe(`"projects":[42]`, nil, now)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		header, value string
		wait          time.Duration
	}{
		"Retry-After":     {"Retry-After", "90", 90 * time.Second},
		"RateLimit-Reset": {"RateLimit-Reset", strconv.Itoa(now/1000 + 50), 20 * time.Second},
		"nothing said":    {"X-Other", "1", time.Minute},
		"years":           {"Retry-After", "99999999", time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			s.failing(func(w http.ResponseWriter, r *http.Request) bool {
				w.Header().Set(tc.header, tc.value)
				w.WriteHeader(http.StatusTooManyRequests)
				return true
			})
			limited, err := s.observe(`"projects":[42,43]`, before, now+30_000)
			q, ok := readQueue(limited)
			until := now + 30_000 + tc.wait.Milliseconds()
			if err != nil || !ok || q.pending != 2 || q.atUnixMS != now || q.waitUntilUnixMS != until || s.counted() != 1 {
				t.Fatalf("%s, %v after %d requests; want to wait until %d", limited, err, s.counted(), until)
			}
			s.failing(nil)
			if out, err := s.observe(`"projects":[42,43]`, limited, until-1); err != nil || out != nil || s.counted() != 0 {
				t.Errorf("%s, %v: asked again too early", out, err)
			}
			if out, err := s.observe(`"projects":[42,43]`, limited, until); err != nil || !strings.Contains(string(out), `"pending":3`) {
				t.Errorf("%s, %v: not asked again", out, err)
			}
		})
	}
}

func TestFirstAnswerIsARateLimit(t *testing.T) {
	s := newServer(t)
	s.failing(func(w http.ResponseWriter, r *http.Request) bool {
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	})
	out, err := s.observe(`"projects":[42]`, nil, now)
	p, errDecide := queueDepth{}.Decide(abi.Snapshot{NowUnixMS: now, Config: abi.Raw(`{"projects":[42]}`), Observed: out})
	if err != nil || errDecide != nil || p.IdleTarget != nil || p.Reason != "the queue at GitLab is not known yet" {
		t.Errorf("%s, %v; then %+v, %v", out, err, p, errDecide)
	}
}
