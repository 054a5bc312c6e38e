package module

import (
	"runtime"
	"syscall"
)

// reservation is a range of addresses without memory behind it but for what has been opened and touched.
type reservation struct {
	all   []byte
	clean runtime.Cleanup
}

// reserve returns a range of size bytes, nil when there is none to be had. It goes with owner at the latest, so that an instance which
// nobody closes leaks nothing.
func reserve(owner *linear, size uint64) *reservation {
	if size == 0 {
		return nil
	}
	all, err := syscall.Mmap(-1, 0, int(size), syscall.PROT_NONE, syscall.MAP_ANON|syscall.MAP_PRIVATE|syscall.MAP_NORESERVE)
	if err != nil {
		return nil
	}
	// A guest touches a little here and there; huge pages, where the system makes them unasked, would be mostly empty. Without them it works too.
	_ = syscall.Madvise(all, syscall.MADV_NOHUGEPAGE)
	return &reservation{all: all, clean: runtime.AddCleanup(owner, unmap, all)}
}

// open returns the first size bytes, which are zero unless they were open before; nil when the system has no memory for them.
func (r *reservation) open(size uint64) []byte {
	if size > uint64(len(r.all)) {
		return nil
	}
	opened := r.all[:size]
	if size > 0 && syscall.Mprotect(opened, syscall.PROT_READ|syscall.PROT_WRITE) != nil {
		return nil
	}
	return opened
}

func (r *reservation) free() {
	r.clean.Stop()
	unmap(r.all)
}

// unmap can fail only for what is no mapping.
func unmap(all []byte) { _ = syscall.Munmap(all) }
