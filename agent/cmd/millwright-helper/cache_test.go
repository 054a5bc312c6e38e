package main

import (
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/internal/need"
)

func TestCacheRoundTrip(t *testing.T) {
	for _, format := range []string{"", "zip", "zipzstd", "tarzstd"} {
		t.Run("format "+format, func(t *testing.T) {
			t.Setenv("CACHE_COMPRESSION_FORMAT", format)
			t.Setenv("CACHE_METADATA", `{"cachekey":"k"}`)
			dir := project(t, "vendor/a", "vendor/sub/b", "other")
			file := filepath.Join(t.TempDir(), "group/project/k/cache.zip")
			save := []string{"cache-archiver", "--file", file, "--timeout", "10", "--path", "vendor/"}
			if code, out := helper(t, dir, save...); code != 0 || !strings.Contains(out, "vendor/: found 4") || !strings.Contains(out, "No URL provided") {
				t.Fatalf("exit code %d: %s", code, out)
			}
			if b, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "metadata.json")); string(b) != `{"cachekey":"k"}` {
				t.Errorf("metadata.json holds %q", b)
			}
			if code, out := helper(t, dir, save...); code != 0 || !strings.Contains(out, "Archive is up to date!") {
				t.Errorf("second time: exit code %d: %s", code, out)
			}
			later := time.Now().Add(time.Second)
			os.Chtimes(filepath.Join(dir, "vendor/a"), later, later)
			if _, out := helper(t, dir, save...); strings.Contains(out, "up to date") {
				t.Errorf("after a change: %s", out)
			}
			clean := t.TempDir()
			if code, out := helper(t, clean, "cache-extractor", "--file", file, "--timeout", "10"); code != 0 {
				t.Fatalf("exit code %d: %s", code, out)
			}
			if b, err := os.ReadFile(filepath.Join(clean, "vendor/sub/b")); err != nil || string(b) != "vendor/sub/b" {
				t.Errorf("%q, %v", b, err)
			}
		})
	}
}

func TestCacheWithoutSuccess(t *testing.T) {
	dir := project(t, "a")
	broken := filepath.Join(t.TempDir(), "cache.zip")
	os.WriteFile(broken, []byte("PK but no more"), 0o600)
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"no file to pack": {[]string{"cache-archiver", "--file", "../c.zip", "--path", "nothing"}, 0, "No files to cache."},
		"no --file":       {[]string{"cache-archiver", "--path", "a"}, 2, "--file is missing"},
		"miss":            {[]string{"cache-extractor", "--file", "../none.zip"}, 1, "does not exist"},
		"broken":          {[]string{"cache-extractor", "--file", broken}, 1, "no zip"},
		"folder in place": {[]string{"cache-archiver", "--file", "a/cache.zip", "--path", "a"}, 1, "cache: "},
	} {
		t.Run(name, func(t *testing.T) {
			if code, out := helper(t, dir, c.args...); code != c.code || !strings.Contains(out, c.says) {
				t.Errorf("exit code %d, want %d; said %s", code, c.code, out)
			}
		})
	}
	t.Setenv("CACHE_COMPRESSION_FORMAT", "raw")
	if code, out := helper(t, dir, "cache-archiver", "--file", "../c.zip", "--path", "a"); code != 1 || !strings.Contains(out, "CACHE_COMPRESSION_FORMAT") {
		t.Errorf("exit code %d: %s", code, out)
	}
}

