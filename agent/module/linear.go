package module

import (
	"context"

	"github.com/tetratelabs/wazero/experimental"
)

// memories are the linear memories of one instance in the order in which they were made: that of Extism's kernel, which comes with every
// instance and is not used, and then the guest's, if it has one. Nothing else tells how large the guest's is.
type memories struct{ all []*linear }

// with makes what is instantiated under ctx take its memories from here.
func (m *memories) with(ctx context.Context) context.Context {
	return experimental.WithMemoryAllocator(ctx, experimental.MemoryAllocatorFunc(func(capacity, _ uint64) experimental.LinearMemory {
		made := &linear{data: make([]byte, 0, capacity)}
		m.all = append(m.all, made)
		return made
	}))
}

// guest returns the size of the guest's memory in bytes, 0 when it has none.
func (m *memories) guest() int64 {
	if len(m.all) < 2 {
		return 0
	}
	return m.all[len(m.all)-1].size
}

// linear is a memory as wazero would make it.
type linear struct {
	data []byte
	size int64 // in bytes; what it was when it has been freed
}

// Reallocate implements experimental.LinearMemory. wazero holds it to the limits.
func (l *linear) Reallocate(size uint64) []byte {
	if size <= uint64(cap(l.data)) {
		l.data = l.data[:size]
	} else {
		l.data = append(l.data, make([]byte, size-uint64(len(l.data)))...)
	}
	l.size = int64(size)
	return l.data
}

// Free implements experimental.LinearMemory.
func (l *linear) Free() { l.data = nil }
