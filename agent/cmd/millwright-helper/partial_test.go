package main

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// cut answers with the first half of content and breaks the connection.
func cut(w http.ResponseWriter, content []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	w.WriteHeader(http.StatusOK)
	w.Write(content[:len(content)/2])
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

// A download that breaks off goes on where it was, if the server has the same file still, and begins anew where it has not.
func TestDownloadGoesOn(t *testing.T) {
	dir := project(t, "vendor/a", "vendor/b")
	local := filepath.Join(t.TempDir(), "cache.zip")
	if code, out := helper(t, dir, "cache-archiver", "--file", local, "--path", "vendor"); code != 0 {
		t.Fatal(out)
	}
	content, err := os.ReadFile(local)
	if err != nil {
		t.Fatal(err)
	}
	whole := func(tag string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", tag)
			http.ServeContent(w, r, "", time.Now(), bytes.NewReader(content))
		}
	}
	for name, c := range map[string]struct {
		tag  string // of the first answer
		next func(http.ResponseWriter, *http.Request)
		want string // Range of the second request
	}{
		"same file":            {`"one"`, whole(`"one"`), "bytes=" + strconv.Itoa(len(content)/2) + "-"},
		"another file by then": {`"one"`, whole(`"two"`), "bytes=" + strconv.Itoa(len(content)/2) + "-"},
		"no tag":               {``, whole(`"one"`), ""},
		"a weak tag":           {`W/"one"`, whole(`W/"one"`), ""},
		"no ranges": {`"one"`, func(w http.ResponseWriter, _ *http.Request) { w.Write(content) },
			"bytes=" + strconv.Itoa(len(content)/2) + "-"},
	} {
		t.Run(name, func(t *testing.T) {
			for command, args := range map[string][]string{
				"cache":     {"cache-extractor", "--file", filepath.Join(t.TempDir(), "c.zip"), "--url"},
				"artifacts": {"artifacts-downloader", "--token", "tok", "--id", "12", "--url"},
			} {
				asked := ""
				s := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
					if n == 1 {
						w.Header().Set("ETag", c.tag)
						cut(w, content)
					}
					asked = r.Header.Get("Range")
					c.next(w, r)
				})
				clean := t.TempDir()
				if code, out := helper(t, clean, append(args, s.URL)...); code != 0 {
					t.Fatalf("%s: exit code %d: %s", command, code, out)
				}
				if b, err := os.ReadFile(filepath.Join(clean, "vendor/b")); err != nil || string(b) != "vendor/b" {
					t.Errorf("%s: %q, %v", command, b, err)
				}
				if asked != c.want {
					t.Errorf("%s: the second request asked for %q, want %q", command, asked, c.want)
				}
			}
		})
	}
}

// A server that gives another rest than the one asked for is not believed.
func TestOtherRest(t *testing.T) {
	dir := project(t, "a")
	local := filepath.Join(t.TempDir(), "cache.zip")
	helper(t, dir, "cache-archiver", "--file", local, "--path", "a")
	content, err := os.ReadFile(local)
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"one"`)
		switch n {
		case 1:
			cut(w, content)
		case 2:
			w.Header().Set("Content-Range", "bytes 0-"+strconv.Itoa(len(content)-1)+"/"+strconv.Itoa(len(content)))
			w.WriteHeader(http.StatusPartialContent)
			w.Write(content)
		default:
			w.Write(content)
		}
	})
	clean := t.TempDir()
	code, out := helper(t, clean, "cache-extractor", "--file", filepath.Join(t.TempDir(), "c.zip"), "--url", s.URL+"/k")
	if code != 0 || !strings.Contains(out, "does not fit") {
		t.Errorf("exit code %d: %s", code, out)
	}
	if b, _ := os.ReadFile(filepath.Join(clean, "a")); string(b) != "a" {
		t.Errorf("content %q", b)
	}
}

// A store that has lost an archive gets it again, though no file has changed.
func TestArchiveIsGoneInTheStore(t *testing.T) {
	puts := 0
	there := true
	s := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPut:
			puts++
			bytes.NewBuffer(nil).ReadFrom(r.Body)
		case !there:
			w.WriteHeader(http.StatusNotFound)
		}
	})
	dir, file := project(t, "a"), filepath.Join(t.TempDir(), "cache.zip")
	save := func() string {
		t.Helper()
		t.Setenv("CACHE_CHECK_URL", s.URL+"/k?head")
		code, out := helper(t, dir, "cache-archiver", "--file", file, "--path", "a", "--url", s.URL+"/k?put")
		if code != 0 {
			t.Fatalf("exit code %d: %s", code, out)
		}
		return out
	}
	save()
	if out := save(); puts != 1 || !strings.Contains(out, "Archive is up to date!") {
		t.Errorf("%d uploads, want one: %s", puts, out)
	}
	there = false
	if out := save(); puts != 2 || !strings.Contains(out, "does not have it any more") {
		t.Errorf("%d uploads, want two: %s", puts, out)
	}
}

func TestBrokenCacheIsCleared(t *testing.T) {
	dir := project(t, "vendor/a", "vendor/b")
	file := filepath.Join(t.TempDir(), "cache.zip")
	t.Setenv("CACHE_COMPRESSION_LEVEL", "fastest") // files are stored as they are
	helper(t, dir, "cache-archiver", "--file", file, "--path", "vendor")
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(content, []byte("vendor/b")) + len("vendor/b") // behind the entry's name
	at += bytes.Index(content[at:], []byte("vendor/b"))
	content[at] ^= 0xff
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	for flag, left := range map[string]bool{"true": false, "false": true} {
		t.Setenv("FF_CLEAN_UP_FAILED_CACHE_EXTRACT", flag)
		clean := t.TempDir()
		if code, out := helper(t, clean, "cache-extractor", "--file", file); code != 1 {
			t.Fatalf("exit code %d: %s", code, out)
		}
		if _, err := os.Stat(filepath.Join(clean, "vendor/a")); (err == nil) != left {
			t.Errorf("with the flag %s: %v", flag, err)
		}
	}
}
