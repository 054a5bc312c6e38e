package docker

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/docker/docker/pkg/stdcopy"
)

// TestDemux reads what Docker's own writer wrote, in one piece, byte by byte and cut anywhere.
func TestDemux(t *testing.T) {
	var wire bytes.Buffer
	out, errs := stdcopy.NewStdWriter(&wire, stdcopy.Stdout), stdcopy.NewStdWriter(&wire, stdcopy.Stderr)
	long := strings.Repeat("0123456789", 2000)
	for _, part := range []string{"a", "", long, "b\n"} {
		if _, err := out.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
		if _, err := errs.Write([]byte("E" + part)); err != nil {
			t.Fatal(err)
		}
	}
	wantOut, wantErr := "a"+long+"b\n", "EaEE"+long+"Eb\n"
	var a, b bytes.Buffer
	if err := demux(&a, &b, iotest.OneByteReader(bytes.NewReader(wire.Bytes()))); err != nil || a.String() != wantOut || b.String() != wantErr {
		t.Errorf("%v; %d and %d bytes, want %d and %d", err, a.Len(), b.Len(), len(wantOut), len(wantErr))
	}
	for _, cut := range []int{0, 3, 8, 9, 40, 5000, wire.Len() - 1} {
		a.Reset()
		b.Reset()
		if err := demux(&a, &b, bytes.NewReader(wire.Bytes()[:cut])); err != nil || !strings.HasPrefix(wantOut, a.String()) || !strings.HasPrefix(wantErr, b.String()) {
			t.Errorf("cut after %d: %v, %d and %d bytes", cut, err, a.Len(), b.Len())
		}
	}
}

func TestDemuxFails(t *testing.T) {
	broken := errors.New("broken")
	for _, tt := range []struct {
		name, wire, want string
	}{
		{"the engine's own words", "\x03\x00\x00\x00\x00\x00\x00\x04oops", "oops"},
		{"an unknown stream", "\x07\x00\x00\x00\x00\x00\x00\x00", "stream 7"},
	} {
		if err := demux(&bytes.Buffer{}, &bytes.Buffer{}, strings.NewReader(tt.wire)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if err := demux(&bytes.Buffer{}, &bytes.Buffer{}, iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("a source that breaks: %v", err)
	}
}

// A last word is kept out of its stream however that is cut, and what only looks like one is not.
func TestListener(t *testing.T) {
	for _, tt := range []struct {
		name, text, want string
		heard            int
	}{
		{"at the end", "a\nb\n\x1eword\n", "a\nb\n", 1},
		{"alone", "\x1eword\n", "", 1},
		{"with more behind it", "a\x1eword\nb", "a", 1},
		{"another word", "a\x1ewords\nb", "a\x1ewords\nb", 0},
		{"half of it at the end", "a\x1ewo", "a\x1ewo", 0},
		{"begun twice", "\x1ewo\x1e\x1eword\n", "\x1ewo\x1e", 1},
		{"none", "abc", "abc", 0},
	} {
		for size := 1; size <= len(tt.text); size++ {
			var out bytes.Buffer
			heard := 0
			l := listener{to: &out, word: []byte("\x1eword\n"), heard: func() { heard++ }}
			for rest := []byte(tt.text); len(rest) > 0; {
				n := min(size, len(rest))
				if wrote, err := l.Write(rest[:n]); wrote != n || err != nil {
					t.Fatalf("%s: %d of %d bytes, %v", tt.name, wrote, n, err)
				}
				rest = rest[n:]
			}
			l.flush()
			if out.String() != tt.want || heard != tt.heard {
				t.Errorf("%s, cut at %d: %q, heard %d times; want %q, %d", tt.name, size, out.String(), heard, tt.want, tt.heard)
			}
		}
	}
}
