package archive

import (
	"archive/tar"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"unicode"

	kflate "github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zip"
	"github.com/klauspost/compress/zstd"
)

// Write packs the files of the project in dir into w, one pass without a temporary file, so that it can be streamed. A file that is
// gone by now is left out with a warning. The result of two calls is the same as long as the files are.
//
// Gzip and Raw take plain files only: a folder or link is an error, and Raw wants exactly one.
func Write(ctx context.Context, w io.Writer, dir string, files []File, format Format, level Level, say Say) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	p := packer{ctx: ctx, root: root, say: say}
	switch format {
	case Zip, ZipZstd:
		return p.zip(w, files, format, level)
	case TarZstd:
		return p.tarZstd(w, files, level)
	case Gzip:
		return p.gzip(w, files, level)
	case Raw:
		return p.raw(w, files)
	}
	return fmt.Errorf("archive format %q is unknown", format)
}

type packer struct {
	ctx  context.Context // of this one call of Write
	root *os.Root        // refuses what leads outside
	say  Say
}

// copy writes the content of a plain file. size, if not negative, is what has been promised: a file that grew is cut there.
func (p packer) copy(w io.Writer, name string, size int64) error {
	f, err := p.root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return err
	} else if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: is no plain file any more", name)
	}
	var r io.Reader = reader{p.ctx, f}
	if size >= 0 {
		r = io.LimitReader(r, size)
	}
	n, err := io.Copy(w, r)
	if err == nil && n < size {
		err = fmt.Errorf("%s: shrank from %d to %d bytes while it was packed", name, size, n)
	}
	return err
}

// exists tells whether a plain file can still be opened, with a warning where not.
func (p packer) exists(f File) bool {
	if _, err := p.root.Lstat(f.Path); errors.Is(err, fs.ErrNotExist) {
		p.say("WARNING: %s: is gone; left out", f.Path)
		return false
	}
	return true
}

func (p packer) zip(w io.Writer, files []File, format Format, level Level) error {
	method := zip.Deflate
	if format == ZipZstd {
		method = zstd.ZipMethodWinZip
	}
	if level == Fastest {
		method = zip.Store
	}
	zw := zip.NewWriter(w)
	zw.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return kflate.NewWriter(w, level.deflate()) })
	zw.RegisterCompressor(zstd.ZipMethodWinZip, zstd.ZipCompressor(zstd.WithEncoderLevel(level.zstd())))
	for _, f := range files {
		if err := p.zipEntry(zw, f, method); err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
	}
	return zw.Close()
}

func (p packer) zipEntry(zw *zip.Writer, f File, method uint16) error {
	if !p.exists(f) {
		return nil
	}
	h := &zip.FileHeader{Name: f.Path, Method: method, Modified: f.Info.ModTime()}
	h.SetMode(f.Info.Mode())
	h.Extra = appendOwner(nil, f.Info)
	switch {
	case f.Info.IsDir():
		h.Name += "/"
		h.Method = zip.Store
		_, err := zw.CreateHeader(h)
		return err
	case f.Info.Mode()&fs.ModeSymlink != 0:
		target, err := p.root.Readlink(f.Path)
		if err != nil {
			return err
		}
		h.Method = zip.Store
		w, err := zw.CreateHeader(h)
		if err == nil {
			_, err = io.WriteString(w, target)
		}
		return err
	}
	w, err := zw.CreateHeader(h)
	if err != nil {
		return err
	}
	return p.copy(w, f.Path, -1)
}

func (p packer) tarZstd(w io.Writer, files []File, level Level) error {
	zw, err := zstd.NewWriter(w, zstd.WithEncoderLevel(level.zstd()))
	if err != nil {
		return err
	}
	tw := tar.NewWriter(zw)
	for _, f := range files {
		if err := p.tarEntry(tw, f); err != nil {
			zw.Close()
			return fmt.Errorf("%s: %w", f.Path, err)
		}
	}
	return errors.Join(tw.Close(), zw.Close())
}

func (p packer) tarEntry(tw *tar.Writer, f File) error {
	if !p.exists(f) {
		return nil
	}
	target := ""
	if f.Info.Mode()&fs.ModeSymlink != 0 {
		var err error
		if target, err = p.root.Readlink(f.Path); err != nil {
			return err
		}
	}
	h, err := tar.FileInfoHeader(f.Info, target)
	if err != nil {
		return err
	}
	h.Name, h.Uname, h.Gname = f.Path, "", ""
	h.Format = tar.FormatPAX // others round the time up to a second
	if f.Info.IsDir() {
		h.Name += "/"
	}
	if err := tw.WriteHeader(h); err != nil || !f.Info.Mode().IsRegular() {
		return err
	}
	return p.copy(tw, f.Path, h.Size)
}

// gzip writes one member per file, with the base name as its name and the path as its comment.
func (p packer) gzip(w io.Writer, files []File, level Level) error {
	for _, f := range files {
		if !f.Info.Mode().IsRegular() {
			return fmt.Errorf("%s: is no plain file, which is all that the gzip format takes", f.Path)
		}
		zw, err := gzip.NewWriterLevel(w, level.deflate())
		if err != nil {
			return err
		}
		zw.Name, zw.Comment, zw.ModTime = latin(path.Base(f.Path)), latin(f.Path), f.Info.ModTime()
		if err := errors.Join(p.copy(zw, f.Path, -1), zw.Close()); err != nil {
			return err
		}
	}
	return nil
}

// latin makes text fit a gzip header, which knows ISO 8859-1 only: what is not ASCII is escaped as in a URL, after "e:".
// Source: what GitLab's readers of reports expect.
func latin(s string) string {
	for _, r := range s {
		if r > unicode.MaxASCII || r == 0 {
			return "e:" + url.PathEscape(s)
		}
	}
	return s
}

func (p packer) raw(w io.Writer, files []File) error {
	if len(files) != 1 {
		return fmt.Errorf("the raw format takes exactly one file, not %d", len(files))
	}
	if !files[0].Info.Mode().IsRegular() {
		return fmt.Errorf("%s: is no plain file, which is all that the raw format takes", files[0].Path)
	}
	return p.copy(w, files[0].Path, -1)
}

func (l Level) deflate() int {
	switch l {
	case Fastest:
		return flate.NoCompression
	case Fast:
		return flate.BestSpeed
	case Slow:
		return 7
	case Slowest:
		return flate.BestCompression
	}
	return 5 // klauspost's balance of time and size
}

func (l Level) zstd() zstd.EncoderLevel {
	switch l {
	case Fastest, Fast:
		return zstd.SpeedFastest
	case Slow:
		return zstd.SpeedBetterCompression
	case Slowest:
		return zstd.SpeedBestCompression
	}
	return zstd.SpeedDefault
}

// reader ends with its context.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(b []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.r.Read(b)
}