func TestCacheStore(t *testing.T) {
	var stored []byte
	var storedAt time.Time
	header := ""
	s := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != "/k" || (r.Method == http.MethodGet && stored == nil):
			w.WriteHeader(http.StatusNotFound)
		case r.Method == http.MethodPut && n == 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.Method == http.MethodPut:
			stored, _ = io.ReadAll(r.Body)
			storedAt, header = time.Now().Add(time.Minute), r.Header.Get("X-Amz-Meta-Cachekey")
		default:
			w.Header().Set("Last-Modified", storedAt.UTC().Format(http.TimeFormat))
			w.Write(stored)
		}
	})
	url := s.URL + "/k?signature=geheim"
	dir, local := project(t, "vendor/a"), filepath.Join(t.TempDir(), "one/cache.zip")
	code, out := helper(t, dir, "cache-archiver", "--file", local, "--path", "vendor", "--url", url, "--header", "x-amz-meta-cachekey: k")
	if code != 0 || header != "k" || len(stored) == 0 || strings.Contains(out, "geheim") {
		t.Fatalf("exit code %d, header %q, %d bytes: %s", code, header, len(stored), out)
	}
	other, clean := filepath.Join(t.TempDir(), "two/cache.zip"), t.TempDir()
	if code, out := helper(t, clean, "cache-extractor", "--file", other, "--url", url); code != 0 || !strings.Contains(out, "Downloading") {
		t.Fatalf("exit code %d: %s", code, out)
	}
	if _, err := os.Stat(filepath.Join(clean, "vendor/a")); err != nil {
		t.Error(err)
	}
	if code, out := helper(t, clean, "cache-extractor", "--file", other, "--url", url); code != 0 || !strings.Contains(out, "is up to date") {
		t.Errorf("second time: exit code %d: %s", code, out)
	}
	if code, out := helper(t, clean, "cache-extractor", "--file", local, "--url", s.URL+"/none?signature=geheim"); code != 1 || !strings.Contains(out, "file does not exist") || strings.Contains(out, "geheim") {
		t.Errorf("a miss: exit code %d: %s", code, out)
	}
	code, out = helper(t, dir, "cache-archiver", "--file", filepath.Join(t.TempDir(), "c.zip"), "--path", "vendor", "--url", url, "--max-uploaded-archive-size", "1")
	if code != 0 || !strings.Contains(out, "only locally") {
		t.Errorf("too large: exit code %d: %s", code, out)
	}
}

func TestCacheInit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "v")
	os.Mkdir(dir, 0o700)
	if code, out := helper(t, t.TempDir(), "cache-init", dir); code != 0 {
		t.Fatalf("exit code %d: %s", code, out)
	}
	if info, _ := os.Stat(dir); runtime.GOOS != "windows" && info.Mode().Perm() != 0o777 {
		t.Errorf("mode %v", info.Mode())
	}
	if code, _ := helper(t, t.TempDir(), "cache-init", dir+"/none"); code != 1 {
		t.Errorf("a folder that is not: exit code %d", code)
	}
}

func TestHealthCheck(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	t.Setenv("WAIT_FOR_SERVICE_TCP_ADDR", "127.0.0.1")
	t.Run("no port", func(t *testing.T) {
		if code, out := helper(t, t.TempDir(), "health-check"); code != 1 || !strings.Contains(out, "no host or port") {
			t.Errorf("exit code %d: %s", code, out)
		}
	})
	t.Run("one of two opens", func(t *testing.T) {
		t.Setenv("WAIT_FOR_SERVICE_1_TCP_PORT", "1")
		t.Setenv("WAIT_FOR_SERVICE_"+port+"_TCP_PORT", port)
		if code, out := helper(t, t.TempDir(), "health-check"); code != 0 || !strings.Contains(out, "connected to 127.0.0.1:"+port) {
			t.Errorf("exit code %d: %s", code, out)
		}
	})
}

// The built program, called by its other name, becomes a shell.
func TestBuildCommand(t *testing.T) {
	need.Command(t, "go")
	if runtime.GOOS == "windows" {
		t.Skip("helper containers run on Linux")
	}
	bin := filepath.Join(t.TempDir(), buildName)
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	script := filepath.Join(t.TempDir(), "script")
	os.WriteFile(script, []byte("umask; echo \"args=$*\"; exit 7\n"), 0o644)
	for name, cmd := range map[string]*exec.Cmd{
		"script as a file": exec.Command(bin, script, "a", "b"),
		"script on stdin":  {Path: bin, Args: []string{bin}, Stdin: strings.NewReader("umask; echo args=$*; exit 7\n")},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := cmd.CombinedOutput()
			if cmd.ProcessState.ExitCode() != 7 || !strings.HasPrefix(string(out), "0000\nargs=") {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}
