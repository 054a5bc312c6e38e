package kernel

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// TestBlocksKeepApart makes and frees blocks at random: each keeps what was written to it, and no two share a byte.
func TestBlocksKeepApart(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	m := New([]byte("the input"), 1<<16, nil)
	type block struct {
		offset uint64
		data   []byte
	}
	var live []block
	full := 0
	for i := range 20_000 {
		if len(live) > 0 && r.IntN(100) < 48 {
			n := r.IntN(len(live))
			m.release(live[n].offset)
			if got := m.Length(live[n].offset); got != 0 {
				t.Fatalf("a freed block has %d bytes", got)
			}
			live = append(live[:n], live[n+1:]...)
			continue
		}
		data := bytes.Repeat([]byte{byte(i)}, 1+r.IntN(300))
		if offset := m.Write(data); offset > 0 {
			live = append(live, block{offset, data})
		} else {
			full++
		}
		if len(m.data) > 1<<16 {
			t.Fatalf("the memory has %d bytes", len(m.data))
		}
		if b := live[r.IntN(len(live))]; true {
			if got, ok := m.Read(b.offset); !ok || !bytes.Equal(got, b.data) {
				t.Fatalf("a block of %d bytes of %d holds % x", len(b.data), b.data[0], got)
			}
		}
	}
	if full == 0 {
		t.Error("the memory never was full")
	}
	if got, ok := m.copy(m.input); !ok || string(got) != "the input" {
		t.Errorf("the input became %q", got)
	}
}

func TestManyBlocks(t *testing.T) {
	m := New(nil, 16<<20, nil)
	n := 0
	for m.alloc(1) > 0 {
		n++
	}
	if n != maxBlocks {
		t.Errorf("%d blocks were made", n)
	}
	m.reset()
	if len(m.data) != first || m.alloc(1) == 0 {
		t.Error("nothing was reset")
	}
}

func TestSpansOutside(t *testing.T) {
	m := New(nil, 1<<16, nil)
	m.alloc(100)
	for _, s := range []span{{0, 1 << 40}, {1 << 40, 0}, {1 << 40, 1}, {^uint64(0), 2}, {first, ^uint64(0)}, {uint64(len(m.data)), 1}} {
		m.set(&m.output, []uint64{s.offset, s.length})
		if m.output != (span{}) {
			t.Errorf("%+v was taken for an output", s)
		}
	}
	if _, ok := m.Read(first + 1); ok {
		t.Error("a block starts inside of another")
	}
	if m := New(make([]byte, 100), 64, nil); m.input != (span{first, 100}) || m.alloc(1) != 0 {
		t.Errorf("an input beyond the limit lies at %+v", m.input)
	}
}

func TestMovingBlocks(t *testing.T) {
	m := New(nil, 1<<16, nil)
	guest := make([]byte, 256)
	run := func(name string, offset, address, length uint64) (trapped bool) {
		defer func() { trapped = recover() != nil }()
		for _, f := range blocks {
			if f.name == name {
				f.run(m, []uint64{offset, address, length})
			}
		}
		return false
	}
	block := m.Write([]byte("hello"))
	if !run("block_read", block, 0, 5) {
		t.Error("a guest without memory got a block")
	}
	m.Guest = func() []byte { return guest }
	if run("block_read", block, 251, 5) || string(guest[251:]) != "hello" {
		t.Errorf("the guest's memory ends in %q", guest[251:])
	}
	copy(guest, "HOWDY")
	if run("block_write", block, 0, 5) {
		t.Error("block_write trapped")
	}
	if got, _ := m.Read(block); string(got) != "HOWDY" {
		t.Errorf("the block holds %q", got)
	}
	for _, s := range [][3]uint64{
		{block, 252, 5}, {block, 1 << 31, 5}, {block, 1<<32 - 1, 2}, {block, 0, 1<<32 - 1}, {block, 0, uint64(len(m.data))},
		{uint64(len(m.data)), 0, 1}, {1 << 63, 0, 1}, {^uint64(0), 0, 5}, {0, 257, 0},
	} {
		for _, name := range []string{"block_read", "block_write"} {
			if !run(name, s[0], s[1], s[2]) {
				t.Errorf("%s%v moved something", name, s)
			}
		}
	}
}
