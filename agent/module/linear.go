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
	return experimental.WithMemoryAllocator(ctx, experimental.MemoryAllocatorFunc(func(capacity, most uint64) experimental.LinearMemory {
		made := newLinear(capacity, most)
		m.all = append(m.all, made)
		return made
	}))
}

// content returns the guest's memory as it is now, nil when it has none. It holds until the guest runs on.
func (m *memories) content() []byte {
	if len(m.all) < 2 {
		return nil
	}
	return m.all[len(m.all)-1].data
}

// guest returns the size of the guest's memory in bytes, 0 when it has none.
func (m *memories) guest() int64 {
	if len(m.all) < 2 {
		return 0
	}
	return m.all[len(m.all)-1].size
}

// linear is the memory of an instance. Where the system can, it lies outside of Go's heap in a range of addresses that is as long as it may
// ever become: then it grows without being copied, takes what the guest has touched and no more, and the collector doesn't count it twice
// over. It must not be read after Free.
type linear struct {
	data     []byte
	size     int64 // in bytes; what it was when it has been freed
	reserved *reservation
}

// newLinear returns an empty memory of at most most bytes.
func newLinear(capacity, most uint64) *linear {
	l := &linear{}
	if l.reserved = reserve(l, most); l.reserved == nil {
		l.data = make([]byte, 0, capacity)
	}
	return l
}

// Reallocate implements experimental.LinearMemory. wazero holds it to the limits. It returns nil when the system has no more.
func (l *linear) Reallocate(size uint64) []byte {
	if l.reserved != nil {
		grown := l.reserved.open(size)
		switch {
		case grown != nil:
			l.data, l.size = grown, int64(size)
			return l.data
		case len(l.data) > 0:
			return nil
		}
		l.reserved.free()
		l.reserved = nil
	}
	if size <= uint64(cap(l.data)) {
		l.data = l.data[:size]
	} else {
		l.data = append(l.data, make([]byte, size-uint64(len(l.data)))...)
	}
	l.size = int64(size)
	return l.data
}

// Free implements experimental.LinearMemory.
func (l *linear) Free() {
	l.data = nil
	if l.reserved != nil {
		l.reserved.free()
		l.reserved = nil
	}
}
