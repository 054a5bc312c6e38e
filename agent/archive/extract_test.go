package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zip"
	"github.com/klauspost/compress/zstd"
)

// item is one entry of a hostile archive.
type item struct {
	name, content string
	mode          fs.FileMode
	typ           byte // of a tar entry, if not what mode says
}

func zipOf(t testing.TB, items ...item) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, i := range items {
		h := &zip.FileHeader{Name: i.name, Method: zip.Deflate}
		h.SetMode(i.mode)
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, i.content); err != nil && !strings.HasSuffix(i.name, "/") {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func tarOf(t testing.TB, items ...item) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	for _, i := range items {
		h := &tar.Header{Name: i.name, Mode: int64(i.mode.Perm()), Typeflag: i.typ, Size: int64(len(i.content))}
		switch {
		case i.typ == tar.TypeCont: // an odd kind with content
			h.Typeflag = i.typ
		case i.typ != 0:
			h.Linkname, h.Size = i.content, 0
		case i.mode&fs.ModeSymlink != 0:
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, i.content, 0
		case i.mode.IsDir():
			h.Typeflag = tar.TypeDir
		default:
			h.Typeflag = tar.TypeReg
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			io.WriteString(w, i.content)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const link = fs.ModeSymlink | 0o777

// Every case is unpacked into WORK/project; beside it lies WORK/secret, which must stay as it is.
func TestHostile(t *testing.T) {
	cases := map[string]struct {
		items  []item
		unsafe bool // refused as such; else an ordinary error or none
		fails  bool
	}{
		"parent":                {items: []item{{name: "../secret", content: "x"}}, unsafe: true},
		"parent inside":         {items: []item{{name: "a/../../secret", content: "x"}}, unsafe: true},
		"absolute":              {items: []item{{name: "/etc/millwright-test", content: "x"}}, unsafe: true},
		"link, then through it": {items: []item{{name: "l", content: "..", mode: link}, {name: "l/secret", content: "x"}}, fails: true},
		"through it, then link": {items: []item{{name: "l/secret", content: "x"}, {name: "l", content: "..", mode: link}}, fails: true},
		"link twice":            {items: []item{{name: "l", content: "..", mode: link}, {name: "l", content: "../..", mode: link}}},
		"link, then file":       {items: []item{{name: "l", content: "../secret", mode: link}, {name: "l", content: "x"}}},
		"link, then folder":     {items: []item{{name: "l", content: "..", mode: link}, {name: "l/", mode: fs.ModeDir | 0o700}}},
		"long link":             {items: []item{{name: "l", content: strings.Repeat("a", 5000), mode: link}}, unsafe: true},
		"empty link":            {items: []item{{name: "l", mode: link}}, unsafe: true},
		"file called dot":       {items: []item{{name: ".", content: "x"}}, unsafe: true},
		"long name":             {items: []item{{name: strings.Repeat("a/", 3000) + "f", content: "x"}}, unsafe: true},
		"file over folder":      {items: []item{{name: "d/f", content: "x"}, {name: "d", content: "x"}}, fails: true},
		"setuid":                {items: []item{{name: "s", content: "x", mode: fs.ModeSetuid | 0o755}}},
		"device":                {items: []item{{name: "d", mode: fs.ModeDevice | 0o666}}},
		"already a link out":    {items: []item{{name: "out/secret", content: "x"}}, fails: true},
		"over a link out":       {items: []item{{name: "file", content: "x"}}},
	}
	for name, c := range cases {
		for format, make := range map[string]func(testing.TB, ...item) []byte{"zip": zipOf, "tar": tarOf} {
			t.Run(name+" in "+format, func(t *testing.T) {
				work := t.TempDir()
				dir := filepath.Join(work, "project")
				secret := filepath.Join(work, "secret")
				os.Mkdir(dir, 0o755)
				os.WriteFile(secret, []byte("secret"), 0o600)
				os.Symlink("..", filepath.Join(dir, "out"))
				os.Symlink("../secret", filepath.Join(dir, "file"))
				items := c.items
				if format == "tar" && items[0].mode&fs.ModeDevice != 0 {
					items = []item{{name: "d", typ: tar.TypeFifo}}
				}
				var s said
				err := Extract(t.Context(), scratch(t, make(t, items...)), dir, Limits{}, s.say)
				if got := errors.Is(err, ErrUnsafe); got != c.unsafe {
					t.Errorf("unsafe: %v (%v), want %v", got, err, c.unsafe)
				}
				if !c.unsafe && (err != nil) != c.fails {
					t.Errorf("error: %v, want one: %v", err, c.fails)
				}
				if b, err := os.ReadFile(secret); err != nil || string(b) != "secret" {
					t.Errorf("the file beside the project is now %q (%v)", b, err)
				}
				if info, err := os.Stat(filepath.Join(dir, "s")); err == nil && info.Mode()&fs.ModeSetuid != 0 {
					t.Error("setuid was kept")
				}
				if entries, _ := os.ReadDir(work); len(entries) != 2 {
					t.Errorf("something new lies beside the project: %v", entries)
				}
			})
		}
	}
}

func TestHardLinkIsLeftOut(t *testing.T) {
	dir := t.TempDir()
	var s said
	err := Extract(t.Context(), scratch(t, tarOf(t, item{name: "h", content: "/etc/passwd", typ: tar.TypeLink})), dir, Limits{}, s.say)
	if err != nil || len(s) != 1 || len(tree(t, dir)) != 0 {
		t.Errorf("%v, said %q, made %v", err, s, tree(t, dir))
	}
}

func TestBombs(t *testing.T) {
	zeros := strings.Repeat("\x00", 4<<20)
	cases := map[string][]byte{
		"many zeros in zip":  zipOf(t, item{name: "0", content: zeros}),
		"many zeros in tar":  tarOf(t, item{name: "0", content: zeros}),
		"in many files":      zipOf(t, item{name: "0", content: zeros[:1<<20]}, item{name: "1", content: zeros[:1<<20]}, item{name: "2", content: "x"}),
		"many entries":       tarOf(t, make20()...),
		"overlapping":        overlapping(t),
		"in what is skipped": tarOf(t, item{name: "0", content: strings.Repeat(zeros, 20), typ: tar.TypeCont}),
	}
	for name, content := range cases {
		t.Run(name, func(t *testing.T) {
			var s said
			err := Extract(t.Context(), scratch(t, content), t.TempDir(), Limits{Entries: 10, Grace: 1 << 20, Ratio: 1}, s.say)
			if !errors.Is(err, ErrUnsafe) {
				t.Errorf("got %v, want it refused", err)
			}
		})
	}
}

func make20() []item {
	var out []item
	for i := range 20 {
		out = append(out, item{name: string(rune('a' + i)), content: "x"})
	}
	return out
}

// overlapping makes two entries of one file's bytes, by naming the first in the directory twice.
func overlapping(t *testing.T) []byte {
	b := zipOf(t, item{name: "a", content: strings.Repeat("abcdefgh", 1000)}, item{name: "b", content: "y"})
	le := binary.LittleEndian
	first := bytes.Index(b, []byte("PK\x01\x02"))
	second := first + 1 + bytes.Index(b[first+1:], []byte("PK\x01\x02"))
	// A packed size in the second directory entry that together with the first is more than the file.
	le.PutUint32(b[second+20:], uint32(len(b)))
	return b
}

func TestNoArchive(t *testing.T) {
	for name, c := range map[string]struct{ content, want string }{
		"empty":      {"", "empty"},
		"text":       {"<html>not found</html>", "no zip"},
		"gzip":       {"\x1f\x8b\x08\x00", "gzip"},
		"cut zip":    {string(zipOf(t, item{name: "a", content: "x"})[:20]), "no zip"},
		"cut zstd":   {"\x28\xb5\x2f\xfd\x00", "no tar"},
		"zstd noise": {"\x28\xb5\x2f\xfdnoise noise noise", "no tar"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Extract(t.Context(), scratch(t, []byte(c.content)), t.TempDir(), Limits{}, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestCancelled(t *testing.T) {
	cause := errors.New("time is up")
	ctx, cancel := context.WithCancelCause(t.Context())
	f := pack(t, project(t, "a", "b"), Zip, DefaultLevel)
	cancel(cause)
	if err := Extract(ctx, f, t.TempDir(), Limits{}, nil); !errors.Is(err, cause) {
		t.Errorf("got %v, want the cause", err)
	}
}

// FuzzExtract gives any bytes to Extract: it must not crash, hang or touch what lies beside the folder.
func FuzzExtract(f *testing.F) {
	f.Add(zipOf(f, item{name: "a/b", content: "x"}, item{name: "l", content: "a", mode: link}))
	f.Add(zipOf(f, item{name: "../a", content: "x"}, item{name: "d/", mode: fs.ModeDir | 0o755}))
	f.Add(tarOf(f, item{name: "a", content: "x"}, item{name: "l", content: "..", mode: link}, item{name: "l/secret", content: "y"}))
	f.Fuzz(func(t *testing.T, content []byte) {
		work := t.TempDir()
		dir := filepath.Join(work, "project")
		os.Mkdir(dir, 0o755)
		os.WriteFile(filepath.Join(work, "secret"), []byte("secret"), 0o600)
		var s said
		_ = Extract(t.Context(), scratch(t, content), dir, Limits{Entries: 100, Grace: 1 << 20, Ratio: 10}, s.say)
		if b, err := os.ReadFile(filepath.Join(work, "secret")); err != nil || string(b) != "secret" {
			t.Fatalf("the file beside the project is now %q (%v)", b, err)
		}
		if entries, _ := os.ReadDir(work); len(entries) != 2 {
			t.Fatalf("something new lies beside the project: %v", entries)
		}
		_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error { // so that the folder can be removed
			if err == nil && d.IsDir() {
				os.Chmod(p, 0o700)
			}
			return nil
		})
	})
}
