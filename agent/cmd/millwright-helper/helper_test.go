package main

import (
	"archive/zip"
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	firstPause = time.Millisecond
	goleak.VerifyTestMain(m)
}

// output collects what a command writes, from any goroutine.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// helper runs the program in dir and returns its exit code and what it said.
func helper(t *testing.T, dir string, args ...string) (int, string) {
	t.Helper()
	t.Chdir(dir)
	var out output
	code := run(t.Context(), args, console{&out, &out})
	return code, out.String()
}

// project makes a folder with files, each holding its own name.
func project(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range files {
		full := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// serve starts a real server that counts its requests.
func serve(t *testing.T, handle func(n int, w http.ResponseWriter, r *http.Request)) *httptest.Server {
	t.Helper()
	var mu sync.Mutex
	n := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		n++
		now := n
		mu.Unlock()
		handle(now, w, r)
	}))
	t.Cleanup(s.Close)
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	return s
}

// received is one upload as a coordinator sees it.
type received struct {
	path, query, token, fileName string
	content                      []byte
}

func receive(t *testing.T, r *http.Request) received {
	t.Helper()
	form, err := r.MultipartReader()
	if err != nil {
		t.Error(err)
		return received{}
	}
	part, err := form.NextPart()
	if err != nil {
		t.Error(err)
		return received{}
	}
	content, err := io.ReadAll(part)
	if err != nil || part.FormName() != "file" {
		t.Errorf("part %q: %v", part.FormName(), err)
	}
	if _, err := form.NextPart(); err != io.EOF {
		t.Errorf("a second part, or a body cut short: %v", err)
	}
	return received{r.URL.Path, r.URL.RawQuery, r.Header.Get("JOB-TOKEN"), part.FileName(), content}
}

func uploadArgs(url string, more ...string) []string {
	return append([]string{"artifacts-uploader", "--url", url, "--token", "tok", "--id", "12"}, more...)
}

func TestUpload(t *testing.T) {
	cases := map[string]struct {
		args            []string
		fileName, query string
		content         string // of a raw file
		entries         []string
	}{
		"zip": {
			args:     []string{"--path", "out", "--exclude", "out/*.log", "--name", "${CI_REF:-none}", "--expire-in", "1 week", "--artifact-type", "archive", "--artifact-format", "zip"},
			fileName: "none.zip", query: "artifact_format=zip&artifact_type=archive&expire_in=1+week", entries: []string{"out/", "out/a.txt"},
		},
		"defaults":  {args: []string{"--path", "out/a.txt"}, fileName: "default.zip", query: "artifact_format=zip", entries: []string{"out/a.txt"}},
		"base name": {args: []string{"--path", "out/a.txt", "--name", "feature/x"}, fileName: "x.zip", query: "artifact_format=zip", entries: []string{"out/a.txt"}},
		"gzip":      {args: []string{"--path", "${DIR}/a.txt", "--artifact-format", "gzip", "--artifact-type", "dotenv", "--name", ".env"}, fileName: ".env.gz", query: "artifact_format=gzip&artifact_type=dotenv"},
		"raw":       {args: []string{"--path", "out/a.txt", "--artifact-format", "raw", "--name", "gl-sast-report.json"}, fileName: "gl-sast-report.json", query: "artifact_format=raw", content: "out/a.txt"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Setenv("DIR", "out")
			dir := project(t, "out/a.txt", "out/b.log")
			var got received
			s := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
				got = receive(t, r)
				w.WriteHeader(http.StatusCreated)
			})
			code, out := helper(t, dir, uploadArgs(s.URL+"/gitlab/", append(c.args, "--timeout", "1h0m0s", "--response-header-timeout", "10m0s")...)...)
			if code != 0 {
				t.Fatalf("exit code %d: %s", code, out)
			}
			if got.path != "/gitlab/api/v4/jobs/12/artifacts" || got.token != "tok" || got.fileName != c.fileName || got.query != c.query {
				t.Errorf("%s ? %s, token %s, file name %s", got.path, got.query, got.token, got.fileName)
			}
			if c.content != "" && string(got.content) != c.content {
				t.Errorf("content %q", got.content)
			}
			if c.entries != nil {
				zr, err := zip.NewReader(bytes.NewReader(got.content), int64(len(got.content)))
				if err != nil {
					t.Fatal(err)
				}
				var entries []string
				for _, f := range zr.File {
					entries = append(entries, f.Name)
				}
				if !slices.Equal(entries, c.entries) {
					t.Errorf("entries %q, want %q", entries, c.entries)
				}
			}
			if strings.Contains(out, "tok\"") || strings.Contains(out, "=tok") {
				t.Errorf("the token is in the output: %s", out)
			}
		})
	}
}

