package embedded

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/coordinator"
)

func gzipped(text string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte(text))
	w.Close()
	return b.Bytes()
}

func TestArtifacts(t *testing.T) {
	s, p := start(t, Options{MaxArtifactBytes: 1000})
	s.Enqueue(simple("giver"))
	giver := p.take()
	p.want("before running", p.uploadFile(giver, "archive", "zip", "a.zip", []byte("PK")), 403)
	p.put(giver, map[string]any{"state": "running"})
	tests := []struct {
		name, kind, format, file string
		content                  []byte
		status                   int
		rule                     string
	}{
		{"archive", "archive", "zip", "../../a b.zip", []byte("PK-content"), 201, ""},
		{"the same again", "archive", "zip", "a.zip", []byte("PK-content"), 201, ""},
		{"another", "archive", "zip", "a.zip", []byte("PK-other"), 400, "artifact-twice"},
		{"unknown type", "photo", "zip", "a.zip", nil, 400, "artifact-type"},
		{"made by the server", "metadata", "gzip", "a.gz", nil, 400, "artifact-type"},
		{"wrong format", "junit", "raw", "junit.xml", nil, 400, "artifact-type"},
		{"too big", "lsif", "zip", "l.zip", make([]byte, 1001), 413, ""},
		{"just fits", "lsif", "zip", "l.zip", make([]byte, 1000), 201, ""},
		{"dotenv", "dotenv", "gzip", ".env.gz", gzipped("A=1\nB=two words\n"), 201, ""},
		{"report", "junit", "gzip", "junit.xml.gz", gzipped("<x/>"), 201, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := len(s.Violations())
			r := p.uploadFile(giver, tt.kind, tt.format, tt.file, tt.content)
			if r.status != tt.status {
				t.Errorf("got %d %s; want %d", r.status, r.body, tt.status)
			}
			var rule string
			for _, v := range s.Violations()[before:] {
				rule = v.Rule
			}
			if rule != tt.rule {
				t.Errorf("broken: %q; want %q", rule, tt.rule)
			}
		})
	}
	got, _ := s.Job(giver.ID)
	if diff := cmp.Diff([]coordinator.Variable{{Key: "A", Value: "1"}, {Key: "B", Value: "two words"}}, got.DotEnv); diff != "" {
		t.Error(diff)
	}
	if len(got.Artifacts) != 4 || got.Artifacts[0].Filename != "a_b.zip" || got.Artifacts[0].Size != 10 {
		t.Errorf("got %+v", got.Artifacts)
	}
	if content, err := os.ReadFile(got.Artifacts[0].Path); err != nil || string(content) != "PK-content" {
		t.Errorf("got %q, %v", content, err)
	}
	if left, _ := os.ReadDir(s.Dir() + "/artifacts"); len(left) != 4 {
		t.Errorf("%d files are left; want 4", len(left))
	}
	p.want("final", p.put(giver, map[string]any{"state": "success"}), 200)
	p.want("upload after the end", p.uploadFile(giver, "sast", "raw", "s", nil), 403)

	taker := simple("taker")
	taker.Dependencies = []coordinator.Dependency{{ID: giver.ID, Name: "giver"}, {ID: giver.ID + 1, Name: "taker itself"}}
	s.Enqueue(taker)
	s.Enqueue(simple("stranger"))
	j, stranger := p.take(), p.take()
	if j.Dependencies[0].Token != j.Token {
		t.Error("a dependency's token is the job's own")
	}
	p.want("before running", p.downloadOf(j, giver.ID, ""), 401)
	p.put(j, map[string]any{"state": "running"})
	p.put(stranger, map[string]any{"state": "running"})
	r := p.downloadOf(j, giver.ID, "?direct_download=true")
	p.want("download", r, 200)
	if string(r.body) != "PK-content" {
		t.Errorf("got %q", r.body)
	}
	p.want("no archive", p.downloadOf(j, j.ID, ""), 404)
	p.want("no such job", p.downloadOf(j, 1, ""), 404)
	p.want("none of its business", p.downloadOf(stranger, giver.ID, ""), 403)
	p.want("wrong token", p.downloadOf(wire{Token: "glcbt-x"}, giver.ID, ""), 401)
}

func TestBadDotEnv(t *testing.T) {
	s, p := start(t, Options{})
	s.Enqueue(simple("a"))
	j := p.take()
	p.put(j, map[string]any{"state": "running"})
	tests := map[string][]byte{
		"not gzip": []byte("A=1"), "comment": gzipped("# x\nA=1"), "empty line": gzipped("A=1\n\nB=2"), "bad name": gzipped("A-B=1"),
		"too long": gzipped("A=" + strings.Repeat("x", maxDotEnvBytes)), "too many": gzipped(strings.Repeat("A=1\n", maxDotEnvVariables+1)),
	}
	for name, content := range tests {
		if r := p.uploadFile(j, "dotenv", "gzip", ".env.gz", content); r.status != 400 {
			t.Errorf("%s: got %d %s", name, r.status, r.body)
		}
	}
	p.want("empty", p.uploadFile(j, "dotenv", "gzip", ".env.gz", gzipped("")), 201)
}

func TestDirectDownload(t *testing.T) {
	s, p := start(t, Options{DirectDownload: true})
	s.Enqueue(simple("a"))
	j := p.take()
	p.put(j, map[string]any{"state": "running"})
	p.uploadFile(j, "archive", "zip", "a.zip", []byte("PK-content"))
	p.want("without", p.downloadOf(j, j.ID, ""), 200)
	r := p.downloadOf(j, j.ID, "?direct_download=true")
	p.want("with", r, 302)
	get := func(header map[string]string) (int, string) {
		t.Helper()
		req, err := http.NewRequest("GET", r.header.Get("Location"), nil)
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range header {
			req.Header.Set(k, v)
		}
		resp, err := peerClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var b bytes.Buffer
		b.ReadFrom(resp.Body)
		return resp.StatusCode, b.String()
	}
	if status, body := get(nil); status != 200 || body != "PK-content" {
		t.Errorf("got %d %q", status, body)
	}
	if status, body := get(map[string]string{"Range": "bytes=3-"}); status != 206 || body != "content" {
		t.Errorf("got %d %q", status, body)
	}
	p.clean()
	get(map[string]string{"JOB-TOKEN": j.Token.Reveal()})
	p.broke("token")
}
