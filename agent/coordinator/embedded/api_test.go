package embedded

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
)

func TestExchange(t *testing.T) {
	s, p := start(t, Options{})
	p.want("verify", p.call("POST", "/api/v4/runners/verify", map[string]string{"RUNNER-TOKEN": p.token},
		map[string]any{"info": p.info(), "token": p.token, "system_id": "s_0123456789ab"}), 200)
	p.want("no job", p.request(), 204)
	if p.lastUpdate == "" {
		t.Fatal("no X-GitLab-Last-Update")
	}
	p.want("nothing new", p.request(), 204)
	id := s.Enqueue(simple("hello"))
	j := p.take()
	if j.ID != id || j.Token == "" || j.Runner.Timeout != 3600 || len(j.Features.FailureReasons) == 0 {
		t.Errorf("got %+v", j)
	}
	if state, _ := s.Job(id); state.State != Pending {
		t.Errorf("after the 201 the job is %s; want pending", state.State)
	}
	p.want("keep-alive", p.put(j, map[string]any{"state": "pending"}), 200)
	p.want("running", p.put(j, map[string]any{"state": "running"}), 200)
	r := p.patch(j, 0, "one ")
	p.want("trace", r, 202)
	if r.header.Get("Range") != "0-4" || r.header.Get("Job-Status") != "running" || r.header.Get("X-GitLab-Trace-Update-Interval") != "3" {
		t.Errorf("got %v", r.header)
	}
	p.want("trace", p.patch(j, 4, "two"), 202)
	p.want("touch", p.put(j, map[string]any{"state": "running", "output": output("one two")}), 200)
	r = p.put(j, map[string]any{"state": "success", "output": output("one two")})
	p.want("final", r, 200)
	if r.header.Get("Job-Status") != "success" {
		t.Errorf("got %v", r.header)
	}
	p.want("final again", p.put(j, map[string]any{"state": "success", "output": output("one two")}), 200)
	got := p.waitFor(id)
	if got.State != Success || got.Runner != "default" || len(got.Updates) != 5 || got.Started.Before(got.Pending) || got.Pending.Before(got.Queued) {
		t.Errorf("got %+v", got)
	}
	if text, err := s.Trace(id); err != nil || string(text) != "one two" {
		t.Errorf("got %q, %v", text, err)
	}
	p.clean()
}

func TestRefusals(t *testing.T) {
	s, p := start(t, Options{})
	ask := func(body map[string]any, header string) reply {
		return p.call("POST", "/api/v4/jobs/request", map[string]string{"RUNNER-TOKEN": header}, body)
	}
	full := func() map[string]any {
		return map[string]any{"info": p.info(), "token": p.token, "system_id": "s_0123456789ab"}
	}
	tests := []struct {
		name   string
		call   func() reply
		status int
		rules  string
	}{
		{"wrong runner token", func() reply { b := full(); b["token"] = "glrt-wrong"; return ask(b, p.token) }, 403, "token"},
		{"no token in the body", func() reply { b := full(); delete(b, "token"); return ask(b, p.token) }, 400, "token"},
		{"no token in the header", func() reply { return ask(full(), "") }, 204, "token"},
		{"no info", func() reply { b := full(); delete(b, "info"); return ask(b, p.token) }, 204, "info"},
		{"no features", func() reply {
			b := full()
			b["info"] = map[string]any{"name": "x", "version": "1", "platform": "l", "architecture": "a", "features": map[string]bool{"image": true}}
			return ask(b, p.token)
		}, 204, "info"},
		{"no system id", func() reply { b := full(); delete(b, "system_id"); return ask(b, p.token) }, 204, "system-id"},
		{"too big", func() reply { b := full(); b["pad"] = strings.Repeat("x", 33<<10); return ask(b, p.token) }, 413, "size"},
		{"not JSON", func() reply {
			return p.call("POST", "/api/v4/jobs/request", map[string]string{"Content-Type": "application/json"}, []byte("{"))
		}, 400, "json"},
		{"not called JSON", func() reply { return p.call("POST", "/api/v4/jobs/request", nil, []byte("{}")) }, 415, "content-type"},
		{"unknown job", func() reply { return p.put(wire{ID: 7, Token: "x"}, map[string]any{"state": "running"}) }, 404, ""},
		{"unknown path", func() reply { return p.call("GET", "/api/v4/nothing", nil, nil) }, 404, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := len(s.Violations())
			r := tt.call()
			var rules []string
			for _, v := range s.Violations()[before:] {
				rules = append(rules, v.Rule)
			}
			if r.status != tt.status || strings.Join(rules, " ") != tt.rules {
				t.Errorf("got %d, %v; want %d, %s", r.status, rules, tt.status, tt.rules)
			}
		})
	}
}