func TestUploadAnswers(t *testing.T) {
	always := func(code int) func(int) int { return func(int) int { return code } }
	cases := map[string]struct {
		answer func(n int) int
		tries  int
		code   int
		says   string
	}{
		"created":               {always(201), 1, 0, "201 Created"},
		"forbidden":             {always(403), 1, 1, "permission denied"},
		"too large":             {always(413), 1, 1, "too large"},
		"bad request":           {always(400), 3, 1, "after 3 tries"},
		"no such method":        {always(405), 3, 1, "after 3 tries"},
		"too many":              {always(429), 3, 1, "after 3 tries"},
		"server error":          {always(500), 3, 1, "after 3 tries"},
		"success of other kind": {always(200), 3, 1, "after 3 tries"},
		"unavailable":           {always(503), 6, 1, "after 6 tries"},
		"comes back":            {func(n int) int { return map[bool]int{true: 503, false: 201}[n < 5] }, 5, 0, "201 Created"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			tries := 0
			s := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
				tries = n
				code := c.answer(n)
				if code == 201 {
					receive(t, r)
				}
				w.WriteHeader(code) // a refusal comes before the body has been read
			})
			code, out := helper(t, project(t, "a"), uploadArgs(s.URL, "--path", "a")...)
			if code != c.code || tries != c.tries || !strings.Contains(out, c.says) {
				t.Errorf("exit code %d after %d tries, want %d after %d: %s", code, tries, c.code, c.tries, out)
			}
		})
	}
}

func TestUploadFollowsRedirect(t *testing.T) {
	var got received
	other := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		got = receive(t, r)
		w.WriteHeader(http.StatusCreated)
	})
	first := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", other.URL+"/somewhere/else?x=y")
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	code, out := helper(t, project(t, "a"), uploadArgs(first.URL, "--path", "a")...)
	if code != 0 || got.path != "/api/v4/jobs/12/artifacts" || got.token != "tok" {
		t.Errorf("exit code %d, %+v: %s", code, got, out)
	}
}

func TestUploadWithoutSuccess(t *testing.T) {
	s := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusCreated)
	})
	cases := map[string]struct {
		args []string
		code int
		says string
	}{
		"no files":      {uploadArgs(s.URL, "--path", "nothing"), 0, "ERROR: No files to upload"},
		"nothing named": {uploadArgs(s.URL), 0, "ERROR: No files to upload"},
		"two raw files": {uploadArgs(s.URL, "--path", "a", "--path", "b", "--artifact-format", "raw"), 1, "exactly one file, not 2"},
		"folder gzip":   {uploadArgs(s.URL, "--path", "d", "--artifact-format", "gzip"), 1, "no plain file"},
		"odd format":    {uploadArgs(s.URL, "--path", "a", "--artifact-format", "rar"), 2, "rar"},
		"no token":      {[]string{"artifacts-uploader", "--url", s.URL, "--id", "1"}, 2, "--token is missing"},
		"odd id":        {[]string{"artifacts-uploader", "--url", s.URL, "--token", "t", "--id", "../1"}, 2, "no number"},
		"odd url":       {[]string{"artifacts-uploader", "--url", "gitlab", "--token", "t", "--id", "1"}, 2, "no address"},
		"unknown flag":  {uploadArgs(s.URL, "--pathh", "a"), 2, "pathh"},
		"argument":      {uploadArgs(s.URL, "a"), 2, "no flag"},
		"nobody there":  {uploadArgs("http://127.0.0.1:1", "--path", "a"), 1, "after 3 tries"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			code, out := helper(t, project(t, "a", "b", "d/c"), c.args...)
			if code != c.code || !strings.Contains(out, c.says) {
				t.Errorf("exit code %d, want %d; said %s, want %q", code, c.code, out, c.says)
			}
		})
	}
}

func TestUploadEnds(t *testing.T) {
	t.Run("when its time is up", func(t *testing.T) {
		s := serve(t, func(_ int, _ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		})
		code, out := helper(t, project(t, "a"), uploadArgs(s.URL, "--path", "a", "--timeout", "50ms")...)
		if code != 1 || !strings.Contains(out, "took longer than 50ms") {
			t.Errorf("exit code %d: %s", code, out)
		}
	})
	t.Run("when it is stopped", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
			cancel()
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		t.Chdir(project(t, "a"))
		var out output
		if code := run(ctx, uploadArgs(s.URL, "--path", "a"), console{&out, &out}); code != 1 {
			t.Errorf("exit code %d: %s", code, out.String())
		}
	})
}

// zipped is an archive with one file.
func zipped(t *testing.T, name, content string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(f, content)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func downloadArgs(url string) []string {
	return []string{"artifacts-downloader", "--url", url, "--token", "tok", "--id", "7"}
}

func TestDownload(t *testing.T) {
	dir := project(t, "out/a.txt", "keep")
	var asked []string
	s := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.String()+" "+r.Header.Get("JOB-TOKEN"))
		if n == 1 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		w.Write(zipped(t, "out/a.txt", "new"))
	})
	code, out := helper(t, dir, downloadArgs(s.URL)...)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, out)
	}
	if want := []string{"/api/v4/jobs/7/artifacts?direct_download=true tok", "/api/v4/jobs/7/artifacts tok"}; !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
	if b, _ := os.ReadFile(filepath.Join(dir, "out/a.txt")); string(b) != "new" {
		t.Errorf("the file is %q", b)
	}
	if b, _ := os.ReadFile(filepath.Join(dir, "keep")); string(b) != "keep" {
		t.Errorf("the other file is %q", b)
	}
}

