package artifact

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
)

// Limits of a plug-in's archive.
const (
	maxUnpacked = 1 << 30 // bytes of all files
	maxFiles    = 1000
)

// unpack writes the files of a plug-in's archive into dir. They lie in plugin/, behind Files/ in images for Windows; an archive with anything else in it, or
// one that leads out of dir, is refused.
func unpack(archive io.Reader, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	r := tar.NewReader(archive)
	left, files := int64(maxUnpacked), 0
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("its archive: %w", err)
		}
		if files++; files > maxFiles {
			return fmt.Errorf("its archive has more than %d files", maxFiles)
		}
		if h.Typeflag == tar.TypeDir {
			continue // made as files need them
		}
		if left -= h.Size; left < 0 {
			return fmt.Errorf("its archive has more than %d bytes", maxUnpacked)
		}
		if err := unpackFile(root, h, r); err != nil {
			return err
		}
	}
	info, err := root.Stat(program())
	if err != nil || !info.Mode().IsRegular() {
		return fmt.Errorf("its archive has no file plugin/%s", program())
	}
	return nil
}

func unpackFile(root *os.Root, h *tar.Header, content io.Reader) error {
	if h.Typeflag != tar.TypeReg {
		return fmt.Errorf("its archive has %.100q, which is no plain file", h.Name)
	}
	name, ok := strings.CutPrefix(strings.TrimPrefix(h.Name, "Files/"), "plugin/")
	if !ok || name == "" || name != path.Clean(name) || strings.HasPrefix(name, "../") || name == ".." || strings.ContainsAny(name, "\\:") {
		return fmt.Errorf("its archive has %.100q, which does not lie in plugin/", h.Name)
	}
	if inner := path.Dir(name); inner != "." {
		if err := root.MkdirAll(inner, 0o755); err != nil {
			return err
		}
	}
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644|os.FileMode(h.Mode)&0o111)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Sync(), f.Close())
}
