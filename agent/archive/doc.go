// Package archive chooses a job's files, packs them and unpacks them again: artifacts and caches. It serves the helper binary, which
// runs it inside the helper container, on what a job's scripts left behind and on archives that came over the network. Neither is
// trusted: nothing outside the project's folder is read or written, whatever links and names lie there.
//
// Find chooses, Writer packs, Extract unpacks.
package archive

import (
	"fmt"
	"io/fs"
)

// Format names how files are packed.
type Format string

// The formats of artifacts (zip, gzip, raw) and caches (zip, zipzstd, tarzstd), in GitLab's words.
const (
	Zip     Format = "zip"
	ZipZstd Format = "zipzstd"
	TarZstd Format = "tarzstd"
	Gzip    Format = "gzip" // one member per file
	Raw     Format = "raw"  // exactly one file, as it is
)

// ParseFormat reads a format's name; an empty one is fallback.
func ParseFormat(name string, fallback Format) (Format, error) {
	switch f := Format(name); f {
	case "":
		return fallback, nil
	case Zip, ZipZstd, TarZstd, Gzip, Raw:
		return f, nil
	}
	return "", fmt.Errorf("archive format %q is unknown; use zip, zipzstd, tarzstd, gzip or raw", name)
}

// Extension is what GitLab appends to the name of an artifact in this format.
func (f Format) Extension() string {
	switch f {
	case Zip, ZipZstd:
		return ".zip"
	case TarZstd:
		return ".tar.zst"
	case Gzip:
		return ".gz"
	}
	return ""
}

// Level is how hard to compress, in GitLab's words: fastest (files are only stored), fast, default, slow, slowest. An unknown one
// counts as default.
type Level string

// The levels.
const (
	Fastest      Level = "fastest"
	Fast         Level = "fast"
	DefaultLevel Level = "default"
	Slow         Level = "slow"
	Slowest      Level = "slowest"
)

// File is one file, folder or link that was chosen.
type File struct {
	Path string // relative to the project's folder, with slashes; a folder has none at its end
	Info fs.FileInfo
}

// Say takes one line for the job's trace, without a newline. Warnings begin with "WARNING: ".
type Say func(format string, args ...any)
