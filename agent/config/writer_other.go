//go:build !unix && !windows

package config

import "io/fs"

// lockFile locks nothing: where there is one process there is nobody to keep out.
func lockFile(string) (unlock func(), err error) { return func() {}, nil }

// chownLike does nothing where files have no owners.
func chownLike(string, fs.FileInfo) error { return nil }

// syncFolder does nothing where folders are not written.
func syncFolder(string) error { return nil }