func TestTraceRefusals(t *testing.T) {
	s, p := start(t, Options{MaxTraceBytes: 20})
	id := s.Enqueue(simple("a"))
	j := p.take()
	p.want("before running", p.patch(j, 0, "x"), 403)
	p.want("success before running", p.put(j, map[string]any{"state": "success"}), 400)
	p.put(j, map[string]any{"state": "running"})
	p.want("pending after running", p.put(j, map[string]any{"state": "pending"}), 400)
	p.want("unknown state", p.put(j, map[string]any{"state": "happy"}), 400)
	p.broke("state", "state", "state", "state")

	path, token := fmt.Sprintf("/api/v4/jobs/%d/trace", id), j.Token.Reveal()
	send := func(token, contentRange, text string) reply {
		return p.call("PATCH", path, map[string]string{"JOB-TOKEN": token, "Content-Range": contentRange}, []byte(text))
	}
	tests := []struct {
		name, token, contentRange, text string
		status                          int
		stored                          string // the Range header
	}{
		{"wrong token", "glcbt-x", "0-0", "x", 403, ""},
		{"no range", token, "", "x", 400, ""},
		{"range with unit", token, "bytes 0-0", "x", 400, ""},
		{"range too long", token, "0-5", "x", 400, ""},
		{"range too short", token, "0-0", "xyz", 400, ""},
		{"empty", token, "0-0", "", 400, ""},
		{"backwards", token, "5-0", "x", 400, ""},
		{"hole", token, "3-3", "x", 416, "0-0"},
		{"good", token, "0-2", "abc", 202, "0-3"},
		{"again", token, "0-2", "abc", 416, "0-3"},
		{"good too", token, "3-3", "d", 202, "0-4"},
	}
	for _, tt := range tests {
		r := send(tt.token, tt.contentRange, tt.text)
		if r.status != tt.status || r.header.Get("Range") != tt.stored {
			t.Errorf("%s: got %d, Range %q; want %d, %q", tt.name, r.status, r.header.Get("Range"), tt.status, tt.stored)
		}
	}
	r := send(token, "4-29", strings.Repeat("x", 26))
	p.want("too much", r, 403)
	if r.header.Get("Job-Status") != "failed" {
		t.Errorf("got %v", r.header)
	}
	if got := p.waitFor(id); got.FailureReason != TraceSizeExceeded {
		t.Errorf("got %+v", got)
	}
	before := len(s.Violations())
	p.want("after the end", send(token, "4-4", "x"), 403)
	p.want("update after the end", p.put(j, map[string]any{"state": "success"}), 403)
	for _, v := range s.Violations()[before:] {
		if v.Rule != "after-end" {
			t.Error(v)
		}
	}
	if len(s.Violations()) != before+2 {
		t.Errorf("got %v", s.Violations()[before:])
	}
}

func TestFinalUpdateChecksTheTrace(t *testing.T) {
	s, p := start(t, Options{})
	text := "all of it"
	tests := []struct {
		name     string
		output   map[string]any
		statuses []int // of the first and further tries
		whole    bool  // the whole trace is sent again after the first
	}{
		{"whole", output(text), []int{200}, false},
		{"missing bytes", output(text + " and more"), []int{202, 202}, false},
		{"fewer bytes", output("all"), []int{412}, false},
		{"other bytes", map[string]any{"checksum": "crc32:00000000", "bytesize": len(text)}, []int{412}, false},
		{"sent again", map[string]any{"checksum": "crc32:00000000", "bytesize": len(text)}, []int{412, 200}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s.Enqueue(simple(tt.name))
			j := p.take()
			p.put(j, map[string]any{"state": "running"})
			p.want("trace", p.patch(j, 0, text), 202)
			out := tt.output
			for i, status := range tt.statuses {
				p.want(fmt.Sprintf("try %d", i), p.put(j, map[string]any{"state": "success", "output": out}), status)
				if tt.whole && i == 0 {
					p.want("trace again", p.patch(j, 0, text), 202)
					out = output(text)
				}
			}
		})
	}
	p.clean()
}

