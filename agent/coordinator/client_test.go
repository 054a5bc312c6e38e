package coordinator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/config"
)

// seen is a request as a test server saw it.
type seen struct {
	Method, Path, Query string
	Header              http.Header
	Body                []byte
}

// recorder keeps requests and answers them by reply, which gets their number, from 1 on.
type recorder struct {
	mu       sync.Mutex
	requests []seen
	reply    func(n int, w http.ResponseWriter, r *http.Request)
}

func (rec *recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	rec.mu.Lock()
	rec.requests = append(rec.requests, seen{r.Method, r.URL.Path, r.URL.RawQuery, r.Header, body})
	n := len(rec.requests)
	rec.mu.Unlock()
	rec.reply(n, w, r)
}

func (rec *recorder) all() []seen {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.requests
}

// dial makes a client of a server that answers by reply.
func dial(t *testing.T, reply func(n int, w http.ResponseWriter, r *http.Request)) (*Client, *recorder) {
	t.Helper()
	rec := &recorder{reply: reply}
	server := httptest.NewServer(rec)
	t.Cleanup(server.Close)
	return newClient(t, Options{URL: server.URL}), rec
}

func newClient(t *testing.T, o Options) *Client {
	t.Helper()
	if o.Token == "" {
		o.Token = "glrt-runner-token"
	}
	o.SystemID = "s_0123456789ab"
	if o.Info.Executor == "" {
		o.Info = Info{Executor: "docker+machine", GPUs: "all", Labels: map[string]string{"zone": "europe"}}
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func status(code int, headers ...string) func(int, http.ResponseWriter, *http.Request) {
	return func(_ int, w http.ResponseWriter, _ *http.Request) { write(w, code, "", headers...) }
}

// write answers with headers as "Name: value".
func write(w http.ResponseWriter, code int, body string, headers ...string) {
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		w.Header().Set(name, value)
	}
	w.WriteHeader(code)
	io.WriteString(w, body)
}

const isJSON = "Content-Type: application/json"

func TestNew(t *testing.T) {
	for _, tc := range []struct {
		url, want string
	}{
		{"https://gitlab.test", "https://gitlab.test/api/v4/"},
		{"https://gitlab.test//", "https://gitlab.test/api/v4/"},
		{"https://gitlab.test/ci", "https://gitlab.test/api/v4/"},
		{"http://gitlab.test:8080/gitlab/", "http://gitlab.test:8080/gitlab/api/v4/"},
		{"http://gitlab.test/gitlab/ci/", "http://gitlab.test/gitlab/api/v4/"},
		{"ftp://gitlab.test", ""},
		{"gitlab.test", ""},
		{"", ""},
		{"https://%zz", ""},
	} {
		t.Run(tc.url, func(t *testing.T) {
			c, err := New(Options{URL: tc.url})
			if tc.want == "" {
				if !errors.Is(err, ErrClient) {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := c.root.String(); got != tc.want {
				t.Errorf("root %s, want %s", got, tc.want)
			}
		})
	}
}

func TestRequestJob(t *testing.T) {
	c, rec := dial(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		switch n {
		case 1:
			write(w, http.StatusNoContent, "", "X-GitLab-Last-Update: a1")
		case 2:
			write(w, http.StatusNoContent, "")
		default:
			write(w, http.StatusCreated, `{"id": 481516, "token": "glcbt-64_x", "variables": null, "image": null, "unknown": {},
				"job_info": {"name": "unit", "project_jobs_running_on_instance_runners_count": "+Inf"},
				"services": [{"name": "postgres:17", "entrypoint": null, "executor_opts": {}}],
				"artifacts": [{"untracked": null, "paths": ["a"]}], "secrets": null}`, "Content-Type: application/json; charset=utf-8",
				"X-Request-Id: theirs")
		}
	})
	for range 2 {
		if job, err := c.RequestJob(t.Context()); job != nil || err != nil {
			t.Fatalf("got %v, %v", job, err)
		}
	}
	job, err := c.RequestJob(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if job.ID != 481516 || job.Token.Reveal() != "glcbt-64_x" || job.CorrelationID != "theirs" || job.Services[0].Name != "postgres:17" {
		t.Errorf("job %+v", job)
	}
	if job.TLS != (TLSData{}) {
		t.Error("plain HTTP has no TLS data")
	}
	var ids []string
	for i, r := range rec.all() {
		checkHeaders(t, r, "RUNNER-TOKEN", "glrt-runner-token")
		if got := r.Header.Get("Accept"); got != "application/json" {
			t.Errorf("Accept %q", got)
		}
		ids = append(ids, r.Header.Get("X-Request-Id"))
		var body map[string]any
		if err := json.Unmarshal(r.Body, &body); err != nil {
			t.Fatal(err)
		}
		if body["token"] != "glrt-runner-token" || body["system_id"] != "s_0123456789ab" {
			t.Errorf("body %s", r.Body)
		}
		if want := []any{nil, "a1", "a1"}[i]; body["last_update"] != want {
			t.Errorf("request %d: last_update %v, want %v", i+1, body["last_update"], want)
		}
		checkInfo(t, body["info"])
		if len(r.Body) >= maxRequest {
			t.Errorf("%d bytes", len(r.Body))
		}
	}
	if ids[0] == ids[1] {
		t.Error("two requests have the same id")
	}
}

func checkHeaders(t *testing.T, r seen, name, token string) {
	t.Helper()
	if got := r.Header.Get(name); got != token {
		t.Errorf("%s %q", name, got)
	}
	if got := r.Header.Get("User-Agent"); !regexp.MustCompile(`^gitlab-runner 19\.4\.0 \(millwright; go[^;]+; \w+/\w+\)$`).MatchString(got) {
		t.Errorf("User-Agent %q", got)
	}
	if got := r.Header.Get("X-Request-Id"); !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(got) {
		t.Errorf("X-Request-Id %q", got)
	}
}

func checkInfo(t *testing.T, v any) {
	t.Helper()
	info, _ := v.(map[string]any)
	features, _ := info["features"].(map[string]any)
	if len(features) != 31 {
		t.Errorf("%d features", len(features))
	}
	for name, want := range map[string]bool{
		"cancel_gracefully": true, "two_phase_job_commit": true, "image": true, "return_exit_code": true, "proxy": false, "shared": false} {
		if features[name] != want {
			t.Errorf("feature %s is %v", name, features[name])
		}
	}
	delete(info, "features")
	delete(info, "platform")
	delete(info, "architecture")
	want := map[string]any{"name": "gitlab-runner", "version": "19.4.0", "executor": "docker+machine", "shell": "bash",
		"config": map[string]any{"gpus": "all"}, "labels": map[string]any{"zone": "europe"}}
	if diff := cmp.Diff(want, info); diff != "" {
		t.Errorf("info (-want +got):\n%s", diff)
	}
}

func TestRequestJobErrors(t *testing.T) {
	for _, tc := range []struct {
		name string
		code int
		body string
		head []string
		is   error // nil: none of the kinds
		want string
	}{
		{"forbidden", 403, `{"message": "403 Forbidden"}`, []string{isJSON}, ErrForbidden, "403 Forbidden: 403 Forbidden; check the runner's token"},
		{"conflict", 409, ``, nil, ErrConflict, "409 Conflict"},
		{"validation", 400, `{"message": {"token": ["is missing", "is empty"], "info": ["bad"]}}`, []string{isJSON}, nil,
			"400 Bad Request: info bad; token is missing, is empty"},
		{"another form", 400, `{"error": "token\nis missing"}`, []string{isJSON}, nil, "400 Bad Request: token is missing"},
		{"an object store", 404, `<?xml version="1.0"?><Error><Message>gone</Message></Error>`, nil, nil, "404 Not Found: gone"},
		{"too large", 413, ``, nil, nil, "give the runner fewer or shorter labels"},
		{"moved", 301, ``, []string{"Location: https://new.test/api/v4/jobs/request"}, nil,
			"301 Moved Permanently: redirects to https://new.test/api/v4/jobs/request; set url to the place that it points to"},
		{"a web page", 201, `<html>`, []string{"Content-Type: text/html"}, ErrClient, `the body is "text/html", not JSON`},
		{"broken JSON", 201, `{"id": `, []string{isJSON}, nil, "the job's JSON: unexpected end"},
		{"no job in it", 201, `{}`, []string{isJSON}, nil, "the job has no id or no token"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, _ := dial(t, func(_ int, w http.ResponseWriter, _ *http.Request) { write(w, tc.code, tc.body, tc.head...) })
			job, err := c.RequestJob(t.Context())
			if job != nil || err == nil {
				t.Fatalf("got %v, %v", job, err)
			}
			if !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "request a job") {
				t.Errorf("error %q lacks %q", err, tc.want)
			}
			for _, kind := range []error{ErrForbidden, ErrConflict, ErrClient, ErrRateLimited} {
				if got := errors.Is(err, kind); got != (kind == tc.is) {
					t.Errorf("errors.Is(err, %v) = %v", kind, got)
				}
			}
			if strings.Contains(err.Error(), "runner-token") {
				t.Errorf("the token shows in %q", err)
			}
		})
	}
}

func TestRequestTooLarge(t *testing.T) {
	c := newClient(t, Options{URL: "http://127.0.0.1:1", Info: Info{Executor: "docker", Labels: map[string]string{"a": strings.Repeat("x", maxRequest)}}})
	if _, err := c.RequestJob(t.Context()); !errors.Is(err, ErrClient) || !strings.Contains(err.Error(), "labels") {
		t.Errorf("error %v", err)
	}
}

func TestNoCoordinator(t *testing.T) {
	c := newClient(t, Options{URL: "http://127.0.0.1:1"})
	if _, err := c.RequestJob(t.Context()); err == nil || errors.Is(err, ErrClient) || errors.Is(err, ErrForbidden) {
		t.Errorf("error %v", err)
	}
}

// TestTokenStaysHome has the coordinator redirect to another host: no token follows.
func TestTokenStaysHome(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s went elsewhere", r.Method) }))
	defer other.Close()
	elsewhere := strings.Replace(other.URL, "127.0.0.1", "localhost", 1)
	c, _ := dial(t, status(http.StatusTemporaryRedirect, "Location: "+elsewhere))
	if _, err := c.RequestJob(t.Context()); err == nil {
		t.Error("no error")
	}
}

func TestRedirectOnTheSameHost(t *testing.T) {
	c, rec := dial(t, func(n int, w http.ResponseWriter, r *http.Request) {
		if n == 1 {
			http.Redirect(w, r, "/moved"+r.URL.Path, http.StatusPermanentRedirect)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	if _, err := c.RequestJob(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := rec.all(); len(got) != 2 || got[1].Method != "POST" || len(got[1].Body) != len(got[0].Body) {
		t.Errorf("requests %v", got)
	}
}

func TestVerify(t *testing.T) {
	for _, tc := range []struct {
		name  string
		reply func(n int, w http.ResponseWriter, r *http.Request)
		want  Verification
		is    error
		calls int
	}{
		{"valid", func(_ int, w http.ResponseWriter, _ *http.Request) {
			write(w, 200, `{"id": 12, "token": "t", "token_expires_at": "2026-12-24T18:00:00.000Z"}`, isJSON)
		}, Verification{ID: 12, TokenExpiresAt: time.Date(2026, 12, 24, 18, 0, 0, 0, time.UTC)}, nil, 1},
		{"for ever", func(_ int, w http.ResponseWriter, _ *http.Request) {
			write(w, 200, `{"id": 12, "token_expires_at": null}`, isJSON)
		}, Verification{ID: 12}, nil, 1},
		{"an old server", status(200), Verification{}, nil, 2},
		{"forbidden", status(403), Verification{}, ErrForbidden, 1},
		{"orphaned", status(422), Verification{}, ErrOrphaned, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, rec := dial(t, tc.reply)
			got, err := c.Verify(t.Context())
			if !errors.Is(err, tc.is) {
				t.Fatalf("error %v", err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			requests := rec.all()
			if len(requests) != tc.calls {
				t.Fatalf("%d calls", len(requests))
			}
			var body map[string]any
			json.Unmarshal(requests[0].Body, &body)
			checkInfo(t, body["info"])
			checkHeaders(t, requests[0], "RUNNER-TOKEN", "glrt-runner-token")
			if requests[0].Path != "/api/v4/runners/verify" || body["token"] != "glrt-runner-token" {
				t.Errorf("%s %v", requests[0].Path, body)
			}
		})
	}
}

// TestConnectionsAreReused counts connections over calls that are refused, retried and answered.
func TestConnectionsAreReused(t *testing.T) {
	var conns sync.Map
	rec := &recorder{reply: func(n int, w http.ResponseWriter, r *http.Request) {
		conns.Store(r.RemoteAddr, true)
		write(w, []int{204, 403, 503, 204}[n%4], strings.Repeat("x", 1000), "Retry-After: 0")
	}}
	server := httptest.NewServer(rec)
	defer server.Close()
	c := newClient(t, Options{URL: server.URL})
	for range 10 {
		c.RequestJob(t.Context())
	}
	n := 0
	conns.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestObserve(t *testing.T) {
	var calls []Call
	c, _ := dial(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		write(w, []int{503, 200, 202}[n-1], "", "Retry-After: 0")
	})
	c.o.Observe = func(k Call) { k.Duration = 0; calls = append(calls, k) }
	retried := 0
	ctx := OnRetriable(t.Context(), func() { retried++ })
	job := &Job{ID: 1, Token: config.Secret("t")}
	if _, err := c.UpdateJob(ctx, job, Update{State: JobRunning}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.PatchTrace(ctx, job, []byte("x"), 0, false); err != nil {
		t.Fatal(err)
	}
	want := []Call{
		{Endpoint: "update_job", Method: "put", Path: "jobs/{id}", Status: 200, Attempts: 2},
		{Endpoint: "patch_trace", Method: "patch", Path: "jobs/{id}/trace", Status: 202, Attempts: 1},
	}
	if diff := cmp.Diff(want, calls); diff != "" || retried != 1 {
		t.Errorf("%d retriable statuses; calls (-want +got):\n%s", retried, diff)
	}
}

// A coordinator that is away is told of too; a call that its context ended is not.
func TestObserveNoAnswer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + listener.Addr().String()
	listener.Close()
	var calls []Call
	c := newClient(t, Options{URL: url, Observe: func(k Call) { k.Duration = 0; calls = append(calls, k) }})
	if _, err := c.RequestJob(t.Context()); err == nil {
		t.Error("no error")
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.RequestJob(over); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	want := []Call{{Endpoint: "request_job", Method: "post", Path: "jobs/request", Attempts: 1}}
	if diff := cmp.Diff(want, calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

// The environment's proxy is used, but not for what NO_PROXY names. It is read once in a process, so the test is one of its own.
func TestProxy(t *testing.T) {
	if os.Getenv("MILLWRIGHT_TEST_PROXY") != "" {
		for url, want := range map[string]bool{"http://gitlab.test": true, "http://direct.test": false} {
			_, err := newClient(t, Options{URL: url}).RequestJob(t.Context())
			if proxied := err == nil; proxied != want {
				t.Errorf("%s: %v", url, err)
			}
		}
		return
	}
	rec := &recorder{reply: status(http.StatusNoContent)}
	proxy := httptest.NewServer(rec)
	defer proxy.Close()
	cmd := exec.Command(os.Args[0], "-test.run=^TestProxy$")
	cmd.Env = append(os.Environ(), "MILLWRIGHT_TEST_PROXY=1", "http_proxy="+proxy.URL, "HTTP_PROXY="+proxy.URL, "no_proxy=direct.test", "NO_PROXY=direct.test")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if n := len(rec.all()); n != 1 {
		t.Errorf("%d requests came through the proxy", n)
	}
}

func TestHammer(t *testing.T) {
	c, _ := dial(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		write(w, 204, "", fmt.Sprint("X-GitLab-Last-Update: ", n))
	})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				if _, err := c.RequestJob(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
