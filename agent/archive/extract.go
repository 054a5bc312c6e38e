package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zip"
	"github.com/klauspost/compress/zstd"
)

// ErrUnsafe says that an archive asks for what no honest one does: a name outside of its folder, or sizes that only a bomb has.
var ErrUnsafe = errors.New("archive is refused")

// Limits bound what an archive may unpack to. Zero fields take the default.
type Limits struct {
	Entries int   // at most; default 2 million
	Grace   int64 // bytes that any archive may unpack to; default 1 GiB
	Ratio   int64 // beyond Grace, at most so many times the archive's own size; default 1100, just above what deflate can reach
}

func (l Limits) withDefaults() Limits {
	if l.Entries == 0 {
		l.Entries = 2_000_000
	}
	if l.Grace == 0 {
		l.Grace = 1 << 30
	}
	if l.Ratio == 0 {
		l.Ratio = 1100
	}
	return l
}

// Extract unpacks an archive into dir. The format is seen from the first bytes: zstd is a tar in zstd, gzip is refused (a report is no
// archive), everything else is taken for a zip.
//
// Existing files are replaced, never written through; folders are merged. Permission bits and modification times are restored, owners too
// for root; setuid and its like are dropped, devices left out with a warning. Links are made last, wherever they point, and nothing is
// written through one that leads out of dir. An entry with a name outside of dir, and a bomb, is ErrUnsafe; files that were unpacked by then
// stay.
func Extract(ctx context.Context, archive *os.File, dir string, limits Limits, say Say) error {
	return extract(ctx, archive, dir, limits, say, false)
}

// ExtractWhole is Extract, but of an archive that can't be unpacked to its end no file stays. What it had replaced by then is gone.
func ExtractWhole(ctx context.Context, archive *os.File, dir string, limits Limits, say Say) error {
	return extract(ctx, archive, dir, limits, say, true)
}

func extract(ctx context.Context, archive *os.File, dir string, limits Limits, say Say, whole bool) error {
	info, err := archive.Stat()
	if err != nil {
		return err
	}
	magic := make([]byte, 4)
	if n, err := archive.ReadAt(magic, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	} else if n == 0 {
		return errors.New("archive is empty")
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	limits = limits.withDefaults()
	x := extractor{
		ctx: ctx, root: root, say: say, entries: limits.Entries,
		left:  max(limits.Grace, saturate(info.Size(), limits.Ratio)),
		kept:  maxKept,
		whole: whole,
		chown: os.Geteuid() == 0,
	}
	switch {
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		err = x.tarZstd(io.NewSectionReader(archive, 0, info.Size()))
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		err = errors.New("archive is in gzip format, which holds a report and cannot be unpacked")
	default:
		err = x.zip(archive, info.Size())
	}
	if err == nil {
		err = x.finish()
	}
	if err != nil && whole {
		x.undo()
	}
	return err
}

// undo removes the files and links that were made.
func (x *extractor) undo() {
	for _, name := range x.made {
		_ = x.root.Remove(name) // the reason to undo is what matters
	}
}

// note keeps the name of a file or link that is about to be made, for undo.
func (x *extractor) note(e entry) error {
	if !x.whole {
		return nil
	}
	x.made = append(x.made, e.name)
	return x.keep(entry{name: e.name})
}

// entry is one thing to unpack.
type entry struct {
	name     string
	mode     fs.FileMode
	modified time.Time
	uid, gid int
	owned    bool
	target   string // of a link
}

type extractor struct {
	ctx     context.Context // of this one call of Extract
	root    *os.Root        // refuses what leads outside
	say     Say
	entries int   // that may still come
	left    int64 // bytes that may still come
	kept    int   // bytes of names that may still be held in memory until finish
	chown   bool
	whole   bool     // nothing stays of an archive that is broken
	made    []string // files and links so far, if whole
	links   []entry
	folders []entry
}

func (x *extractor) zip(r io.ReaderAt, size int64) error {
	zr, err := zip.NewReader(r, size)
	if err != nil {
		return fmt.Errorf("archive is no zip: %w", err)
	}
	zr.RegisterDecompressor(zstd.ZipMethodWinZip, zstd.ZipDecompressor(zstd.WithDecoderMaxMemory(maxWindow), zstd.WithDecoderConcurrency(1)))
	var packed uint64
	for _, f := range zr.File {
		// Entries that overlap share their bytes: a small file could hold petabytes.
		if packed += f.CompressedSize64; f.CompressedSize64 > uint64(size) || packed > uint64(size) {
			return fmt.Errorf("%w: its entries overlap", ErrUnsafe)
		}
	}
	for _, f := range zr.File {
		e := entry{name: f.Name, mode: f.Mode(), modified: f.Modified}
		e.uid, e.gid, e.owned = readOwner(f.Extra)
		if err := x.zipEntry(f, e); err != nil {
			return fmt.Errorf("%q: %w", f.Name, err)
		}
	}
	return nil
}

func (x *extractor) zipEntry(f *zip.File, e entry) error {
	if strings.HasSuffix(f.Name, "/") {
		return x.take(e, nil)
	}
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	if e.mode.Type() == fs.ModeSymlink {
		target, err := io.ReadAll(io.LimitReader(r, maxTarget+1))
		if err != nil {
			return err
		}
		e.target = string(target)
	}
	return x.take(e, r)
}

const (
	maxWindow = 512 << 20 // bytes of memory for zstd; its slowest level uses 128 MiB at most
	maxTarget = 4096      // bytes of a name and of a link's target, Linux's limit
	maxKept   = 256 << 20 // bytes of names of folders and links; half a million folders have 50 MB
)

func (x *extractor) tarZstd(r io.Reader) error {
	zr, err := zstd.NewReader(r, zstd.WithDecoderMaxMemory(maxWindow), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return err
	}
	defer zr.Close()
	// What is skipped, an entry of an odd kind or a long header, must not unpack for ever either.
	tr := tar.NewReader(&capped{zr, x.left + 64<<20})
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("archive is no tar: %w", err)
		}
		e := entry{name: h.Name, mode: h.FileInfo().Mode(), modified: h.ModTime, uid: h.Uid, gid: h.Gid, owned: true, target: h.Linkname}
		if h.Typeflag == tar.TypeLink {
			e.mode |= fs.ModeIrregular // a hard link; our own archives have none
		}
		if err := x.take(e, tr); err != nil {
			return fmt.Errorf("%q: %w", h.Name, err)
		}
	}
}