func TestTwoPhases(t *testing.T) {
	s, p := start(t, Options{CommitTimeout: 40 * time.Millisecond})
	id := s.Enqueue(simple("forgotten"))
	j := p.take()
	got := p.waitFor(id)
	if got.State != Failed || got.FailureReason != ProvisioningTimeout {
		t.Errorf("got %+v", got)
	}
	p.want("too late", p.put(j, map[string]any{"state": "running"}), 409)
	p.clean()

	p.features["two_phase_job_commit"] = false
	id = s.Enqueue(simple("at once"))
	j = p.take()
	if got, _ := s.Job(id); got.State != Running {
		t.Errorf("without two phases the job is %s; want running", got.State)
	}
	p.want("trace", p.patch(j, 0, "x"), 202)
}

func TestSilentJobIsDropped(t *testing.T) {
	s, p := start(t, Options{StuckTimeout: 40 * time.Millisecond})
	id := s.Enqueue(simple("silent"))
	p.put(p.take(), map[string]any{"state": "running"})
	if got := p.waitFor(id); got.FailureReason != StuckOrTimeout {
		t.Errorf("got %+v", got)
	}
}

func TestLongPoll(t *testing.T) {
	s, p := start(t, Options{LongPoll: time.Minute})
	p.want("first", p.request(), 204)
	answers := make(chan reply)
	go func() { answers <- p.request() }()
	// The job may come before or after the poll begins: either way the runner hears of it and asks again.
	id := s.Enqueue(simple("awaited"))
	r := <-answers
	if r.status == http.StatusNoContent {
		if r.header.Get("X-GitLab-Last-Update") != "" || r.header.Get("Gitlab-Ci-Builds-Polling") != "yes" {
			t.Errorf("got %v", r.header)
		}
		r = p.request()
	}
	var j wire
	if err := json.Unmarshal(r.body, &j); err != nil || j.ID != id {
		t.Errorf("got %d %s, %v", r.status, r.body, err)
	}
	s2, p2 := start(t, Options{LongPoll: time.Millisecond})
	p2.request()
	if r := p2.request(); r.status != 204 || r.header.Get("Gitlab-Ci-Builds-Polling") != "yes" {
		t.Errorf("after the polling time: got %d %v", r.status, r.header)
	}
	_ = s2
}