// The token must reach the coordinator only, also when the way comes back to it.
func TestDownloadStripsToken(t *testing.T) {
	tokens := map[string]string{}
	var store, coordinator *httptest.Server
	coordinator = serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
		tokens["coordinator "+r.URL.Path] = r.Header.Get("JOB-TOKEN")
		if r.URL.Path == "/back" {
			w.Write(zipped(t, "f", "x"))
			return
		}
		http.Redirect(w, r, store.URL+"/signed?signature=s", http.StatusFound)
	})
	store = serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		tokens["store"] = r.Header.Get("JOB-TOKEN")
		http.Redirect(w, r, coordinator.URL+"/back", http.StatusTemporaryRedirect)
	})
	if code, out := helper(t, t.TempDir(), downloadArgs(coordinator.URL)...); code != 0 {
		t.Fatalf("exit code %d: %s", code, out)
	}
	if tokens["store"] != "" || tokens["coordinator /api/v4/jobs/7/artifacts"] != "tok" {
		t.Errorf("tokens seen: %v", tokens)
	}
}

func TestDownloadAnswers(t *testing.T) {
	status := func(code int) func(http.ResponseWriter) { return func(w http.ResponseWriter) { w.WriteHeader(code) } }
	cases := map[string]struct {
		answer func(http.ResponseWriter)
		tries  int
		says   string
	}{
		"unauthorized": {status(401), 1, "permission denied"},
		"forbidden":    {status(403), 1, "permission denied"},
		"not found":    {status(404), 1, "not found"},
		"unavailable":  {status(503), 3, "after 3 tries"},
		"no content":   {status(204), 3, "after 3 tries"},
		"a web page":   {func(w http.ResponseWriter) { io.WriteString(w, "<html>sign in</html>") }, 1, "no zip"},
		"a report":     {func(w http.ResponseWriter) { w.Write([]byte{0x1f, 0x8b, 8, 0}) }, 1, "gzip"},
		"a way out":    {func(w http.ResponseWriter) { w.Write(zipped(t, "../f", "x")) }, 1, "leads out"},
		"cut short": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, "PK")
		}, 3, "after 3 tries"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			tries := 0
			s := serve(t, func(n int, w http.ResponseWriter, _ *http.Request) {
				tries = n
				c.answer(w)
			})
			code, out := helper(t, t.TempDir(), downloadArgs(s.URL)...)
			if code != 1 || tries != c.tries || !strings.Contains(out, c.says) {
				t.Errorf("exit code %d after %d tries, want 1 after %d; said %s", code, tries, c.tries, out)
			}
		})
	}
}

func TestExpand(t *testing.T) {
	t.Setenv("REF", "main")
	t.Setenv("EMPTY", "")
	for in, want := range map[string]string{
		"plain":           "plain",
		"$REF/x":          "main/x",
		"${REF}":          "main",
		"${NOPE_X:-def}":  "def",
		"${EMPTY:-def}":   "def",
		"${EMPTY-def}":    "",
		"${REF:+set}":     "set",
		"$NOPE_X":         "",
		"a*b?[c] {d,e}":   "a*b?[c] {d,e}",
		"two  blanks":     "two  blanks",
		"it's \"quoted\"": "it's \"quoted\"",
		"$(touch evil)":   "$(touch evil)",
		"`touch evil`":    "`touch evil`",
		"${NOPE_X:?gone}": "${NOPE_X:?gone}",
		"${":              "${",
	} {
		var out output
		if got := expandText(in, console{&out, &out}); got != want {
			t.Errorf("%q: got %q, want %q (%s)", in, got, want, out.String())
		}
	}
	if _, err := os.Stat("evil"); err == nil {
		os.Remove("evil")
		t.Error("a command was run")
	}
}

func TestMainCommands(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"version": {[]string{"--version"}, 0, "millwright-helper "},
		"help":    {[]string{"--help"}, 0, "cache-archiver"},
		"nothing": {nil, 2, "artifacts-uploader"},
		"unknown": {[]string{"frobnicate"}, 2, "no command \"frobnicate\""},
		"of one":  {[]string{"cache-extractor", "--help"}, 0, "-file"},
	} {
		t.Run(name, func(t *testing.T) {
			if code, out := helper(t, t.TempDir(), c.args...); code != c.code || !strings.Contains(out, c.says) {
				t.Errorf("exit code %d, want %d; said %s", code, c.code, out)
			}
		})
	}
}
