package archive

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"

	"github.com/millwright-ci/millwright/agent/internal/need"
)

// project makes a folder from lines: "dir/", "file" (its name is its content), "link -> target".
func project(t testing.TB, lines ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, line := range lines {
		name, target, link := strings.Cut(line, " -> ")
		full := filepath.Join(dir, filepath.FromSlash(name))
		err := os.MkdirAll(filepath.Dir(full), 0o755)
		switch {
		case err != nil:
		case link:
			err = os.Symlink(target, full)
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(full, 0o755)
		default:
			err = os.WriteFile(full, []byte(name), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// said collects what a call has to say.
type said []string

func (s *said) say(format string, args ...any) { *s = append(*s, fmt.Sprintf(format, args...)) }

func names(files []File) []string {
	out := []string{}
	for _, f := range files {
		out = append(out, f.Path)
	}
	return out
}

func TestFind(t *testing.T) {
	dir := project(t, "a.txt", "out/x.txt", "out/y.log", "out/tmp/z.txt", "empty/", "in -> out", "lost -> nowhere", "away -> /etc", ".hidden/f", "sp ace/ü.txt")
	cases := map[string]struct {
		paths, exclude []string
		want           []string
		says           []string // parts of lines, in order
	}{
		"file":               {paths: []string{"a.txt"}, want: []string{"a.txt"}, says: []string{"a.txt: found 1 matching artifact files and directories"}},
		"folder":             {paths: []string{"out/"}, want: []string{"out", "out/tmp", "out/tmp/z.txt", "out/x.txt", "out/y.log"}, says: []string{"out/: found 5"}},
		"empty folder":       {paths: []string{"empty"}, want: []string{"empty"}, says: []string{"empty: found 1"}},
		"glob":               {paths: []string{"out/**/*.txt"}, want: []string{"out/tmp/z.txt", "out/x.txt"}, says: []string{"found 2"}},
		"braces":             {paths: []string{"out/*.{txt,log}"}, want: []string{"out/x.txt", "out/y.log"}, says: []string{"found 2"}},
		"exclude":            {paths: []string{"out/**/*.txt"}, exclude: []string{"out/tmp/**"}, want: []string{"out/x.txt"}, says: []string{"found 1", "out/tmp/**: excluded 1 files"}},
		"exclude is literal": {paths: []string{"out"}, exclude: []string{"out/tmp"}, want: []string{"out", "out/tmp/z.txt", "out/x.txt", "out/y.log"}, says: []string{"found 4", "out/tmp: excluded 1 files"}},
		"twice":              {paths: []string{"a.txt", "*.txt"}, want: []string{"a.txt"}, says: []string{"a.txt: found 1", "*.txt: found 1"}},
		"no match":           {paths: []string{"nothing"}, want: []string{}, says: []string{"WARNING: nothing: no matching files. Ensure that the artifact path is relative to the working directory (" + dir + ")"}},
		"outside":            {paths: []string{"../x", "/etc/passwd"}, want: []string{}, says: []string{"../x: not a subpath of project directory", "/etc/passwd: not a subpath"}},
		"absolute inside":    {paths: []string{dir + "/out/x.txt"}, want: []string{"out/x.txt"}, says: []string{"found 1"}},
		"sibling":            {paths: []string{dir + "x/y"}, want: []string{}, says: []string{"not a subpath"}},
		"link is a link":     {paths: []string{"in", "lost", "away"}, want: []string{"away", "in", "lost"}, says: []string{"in: found 1", "lost: found 1", "away: found 1"}},
		"through a link out": {paths: []string{"away/passwd", "away/*"}, want: []string{}, says: []string{"WARNING: away/passwd: no matching", "WARNING: away/*: no matching"}},
		"globs follow none":  {paths: []string{"**/x.txt"}, want: []string{"out/x.txt"}, says: []string{"found 1"}},
		"dots":               {paths: []string{"./.hidden/./f"}, want: []string{".hidden/f"}, says: []string{"found 1"}},
		"blanks, umlauts":    {paths: []string{"sp ace/*"}, want: []string{"sp ace/ü.txt"}, says: []string{"found 1"}},
		"bad pattern":        {paths: []string{"[a"}, want: []string{}, says: []string{"WARNING: [a: ", "WARNING: [a: no matching"}},
		"bad exclude":        {paths: []string{"a.txt"}, exclude: []string{"[a", "../*"}, want: []string{"a.txt"}, says: []string{"WARNING: [a: not a pattern", "WARNING: ../*: not a pattern", "found 1"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var s said
			files, err := Find(t.Context(), Selection{Dir: dir, Paths: c.paths, Exclude: c.exclude}, s.say)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, names(files)); diff != "" {
				t.Error(diff)
			}
			if len(s) != len(c.says) {
				t.Fatalf("said %q, want %q", s, c.says)
			}
			for i, part := range c.says {
				if !strings.Contains(s[i], part) {
					t.Errorf("line %d is %q, want %q in it", i, s[i], part)
				}
			}
		})
	}
}

func TestFindUntracked(t *testing.T) {
	git := need.Command(t, "git")
	dir := project(t, "tracked", "new", "ignored.o", "sub/new file", ".gitignore")
	os.WriteFile(filepath.Join(dir, ".gitignore"), []byte("*.o\n"), 0o644)
	for _, args := range [][]string{{"init", "-q"}, {"add", "tracked", ".gitignore"}} {
		cmd := exec.Command(git, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
	}
	var s said
	files, err := Find(t.Context(), Selection{Dir: dir, Untracked: true, Exclude: []string{"new"}}, s.say)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"ignored.o", "sub/new file"}, names(files)); diff != "" {
		t.Error(diff)
	}
	if want := []string{"untracked: found 2 files", "new: excluded 1 files"}; !slices.Equal(s, want) {
		t.Errorf("said %q, want %q", s, want)
	}
	s = nil
	if _, err := Find(t.Context(), Selection{Dir: t.TempDir(), Untracked: true}, s.say); err != nil || len(s) != 1 || !strings.HasPrefix(s[0], "WARNING: untracked: ") {
		t.Errorf("without a repository: %v, said %q", err, s)
	}
}

// tree describes a folder: "mode path", with what links point to and files hold.
func tree(t testing.TB, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		line := info.Mode().String() + " " + filepath.ToSlash(rel)
		switch {
		case info.Mode().IsRegular():
			b, _ := os.ReadFile(p)
			line += fmt.Sprintf(" %s %q", info.ModTime().UTC().Format(time.DateTime), b)
		case info.Mode()&fs.ModeSymlink != 0:
			target, _ := os.Readlink(p)
			line = "link " + rel + " -> " + target
		}
		out = append(out, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// pack writes files of dir into a new archive.
func pack(t testing.TB, dir string, format Format, level Level) *os.File {
	t.Helper()
	var s said
	files, err := Find(t.Context(), Selection{Dir: dir, Paths: []string{"."}}, s.say)
	if err != nil {
		t.Fatal(err)
	}
	f := scratch(t, nil)
	if err := Write(t.Context(), f, dir, files, format, level, s.say); err != nil {
		t.Fatal(err)
	}
	return f
}

func scratch(t testing.TB, content []byte) *os.File {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "archive")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.Write(content); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestRoundTrip(t *testing.T) {
	dir := project(t, "a.txt", "bin/run", "ro/f", "empty/", "ü/€", "in -> bin/run", "venv -> /usr/bin/python3", "dir -> bin")
	old := time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC)
	os.Chtimes(filepath.Join(dir, "a.txt"), old, old)
	os.Chmod(filepath.Join(dir, "bin/run"), 0o755)
	os.WriteFile(filepath.Join(dir, "big"), bytes.Repeat([]byte("0123456789abcdef"), 1<<16), 0o600)
	os.Chmod(filepath.Join(dir, "ro"), 0o555)
	t.Cleanup(func() { os.Chmod(filepath.Join(dir, "ro"), 0o755) })
	want := tree(t, dir)
	for _, format := range []Format{Zip, ZipZstd, TarZstd} {
		for _, level := range []Level{Fastest, Fast, DefaultLevel, Slow, Slowest, ""} {
			t.Run(string(format)+" "+string(level), func(t *testing.T) {
				f := pack(t, dir, format, level)
				out := t.TempDir()
				t.Cleanup(func() { os.Chmod(filepath.Join(out, "ro"), 0o755) })
				for range 2 { // the second time over what the first has left
					var s said
					if err := Extract(t.Context(), f, out, Limits{}, s.say); err != nil || len(s) > 0 {
						t.Fatalf("%v, said %q", err, s)
					}
					if diff := cmp.Diff(want, tree(t, out)); diff != "" {
						t.Fatal(diff)
					}
					if os.Geteuid() != 0 {
						break // a read-only folder stops the second time
					}
				}
			})
		}
	}
}

func TestReports(t *testing.T) {
	dir := project(t, "one.xml", "sub/zwei ü.xml", "folder/", "link -> one.xml")
	find := func(paths ...string) []File {
		var s said
		files, err := Find(t.Context(), Selection{Dir: dir, Paths: paths}, s.say)
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	t.Run("gzip has a member for each file", func(t *testing.T) {
		var b bytes.Buffer
		if err := Write(t.Context(), &b, dir, find("**/*.xml"), Gzip, DefaultLevel, nil); err != nil {
			t.Fatal(err)
		}
		r, err := gzip.NewReader(&b)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for {
			r.Multistream(false)
			body, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, r.Name+"|"+r.Comment+"|"+string(body))
			if err := r.Reset(&b); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		want := []string{"one.xml|one.xml|one.xml", "e:zwei%20%C3%BC.xml|e:sub%2Fzwei%20%C3%BC.xml|sub/zwei ü.xml"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("raw is the file", func(t *testing.T) {
		var b bytes.Buffer
		if err := Write(t.Context(), &b, dir, find("one.xml"), Raw, DefaultLevel, nil); err != nil || b.String() != "one.xml" {
			t.Errorf("%v, %q", err, b.String())
		}
	})
	for name, c := range map[string]struct {
		paths  []string
		format Format
		want   string
	}{
		"two raw files":  {[]string{"**/*.xml"}, Raw, "exactly one file, not 2"},
		"raw folder":     {[]string{"folder"}, Raw, "no plain file"},
		"folder in gzip": {[]string{"folder"}, Gzip, "no plain file"},
		"link in gzip":   {[]string{"link"}, Gzip, "no plain file"},
		"unknown":        {[]string{"one.xml"}, "rar", "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Write(t.Context(), io.Discard, dir, find(c.paths...), c.format, DefaultLevel, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// A file that goes or is swapped for a link between finding and packing must not bring in what lies outside.
func TestWriteAfterChanges(t *testing.T) {
	dir := project(t, "stays", "goes", "swapped", "folder/f")
	var s said
	files, err := Find(t.Context(), Selection{Dir: dir, Paths: []string{"."}}, s.say)
	if err != nil {
		t.Fatal(err)
	}
	s = nil
	os.Remove(filepath.Join(dir, "goes"))
	var b bytes.Buffer
	if err := Write(t.Context(), &b, dir, files, Zip, DefaultLevel, s.say); err != nil {
		t.Fatal(err)
	}
	if want := []string{"WARNING: goes: is gone; left out"}; !slices.Equal(s, want) {
		t.Errorf("said %q, want %q", s, want)
	}
	os.Remove(filepath.Join(dir, "swapped"))
	os.Symlink("/etc/hostname", filepath.Join(dir, "swapped"))
	for _, format := range []Format{Zip, TarZstd} {
		if err := Write(t.Context(), io.Discard, dir, files, format, DefaultLevel, s.say); err == nil || !strings.Contains(err.Error(), "swapped") {
			t.Errorf("%s: got %v, want an error about the link that leads out", format, err)
		}
	}
}