func TestCancel(t *testing.T) {
	s, p := start(t, Options{})
	cancel := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	t.Run("graceful", func(t *testing.T) {
		id := s.Enqueue(simple("a"))
		j := p.take()
		p.put(j, map[string]any{"state": "running"})
		cancel("cancel", s.Cancel(id))
		cancel("again", s.Cancel(id))
		if r := p.patch(j, 0, "x"); r.status != 202 || r.header.Get("Job-Status") != "canceling" {
			t.Errorf("got %d %v", r.status, r.header)
		}
		r := p.put(j, map[string]any{"state": "failed", "failure_reason": "unknown_failure", "output": output("x")})
		if r.status != 200 || r.header.Get("Job-Status") != "canceled" {
			t.Errorf("got %d %v", r.status, r.header)
		}
		if got := p.waitFor(id); got.State != Canceled || got.FailureReason != "" {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("by force", func(t *testing.T) {
		id := s.Enqueue(simple("b"))
		j := p.take()
		p.put(j, map[string]any{"state": "running"})
		cancel("cancel", s.Cancel(id))
		cancel("force", s.ForceCancel(id))
		if r := p.put(j, map[string]any{"state": "running"}); r.status != 403 || r.header.Get("Job-Status") != "canceled" {
			t.Errorf("got %d %v", r.status, r.header)
		}
	})
	t.Run("a runner that can't", func(t *testing.T) {
		p.features["cancel_gracefully"] = false
		defer func() { p.features["cancel_gracefully"] = true }()
		id := s.Enqueue(simple("c"))
		p.put(p.take(), map[string]any{"state": "running"})
		cancel("cancel", s.Cancel(id))
		if got := p.waitFor(id); got.State != Canceled {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("queued", func(t *testing.T) {
		id := s.Enqueue(simple("d"))
		cancel("cancel", s.Cancel(id))
		p.want("no job is left", p.request(), 204)
		if got := p.waitFor(id); got.State != Canceled {
			t.Errorf("got %+v", got)
		}
	})
	if s.Cancel(1) == nil {
		t.Error("there is no job 1")
	}
	p.clean()
}

func TestUnsupportedJobIsDropped(t *testing.T) {
	s, p := start(t, Options{})
	p.features["upload_multiple_artifacts"] = false
	bad := simple("report")
	bad.Artifacts = []coordinator.Artifact{{Paths: []string{"x"}, Type: "junit", Format: "gzip"}}
	badID, goodID := s.Enqueue(bad), s.Enqueue(simple("plain"))
	if j := p.take(); j.ID != goodID {
		t.Errorf("got job %d", j.ID)
	}
	if got := p.waitFor(badID); got.FailureReason != RunnerUnsupported || !strings.Contains(got.Why, "upload_multiple_artifacts") {
		t.Errorf("got %+v", got)
	}
}

func TestFaults(t *testing.T) {
	s, p := start(t, Options{})
	s.Fail(EndpointRequest, 503, 2)
	p.want("down", p.request(), 503)
	p.want("down", p.request(), 503)
	s.Enqueue(simple("a"))
	j := p.take()
	p.put(j, map[string]any{"state": "running"})

	text := strings.Repeat("x", 1000)
	patch := func() error {
		_, err := p.do(t.Context(), "PATCH", fmt.Sprintf("/api/v4/jobs/%d/trace", j.ID),
			map[string]string{"JOB-TOKEN": j.Token.Reveal(), "Content-Range": "0-999"}, strings.NewReader(text))
		return err
	}
	s.AddFault(Fault{Endpoint: EndpointTrace, DropAfter: 10})
	if patch() == nil {
		t.Error("the connection was not dropped")
	}
	s.AddFault(Fault{Endpoint: EndpointTrace, DropReply: true, Delay: time.Millisecond})
	if patch() == nil {
		t.Error("the connection was not dropped")
	}
	r := p.patch(j, 0, text)
	p.want("stored already", r, 416)
	if r.header.Get("Range") != "0-1000" {
		t.Errorf("got %v", r.header)
	}
	s.AddFault(Fault{Endpoint: EndpointFinal, Status: 412})
	s.AddFault(Fault{Endpoint: EndpointFinal, Status: 202, Header: http.Header{"X-Gitlab-Trace-Update-Interval": {"1"}}})
	final := map[string]any{"state": "success", "output": output(text)}
	p.want("not whole", p.put(j, final), 412)
	p.want("from the start", p.patch(j, 0, text), 202)
	if r := p.put(j, final); r.status != 202 || r.header.Get("X-GitLab-Trace-Update-Interval") != "1" {
		t.Errorf("got %d %v", r.status, r.header)
	}
	p.want("at last", p.put(j, final), 200)
	p.clean()
}

func TestPayloadShowsSecretsToTheRunner(t *testing.T) {
	body, err := marshalJob(coordinator.Job{
		ID: 5, Token: "job-token", Credentials: []coordinator.Credential{{Type: "registry", Password: "registry-password"}},
		Dependencies: []coordinator.Dependency{{ID: 4, Token: "dependency-token"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"token":"job-token"`, `"password":"registry-password"`, `"token":"dependency-token"`, `"policy_options":null`} {
		if !strings.Contains(string(body), want) {
			t.Errorf("%s lacks %s", body, want)
		}
	}
	if strings.Contains(string(body), config.Secret("x").String()) {
		t.Errorf("%s hides something", body)
	}
}

func TestDecodeTrace(t *testing.T) {
	raw := "2026-08-22T10:11:12.345678Z 00O Running\n" +
		"2026-08-22T10:11:12.400000Z 00O section_start:1:a\r\x1b[0K\n" +
		"2026-08-22T10:11:12.400050Z 00O+\x1b[0KTitle\n" +
		"2026-08-22T10:11:15.000000Z 01E oops\nplain\n"
	want := "Running\nsection_start:1:a\r\x1b[0K\x1b[0KTitle\noops\nplain\n"
	if diff := cmp.Diff(want, string(DecodeTrace([]byte(raw)))); diff != "" {
		t.Error(diff)
	}
}

func TestParseSecrets(t *testing.T) {
	got, err := ParseSecrets("# comment\n\nA=b=c\n B = d \n")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]coordinator.Variable{Secret("A", "b=c"), Secret("B", "d")}, got); diff != "" {
		t.Error(diff)
	}
	if _, err := ParseSecrets("A=1\nhunter2"); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}
