package config

import (
	"errors"
	"io/fs"
	"syscall"
)

const (
	sharingViolation  syscall.Errno = 32
	fileDeleteOnClose               = 0x04000000
)

// lockFile opens a file beside path so that nobody else can, without waiting. It is gone when it is closed, also by a crash.
func lockFile(path string) (unlock func(), err error) {
	name, err := syscall.UTF16PtrFromString(path + ".lock")
	if err != nil {
		return nil, err
	}
	handle, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil, syscall.OPEN_ALWAYS,
		syscall.FILE_ATTRIBUTE_NORMAL|fileDeleteOnClose, 0)
	if errors.Is(err, sharingViolation) || errors.Is(err, syscall.ERROR_ACCESS_DENIED) {
		return nil, errLocked
	}
	if err != nil {
		return nil, err
	}
	return func() { _ = syscall.CloseHandle(handle) }, nil
}

// chownLike does nothing: a new file inherits the folder's access list.
func chownLike(string, fs.FileInfo) error { return nil }

// syncFolder does nothing: Windows has no such call, and NTFS journals renames.
func syncFolder(string) error { return nil }
