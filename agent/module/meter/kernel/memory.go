package kernel

import (
	"context"
	"encoding/binary"
)

const (
	// first is the offset of the first block. 0 stands for none.
	first = 64
	// step is what lengths are rounded up to.
	step = 16
	// maxBlocks bounds the accounts, which take some 50 bytes of the host's memory for each block.
	maxBlocks = 1 << 16
)

// Memory is the memory of one call. It serves one goroutine. A new call gets a new one.
type Memory struct {
	data   []byte // grows up to limit
	limit  int
	blocks map[uint64]uint64   // the length of each block, by its offset
	free   map[uint64][]uint64 // blocks that were freed, by their rounded length

	// Guest returns the guest's own memory as it is now; nil: it has none. block_read and block_write copy there and from there.
	Guest func() []byte

	input, output span
	failure       uint64 // the block with what the guest says went wrong, 0 for none
	log           func(level, message string)
}

// span is a part of the memory, in bytes.
type span struct{ offset, length uint64 }

// New returns the memory of a call with its input. limit bounds it, in bytes; only the input has its place whatever the limit. log takes what the guest logs through
// Extism's own functions; the level is one of trace, debug, info, warn and error.
func New(input []byte, limit int, log func(level, message string)) *Memory {
	m := &Memory{
		data: make([]byte, first, first+len(input)+4<<10), limit: max(limit, first+len(input)+step), log: log,
		blocks: map[uint64]uint64{}, free: map[uint64][]uint64{},
	}
	if len(input) > 0 {
		m.input = span{m.Write(input), uint64(len(input))}
	}
	return m
}

type contextKey struct{}

// With returns a context for a call that uses m.
func With(ctx context.Context, m *Memory) context.Context {
	return context.WithValue(ctx, contextKey{}, m)
}

// From returns the memory of a call, nil outside of one.
func From(ctx context.Context) *Memory {
	m, _ := ctx.Value(contextKey{}).(*Memory)
	return m
}

// Output returns a copy of what the guest gave as its output. It is false when that lies outside of the memory.
func (m *Memory) Output() ([]byte, bool) { return m.copy(m.output) }

// Failure returns what the guest said went wrong, "" for nothing.
func (m *Memory) Failure() string {
	text, _ := m.Read(m.failure)
	return string(text)
}

// Read returns a copy of a block. It is false when there is no such block.
func (m *Memory) Read(offset uint64) ([]byte, bool) {
	length, ok := m.blocks[offset]
	if !ok {
		return nil, false
	}
	return m.copy(span{offset, length})
}

// Length returns the length of a block, 0 when there is no such block.
func (m *Memory) Length(offset uint64) uint64 { return m.blocks[offset] }

// Write makes a block of data and returns its offset, 0 when there is no room for it or nothing to write.
func (m *Memory) Write(data []byte) uint64 {
	offset := m.alloc(uint64(len(data)))
	if offset > 0 {
		copy(m.data[offset:], data)
	}
	return offset
}

func (m *Memory) copy(s span) ([]byte, bool) {
	if !m.holds(s) {
		return nil, false
	}
	return append([]byte(nil), m.data[s.offset:s.offset+s.length]...), true
}

func (m *Memory) holds(s span) bool {
	size := uint64(len(m.data))
	return s.offset <= size && s.length <= size-s.offset
}

// alloc makes a block and returns its offset, 0 when there is no room. What was freed is taken again where the length fits.
func (m *Memory) alloc(length uint64) uint64 {
	if length == 0 || length > uint64(m.limit) || len(m.blocks) >= maxBlocks {
		return 0
	}
	rounded := (length + step - 1) / step * step
	if freed := m.free[rounded]; len(freed) > 0 {
		offset := freed[len(freed)-1]
		m.free[rounded] = freed[:len(freed)-1]
		m.blocks[offset] = length
		return offset
	}
	offset := uint64(len(m.data))
	if offset+rounded > uint64(m.limit) {
		return 0
	}
	m.data = append(m.data, make([]byte, rounded)...)
	m.blocks[offset] = length
	return offset
}

func (m *Memory) release(offset uint64) {
	length, ok := m.blocks[offset]
	if !ok {
		return
	}
	delete(m.blocks, offset)
	rounded := (length + step - 1) / step * step
	if offset+rounded == uint64(len(m.data)) { // the last one
		m.data = m.data[:offset]
	} else {
		m.free[rounded] = append(m.free[rounded], offset)
	}
	if offset == m.input.offset {
		m.input.length = 0
	}
}

// reset forgets all blocks.
func (m *Memory) reset() {
	clear(m.blocks)
	clear(m.free)
	m.data, m.input, m.output, m.failure = m.data[:first], span{}, span{}, 0
}

func (m *Memory) byteAt(offset uint64) byte {
	if !m.holds(span{offset, 1}) {
		return 0
	}
	return m.data[offset]
}

// word returns eight bytes. It is false where they lie outside.
func (m *Memory) word(offset uint64) (uint64, bool) {
	if !m.holds(span{offset, 8}) {
		return 0, false
	}
	return binary.LittleEndian.Uint64(m.data[offset:]), true
}
