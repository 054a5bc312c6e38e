package meter

import (
	"bytes"
	"math"
	"strings"
	"testing"
)

func TestNumbers(t *testing.T) {
	const bad = math.MinInt64
	tests := []struct {
		name  string
		bytes []byte
		u32   int64 // what it is as an unsigned number of 32 bits, bad for an error
		s32   int64 // as a signed one, and so on
		s33   int64
		s64   int64
	}{
		{"zero", op(0x00), 0, 0, 0, 0},
		{"one byte", op(0x3f), 63, 63, 63, 63},
		{"one byte with the sign", op(0x40), 64, -64, -64, -64},
		{"all of a byte", op(0x7f), 127, -1, -1, -1},
		{"two bytes", op(0x80, 0x01), 128, 128, 128, 128},
		{"two bytes with the sign", op(0x80, 0x7f), 0x3f80, -128, -128, -128},
		{"padded", op(0x81, 0x80, 0x00), 1, 1, 1, 1},
		{"padded to five", op(0x81, 0x80, 0x80, 0x80, 0x00), 1, 1, 1, 1},
		{"padded to six", op(0x81, 0x80, 0x80, 0x80, 0x80, 0x00), bad, bad, bad, 1},
		{"padded to ten", op(0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00), bad, bad, bad, 1},
		{"padded to eleven", op(0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00), bad, bad, bad, bad},
		{"padded with the sign", op(0xff, 0xff, 0xff, 0xff, 0x7f), bad, -1, -1, -1},
		{"most of u32", op(0xff, 0xff, 0xff, 0xff, 0x0f), math.MaxUint32, bad, math.MaxUint32, math.MaxUint32},
		{"most of s32", op(0xff, 0xff, 0xff, 0xff, 0x07), math.MaxInt32, math.MaxInt32, math.MaxInt32, math.MaxInt32},
		{"least of s32", op(0x80, 0x80, 0x80, 0x80, 0x78), bad, math.MinInt32, math.MinInt32, math.MinInt32},
		{"33 bits", op(0x80, 0x80, 0x80, 0x80, 0x10), bad, bad, bad, 1 << 32},
		{"least of s33", op(0x80, 0x80, 0x80, 0x80, 0x70), bad, bad, -1 << 32, -1 << 32},
		{"a sign that is none", op(0x80, 0x80, 0x80, 0x80, 0x40), bad, bad, bad, -1 << 34},
		{"most of s64", op(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00), bad, bad, bad, math.MaxInt64},
		{"nearly least of s64", op(0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7f), bad, bad, bad, math.MinInt64 + 1},
		{"65 bits", op(0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01), bad, bad, bad, bad},
		{"cut off", op(0x80, 0x80), bad, bad, bad, bad},
		{"nothing", nil, bad, bad, bad, bad},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			check := func(kind string, want int64, read func(r *reader) int64, write func(v int64) []byte) {
				t.Helper()
				r := &reader{data: tt.bytes}
				got := read(r)
				if r.err != nil {
					got = bad
				}
				if got != want || r.err == nil && r.pos != len(tt.bytes) {
					t.Errorf("as %s it is %d, want %d (%v)", kind, got, want, r.err)
				}
				if r.err == nil && read(&reader{data: write(got)}) != got {
					t.Errorf("%d comes back from % x as another number", got, write(got))
				}
			}
			signed := func(bits int) func(r *reader) int64 { return func(r *reader) int64 { return r.signed(bits) } }
			writeSigned := func(v int64) []byte { return appendSigned(nil, v) }
			check("u32", tt.u32, func(r *reader) int64 { return int64(r.u32()) }, func(v int64) []byte { return appendU32(nil, uint32(v)) })
			check("s32", tt.s32, signed(32), writeSigned)
			check("s33", tt.s33, signed(33), writeSigned)
			check("s64", tt.s64, signed(64), writeSigned)
		})
	}
}

func TestWriteNumbers(t *testing.T) {
	for _, tt := range []struct {
		got, want []byte
	}{
		{appendU32(nil, 0), op(0)}, {appendU32(nil, 127), op(0x7f)}, {appendU32(nil, 128), op(0x80, 1)},
		{appendU32(nil, math.MaxUint32), op(0xff, 0xff, 0xff, 0xff, 0x0f)},
		{appendSigned(nil, 63), op(0x3f)}, {appendSigned(nil, 64), op(0xc0, 0)}, {appendSigned(nil, -64), op(0x40)},
		{appendSigned(nil, -65), op(0xbf, 0x7f)}, {appendSigned(nil, math.MinInt32), op(0x80, 0x80, 0x80, 0x80, 0x78)},
	} {
		if !bytes.Equal(tt.got, tt.want) {
			t.Errorf("wrote % x, want % x", tt.got, tt.want)
		}
	}
	for _, n := range []int{0, 1, 127, 128, 20_000, 3 << 20} {
		content := make([]byte, n)
		got := appendSized([]byte{9}, func(out []byte) []byte { return append(out, content...) })
		if want := append(appendU32([]byte{9}, uint32(n)), content...); !bytes.Equal(got, want) {
			t.Errorf("a section of %d bytes is written as % x...", n, got[:min(len(got), 10)])
		}
	}
}

func TestCountsAreHeldAgainstWhatIsLeft(t *testing.T) {
	for _, tt := range []struct {
		name  string
		bytes []byte
		want  string
	}{
		{"more than there are bytes", op(0x05, 1, 2, 3, 4), "5 things are promised and 4 bytes are left"},
		{"more than memory", op(0xff, 0xff, 0xff, 0xff, 0x0f), "4294967295 things are promised"},
		{"more than allowed", append(op(11), make([]byte, 11)...), "there are 11 things, at most 10 are allowed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &reader{data: tt.bytes}
			n := r.count("things", 1, 10)
			if n != 0 || r.err == nil || !strings.Contains(r.err.Error(), tt.want) {
				t.Errorf("%d, %v", n, r.err)
			}
		})
	}
}
