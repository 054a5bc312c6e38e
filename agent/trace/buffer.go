package trace

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"sync"
	"unicode/utf8"
)

const (
	// defaultLimit is the size of a trace, in bytes after masking, where the runner sets none.
	defaultLimit = 4 << 20
	// spill is how much gathers in memory before it goes to the file.
	spill = 16 << 10
)

// buffer keeps the whole trace until the job is over for the coordinator, since it may ask for all of it again. Most of it lies in a
// file. When the disk takes no more it stays in memory, so no byte is lost; the limit bounds what that can cost.
type buffer struct {
	mu     sync.Mutex
	file   *os.File // made at the first spill
	named  bool     // file has a name on the disk
	dir    string
	onDisk int64  // bytes in file
	mem    []byte // what follows them
	limit  int64
	full   bool // the notice is in, nothing more is taken
	sum    uint32
	marks  map[string]mark // how far each stream is with what is here
	kept   *keeper         // nil unless another agent may go on with it
}

func newBuffer(dir string, limit int) *buffer {
	if limit <= 0 {
		limit = defaultLimit
	}
	return &buffer{dir: dir, limit: int64(limit), marks: map[string]mark{}}
}

// append takes p, whole characters of UTF-8. What reaches the limit is cut there, at a whole character, and the notice follows it.
func (b *buffer) append(p []byte, tag string, at mark) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.marks[tag] = at
	if b.full {
		return
	}
	if room := b.limit - b.size(); int64(len(p)) >= room {
		p = wholeCharacters(p, int(room))
		b.full = true
	}
	b.put(p)
	if b.full {
		b.put(fmt.Appendf(nil, "\n\x1b[33;1mJob's log exceeded limit of %d bytes.\n"+
			"Job execution will continue but no more output will be collected.\x1b[0;m\n", b.limit))
	}
}

// wholeCharacters returns at most the first n bytes of p and splits no character.
func wholeCharacters(p []byte, n int) []byte {
	if n >= len(p) {
		return p
	}
	for n > 0 && !utf8.RuneStart(p[n]) {
		n--
	}
	return p[:n]
}

func (b *buffer) put(p []byte) {
	b.sum = crc32.Update(b.sum, crc32.IEEETable, p)
	b.mem = append(b.mem, p...)
	if len(b.mem) >= spill {
		_ = b.toFile() // it stays in memory; the next write tries again
	}
}

// toFile takes what is in memory to the file.
func (b *buffer) toFile() error {
	if b.file == nil {
		f, err := os.CreateTemp(b.dir, "millwright-trace-*")
		if err != nil {
			return err
		}
		b.file = f
		// Without a name it goes with the process, however that ends. Where the system refuses, close removes it.
		b.named = os.Remove(f.Name()) != nil
	}
	n, err := b.file.WriteAt(b.mem, b.onDisk)
	if err == nil {
		b.onDisk += int64(n)
		b.mem = b.mem[:0]
	}
	return err
}

func (b *buffer) size() int64 { return b.onDisk + int64(len(b.mem)) }

// state returns the size in bytes and the checksum as the coordinator wants it; "" for an empty trace.
func (b *buffer) state() (size int64, checksum string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.size() == 0 {
		return 0, ""
	}
	return b.size(), fmt.Sprintf("crc32:%08x", b.sum)
}

// read returns at most limit bytes from offset on, in dst's memory where it suffices. Past the end it returns none.
func (b *buffer) read(dst []byte, offset int64, limit int) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(int64(limit), b.size()-offset)
	if n <= 0 || offset < 0 {
		return nil, nil
	}
	if int64(cap(dst)) < n {
		dst = make([]byte, n)
	}
	dst = dst[:n]
	done := 0
	if offset < b.onDisk {
		done = int(min(n, b.onDisk-offset))
		if _, err := b.file.ReadAt(dst[:done], offset); err != nil && err != io.EOF {
			return nil, fmt.Errorf("trace: read back %d bytes at %d: %w", done, offset, err)
		}
	}
	if done < len(dst) {
		copy(dst[done:], b.mem[offset+int64(done)-b.onDisk:])
	}
	return dst, nil
}

// close removes the file, unless it is kept.
func (b *buffer) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.file == nil {
		return nil
	}
	f := b.file
	b.file, b.onDisk, b.mem, b.full, b.kept = nil, 0, nil, true, nil
	err := f.Close()
	if b.named {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}
