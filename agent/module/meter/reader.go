package meter

import "fmt"

// reader reads the binary format. It keeps its first error, after which it gives zeros and has nothing left, so that loops end.
type reader struct {
	data []byte
	pos  int
	err  error
}

// fail notes the first error. Its text stands alone; who called the reader adds where.
func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("byte %d: %w", r.pos, fmt.Errorf(format, args...))
	}
	r.pos = len(r.data)
}

func (r *reader) more() bool { return r.pos < len(r.data) }

func (r *reader) left() int { return len(r.data) - r.pos }

func (r *reader) byte() byte {
	if r.pos >= len(r.data) {
		r.fail("it ends too early")
		return 0
	}
	b := r.data[r.pos]
	r.pos++
	return b
}

func (r *reader) bytes(n uint32) []byte {
	if uint64(n) > uint64(r.left()) {
		r.fail("%d bytes are promised and %d are left", n, r.left())
		return nil
	}
	b := r.data[r.pos : r.pos+int(n) : r.pos+int(n)]
	r.pos += int(n)
	return b
}

// u32 reads an unsigned LEB128 number. Padding with zeros up to five bytes is allowed, as the specification says; a sixth byte or set
// bits beyond the thirty-second are not.
func (r *reader) u32() uint32 {
	if r.pos < len(r.data) && r.data[r.pos] < 0x80 { // nearly all of them
		r.pos++
		return uint32(r.data[r.pos-1])
	}
	var v uint32
	for shift := 0; shift < 35; shift += 7 {
		b := r.byte()
		if shift == 28 && b > 0x0f {
			break
		}
		v |= uint32(b&0x7f) << shift
		if b < 0x80 {
			return v
		}
	}
	r.fail("a number is longer than 32 bits")
	return 0
}

// signed reads a signed LEB128 number of at most bits bits (32, 33 or 64). The bits of the last possible byte that lie beyond must
// all equal the sign.
func (r *reader) signed(bits int) int64 {
	var v int64
	for shift := 0; shift < bits; shift += 7 {
		b := r.byte()
		v |= int64(b&0x7f) << shift
		if bits-shift < 7 {
			if beyond := int8(b<<1) >> (bits - shift); b >= 0x80 || beyond != 0 && beyond != -1 {
				break
			}
		}
		if b < 0x80 {
			if shift+7 < 64 && b&0x40 != 0 {
				v |= -1 << (shift + 7)
			}
			return v
		}
	}
	r.fail("a number is longer than %d bits", bits)
	return 0
}

// count reads the length of a vector whose elements take at least size bytes each, so that nobody makes room for elements that can't
// be there.
func (r *reader) count(what string, size, limit int) int {
	n := r.u32()
	if uint64(n)*uint64(size) > uint64(r.left()) {
		r.fail("%d %s are promised and %d bytes are left", n, what, r.left())
		return 0
	}
	if int(n) > limit {
		r.fail("there are %d %s, at most %d are allowed", n, what, limit)
		return 0
	}
	return int(n)
}

// each reads the length of a vector, as count does, and calls read for each element until one fails.
func (r *reader) each(what string, size, limit int, read func()) {
	for range r.count(what, size, limit) {
		if r.err != nil {
			return
		}
		read()
	}
}

func (r *reader) name() string { return string(r.bytes(r.u32())) }
