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