// capped is a reader that refuses to go on after so many bytes.
type capped struct {
	r    io.Reader
	left int64
}

func (c *capped) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	if c.left -= int64(n); c.left < 0 {
		return 0, fmt.Errorf("%w: it unpacks to far more than its size", ErrUnsafe)
	}
	return n, err
}

// take unpacks one entry, or keeps it for finish.
func (x *extractor) take(e entry, content io.Reader) error {
	if x.ctx.Err() != nil {
		return context.Cause(x.ctx)
	}
	if x.entries--; x.entries < 0 {
		return fmt.Errorf("%w: too many entries", ErrUnsafe)
	}
	name, err := localName(e.name)
	if err != nil {
		return err
	}
	e.name = name
	switch {
	case e.mode.IsDir():
		if name == "." {
			return nil
		}
		x.folders = append(x.folders, e)
		if err := x.keep(e); err != nil {
			return err
		}
		return x.root.MkdirAll(name, 0o777)
	case name == ".":
		return fmt.Errorf("%w: a file without a name", ErrUnsafe)
	case e.mode.Type() == fs.ModeSymlink:
		if e.target == "" || len(e.target) > maxTarget || strings.ContainsRune(e.target, 0) {
			return fmt.Errorf("%w: a link that points nowhere", ErrUnsafe)
		}
		x.links = append(x.links, e)
		return x.keep(e)
	case !e.mode.IsRegular():
		x.say("WARNING: %s: is neither a file, a folder nor a link; left out", name)
		return nil
	}
	return x.file(e, content)
}

// keep counts what is held in memory.
func (x *extractor) keep(e entry) error {
	if x.kept -= len(e.name) + len(e.target); x.kept < 0 {
		return fmt.Errorf("%w: too many names", ErrUnsafe)
	}
	return nil
}

// localName returns an entry's name as a clean path below the folder.
func localName(name string) (string, error) {
	if name == "" || len(name) > maxTarget || strings.HasPrefix(name, "/") || strings.ContainsRune(name, 0) {
		return "", fmt.Errorf("%w: the name is not one inside of the folder", ErrUnsafe)
	}
	if slices.Contains(strings.Split(name, "/"), "..") {
		return "", fmt.Errorf("%w: the name leads out of the folder", ErrUnsafe)
	}
	return path.Clean(name), nil
}

func (x *extractor) file(e entry, content io.Reader) error {
	if err := errors.Join(x.note(e), x.clear(e.name)); err != nil {
		return err
	}
	f, err := x.root.OpenFile(e.name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, io.LimitReader(reader{x.ctx, content}, x.left+1))
	if x.left -= n; x.left < 0 && err == nil {
		err = fmt.Errorf("%w: it unpacks to far more than its size", ErrUnsafe)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return x.attributes(e)
}

// clear makes room for a file or link: its folder is made, and what has its name is removed rather than written through.
func (x *extractor) clear(name string) error {
	if err := x.root.MkdirAll(path.Dir(name), 0o777); err != nil {
		return err
	}
	if err := x.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// attributes restores what an entry says of itself. A missing right to do so is no reason to lose the file.
func (x *extractor) attributes(e entry) error {
	if x.chown && e.owned {
		_ = x.root.Lchown(e.name, e.uid, e.gid) // some file systems have no owners
	}
	if err := x.root.Chmod(e.name, e.mode.Perm()); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	if !e.modified.IsZero() {
		_ = x.root.Chtimes(e.name, e.modified, e.modified) // a time that the file system cannot hold
	}
	return nil
}

// finish makes the links, then settles the folders, deepest first: a folder may be read-only, and its time is that of its last change.
func (x *extractor) finish() error {
	for _, e := range x.links {
		if x.ctx.Err() != nil {
			return context.Cause(x.ctx)
		}
		if err := x.link(e); err != nil {
			return fmt.Errorf("%q: %w", e.name, err)
		}
	}
	slices.SortStableFunc(x.folders, func(a, b entry) int { return strings.Compare(b.name, a.name) })
	for _, e := range x.folders {
		// A link of the same archive may have taken the folder's name.
		if info, err := x.root.Lstat(e.name); err != nil || !info.IsDir() {
			continue
		}
		if err := x.attributes(e); err != nil {
			return fmt.Errorf("%q: %w", e.name, err)
		}
	}
	return nil
}

func (x *extractor) link(e entry) error {
	if err := errors.Join(x.note(e), x.clear(e.name)); err != nil {
		return err
	}
	if err := x.root.Symlink(e.target, e.name); err != nil {
		return err
	}
	if x.chown && e.owned {
		_ = x.root.Lchown(e.name, e.uid, e.gid)
	}
	return nil
}

// saturate multiplies without overflow.
func saturate(a, b int64) int64 {
	if a > 0 && b > (1<<62)/a {
		return 1 << 62
	}
	return a * b
}
