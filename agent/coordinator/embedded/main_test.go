package embedded

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millwright-ci/millwright/agent/coordinator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// peer is a small runner that speaks the API by hand, so that it can also speak it wrongly.
type peer struct {
	t          *testing.T
	s          *Server
	token      string
	lastUpdate string
	features   map[string]bool
}

func start(t *testing.T, o Options) (*Server, *peer) {
	t.Helper()
	if o.LongPoll == 0 {
		o.LongPoll = -1
	}
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	p := &peer{t: t, s: s, token: s.RunnerToken().Reveal(), features: map[string]bool{}}
	for _, f := range knownFeatures {
		p.features[f] = true
	}
	return s, p
}

// reply is an answer, read whole.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (p *peer) info() map[string]any {
	return map[string]any{"name": "peer", "version": "19.4.0", "platform": "linux", "architecture": "amd64", "features": p.features}
}

var peerClient = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func (p *peer) do(ctx context.Context, method, path string, header map[string]string, body io.Reader) (reply, error) {
	r, err := http.NewRequestWithContext(ctx, method, p.s.URL()+path, body)
	if err != nil {
		return reply{}, err
	}
	for k, v := range header {
		r.Header.Set(k, v)
	}
	resp, err := peerClient.Do(r)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, content}, err
}

func (p *peer) call(method, path string, header map[string]string, body any) reply {
	p.t.Helper()
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case []byte:
		reader = bytes.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			p.t.Fatal(err)
		}
		reader = bytes.NewReader(text)
		if header["Content-Type"] == "" {
			header = with(header, "Content-Type", "application/json")
		}
	}
	r, err := p.do(p.t.Context(), method, path, header, reader)
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

func with(header map[string]string, pairs ...string) map[string]string {
	out := map[string]string{}
	for k, v := range header {
		out[k] = v
	}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = pairs[i+1]
	}
	return out
}

func (p *peer) request() reply {
	p.t.Helper()
	r := p.call("POST", "/api/v4/jobs/request", map[string]string{"RUNNER-TOKEN": p.token},
		map[string]any{"info": p.info(), "token": p.token, "system_id": "s_0123456789ab", "last_update": p.lastUpdate})
	if v := r.header.Get("X-GitLab-Last-Update"); v != "" {
		p.lastUpdate = v
	}
	return r
}

// job is a job as it came over the wire. The payload's own types read secrets as they are.
type wire = coordinator.Job

// take asks until there is a job.
func (p *peer) take() wire {
	p.t.Helper()
	for range 2 {
		r := p.request()
		if r.status == http.StatusCreated {
			var j wire
			if err := json.Unmarshal(r.body, &j); err != nil {
				p.t.Fatal(err)
			}
			return j
		}
	}
	p.t.Fatalf("there is no job; the server knows %+v", p.s.Jobs())
	return wire{}
}

func (p *peer) put(j wire, fields map[string]any) reply {
	p.t.Helper()
	body := map[string]any{"info": p.info(), "token": j.Token.Reveal()}
	for k, v := range fields {
		body[k] = v
	}
	return p.call("PUT", fmt.Sprintf("/api/v4/jobs/%d", j.ID), map[string]string{"JOB-TOKEN": j.Token.Reveal()}, body)
}

func (p *peer) patch(j wire, start int, text string) reply {
	p.t.Helper()
	return p.call("PATCH", fmt.Sprintf("/api/v4/jobs/%d/trace?debug_trace=false", j.ID), map[string]string{
		"JOB-TOKEN": j.Token.Reveal(), "Content-Type": "text/plain", "Content-Range": fmt.Sprintf("%d-%d", start, start+len(text)-1),
	}, []byte(text))
}

func output(text string) map[string]any {
	return map[string]any{"checksum": fmt.Sprintf("crc32:%08x", crc32.ChecksumIEEE([]byte(text))), "bytesize": len(text)}
}

func (p *peer) want(what string, r reply, status int) {
	p.t.Helper()
	if r.status != status {
		p.t.Errorf("%s: got %d %s; want %d", what, r.status, r.body, status)
	}
}

// run plays a job to its end.
func (p *peer) run(j wire, state string, exitCode int) {
	p.t.Helper()
	text := "output of " + j.Info.Name + "\n"
	p.want("running", p.put(j, map[string]any{"state": "running"}), 200)
	p.want("trace", p.patch(j, 0, text), 202)
	fields := map[string]any{"state": state, "output": output(text)}
	if state == "failed" {
		fields["failure_reason"], fields["exit_code"] = "script_failure", exitCode
	}
	p.want("final", p.put(j, fields), 200)
}

func (p *peer) uploadFile(j wire, kind, format, name string, content []byte) reply {
	p.t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	part, err := w.CreateFormFile("file", name)
	if err != nil {
		p.t.Fatal(err)
	}
	part.Write(content)
	w.Close()
	return p.call("POST", fmt.Sprintf("/api/v4/jobs/%d/artifacts?artifact_type=%s&artifact_format=%s", j.ID, kind, format),
		map[string]string{"JOB-TOKEN": j.Token.Reveal(), "Content-Type": w.FormDataContentType()}, b.Bytes())
}

func (p *peer) downloadOf(j wire, id int64, query string) reply {
	p.t.Helper()
	return p.call("GET", fmt.Sprintf("/api/v4/jobs/%d/artifacts%s", id, query), map[string]string{"JOB-TOKEN": j.Token.Reveal()}, nil)
}

// clean fails the test when the server has seen rules broken.
func (p *peer) clean() {
	p.t.Helper()
	for _, v := range p.s.Violations() {
		p.t.Error(v)
	}
}

// broke checks that exactly these rules were broken, in order.
func (p *peer) broke(rules ...string) {
	p.t.Helper()
	var got []string
	for _, v := range p.s.Violations() {
		got = append(got, v.Rule)
	}
	if strings.Join(got, " ") != strings.Join(rules, " ") {
		p.t.Errorf("broken rules: got %v; want %v: %v", got, rules, p.s.Violations())
	}
}

func simple(name string) coordinator.Job {
	return coordinator.Job{
		Info:  coordinator.JobInfo{Name: name, Stage: "test"},
		Steps: []coordinator.Step{{Name: "script", Script: []string{"echo " + name}}},
	}
}

// waitFor waits for a job's end.
func (p *peer) waitFor(id int64) JobResult {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 20*time.Second)
	defer cancel()
	r, err := p.s.WaitJob(ctx, id)
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

// folder makes a folder of files.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
