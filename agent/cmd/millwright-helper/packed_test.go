package main

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/archive"
)

// A connection that breaks in the middle of an upload, or when all is there but the answer, costs another try, which brings the archive as it was
// packed: files that have changed since are not read again, and so a coordinator that has it already sees the same bytes.
func TestUploadBreaksOff(t *testing.T) {
	content := make([]byte, 4<<20)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(content)
	for name, keep := range map[string]int64{"in the middle": 1 << 20, "at its end": 1 << 40} {
		t.Run(name, func(t *testing.T) {
			temp, dir := t.TempDir(), project(t, "other")
			t.Setenv("RUNNER_TEMP_PROJECT_DIR", temp)
			file := filepath.Join(dir, "big")
			if err := os.WriteFile(file, content, 0o600); err != nil {
				t.Fatal(err)
			}
			var first, second []byte
			s := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
				if n > 1 {
					second = receive(t, r).content
					w.WriteHeader(http.StatusCreated)
					return
				}
				if keep > int64(len(content)) {
					first = receive(t, r).content
					if err := os.WriteFile(file, []byte("changed"), 0o600); err != nil {
						t.Error(err)
					}
				} else {
					_, _ = io.CopyN(io.Discard, r.Body, keep)
				}
				panic(http.ErrAbortHandler)
			})
			code, out := helper(t, dir, uploadArgs(s.URL, "--path", "big")...)
			if code != 0 || strings.Count(out, "Retrying...") != 1 || strings.Count(out, "big: found 1") != 1 {
				t.Errorf("exit code %d: %s", code, out)
			}
			if first != nil && !bytes.Equal(first, second) {
				t.Errorf("the second try brings other bytes: %d and %d", len(first), len(second))
			}
			if got, err := unzipped(second, "big"); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%d bytes arrived, want %d; %v", len(got), len(content), err)
			}
			if left, _ := os.ReadDir(temp); len(left) > 0 {
				t.Errorf("left on the disk: %v", left)
			}
		})
	}
}

// Where the disk takes no archive it is packed for each try, as it is sent.
func TestUploadWithoutDisk(t *testing.T) {
	t.Setenv("RUNNER_TEMP_PROJECT_DIR", filepath.Join(t.TempDir(), "none"))
	dir := project(t, "a", "b")
	var got []byte
	s := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
		if n == 1 {
			panic(http.ErrAbortHandler)
		}
		got = receive(t, r).content
		w.WriteHeader(http.StatusCreated)
	})
	if code, out := helper(t, dir, uploadArgs(s.URL, "--path", "a", "--path", "b")...); code != 0 || strings.Count(out, "Retrying...") != 1 {
		t.Errorf("exit code %d: %s", code, out)
	}
	if b, err := unzipped(got, "b"); err != nil || string(b) != "b" {
		t.Errorf("%q, %v", b, err)
	}
}

// An archive that finds no room on the way is packed as it is sent from then on.
func TestUploadDiskFull(t *testing.T) {
	dir := project(t, "a")
	var got []byte
	s := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		got, _ = io.ReadAll(r.Body)
		w.WriteHeader(http.StatusCreated)
	})
	base, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	var out output
	u := &uploader{console: console{&out, &out}, client: http.DefaultClient, dir: dir, format: archive.Zip}
	u.id = "12"
	if u.files, err = archive.Find(t.Context(), archive.Selection{Dir: dir, Paths: []string{"a"}}, u.console.say); err != nil {
		t.Fatal(err)
	}
	if u.keep, err = newPacked(t.Context(), u.pack); err != nil {
		t.Fatal(err)
	}
	defer u.keep.Close()
	u.keep.file.Close() // takes no byte any more, as a full disk does
	if err := u.try(t.Context(), base); err != nil || !bytes.Contains(got, []byte("PK")) || strings.Count(out.String(), errSpool.Error()) != 1 {
		t.Errorf("%v: %s", err, out.String())
	}
}

func unzipped(archive []byte, name string) ([]byte, error) {
	zr, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return nil, fmt.Errorf("the archive: %w", err)
	}
	f, err := zr.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}
