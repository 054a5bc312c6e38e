package packed_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/millwright-ci/millwright/agent/executor/packed"
)

const word = "\x1e0123456789abcdef"

// unpacked is what a Writer makes of pieces, and the exit code that it heard, or -1.
func unpacked(t interface{ Fatal(...any) }, pieces ...[]byte) (string, int) {
	var out bytes.Buffer
	heard := -1
	atEnd := ""
	w := packed.NewWriter(&out, word, func(code int) {
		if heard >= 0 {
			t.Fatal("the end was heard twice")
		}
		heard, atEnd = code, out.String()
	})
	for _, p := range pieces {
		if n, err := w.Write(p); n != len(p) || err != nil {
			t.Fatal(n, err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if heard >= 0 && atEnd != out.String() {
		t.Fatal("the end was heard before all that had been said")
	}
	return out.String(), heard
}

// Whatever a script says, in whatever pieces it is packed and comes, is what is passed on.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOf(rapid.OneOf(
			rapid.StringOf(rapid.SampledFrom([]rune("ab\n\x1enew \r"))),
			rapid.Just("\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n"), rapid.Just(word+"\n"), rapid.Just("\x1ew"+word[1:]+" 0\n"),
			rapid.Map(rapid.IntRange(0, 20000), func(n int) string { return strings.Repeat("x", n) + "\n" }),
		)).Draw(t, "text"), "")
		before := rapid.SampledFrom([]string{"", "an entrypoint's line\n", "\x1e", word}).Draw(t, "before")
		code := rapid.IntRange(0, 255).Draw(t, "code")
		stream := append([]byte(before), packed.Begin(word)...)
		for rest := []byte(text); len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "piece")
			stream = append(stream, packed.Pack(nil, rest[:n])...)
			rest = rest[n:]
		}
		stream = append(stream, packed.End(word, fmt.Sprint(code))...)
		var pieces [][]byte
		for rest := append(stream, "what comes later"...); len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "read")
			pieces = append(pieces, rest[:n])
			rest = rest[n:]
		}
		got, heard := unpacked(t, pieces...)
		if got != before+text || heard != code {
			t.Fatalf("got %q and %d, want %q and %d", got, heard, before+text, code)
		}
	})
}

// Without the word nothing is changed, and what is not quite ours stays.
func TestForeign(t *testing.T) {
	t.Parallel()
	inside := string(packed.Begin(word))
	for _, c := range []struct {
		name, in, want string
		code           int
	}{
		{"no word", "a\x1enb\x1e\nc\x1ew" + word[1:] + " 3\n", "a\x1enb\x1e\nc\x1ew" + word[1:] + " 3\n", -1},
		{"half a word", word, word, -1},
		{"another's mark", inside + "a\x1eb", "a\x1eb", -1},
		{"a mark last", inside + "a\x1e", "a\x1e", -1},
		{"another word", inside + "\x1ewffff 0\nmore", "\x1ewffff 0\nmore", -1},
		{"no code", inside + "\x1ew" + word[1:] + " \n", "\x1ew" + word[1:] + " \n", -1},
		{"a code that is none", inside + "\x1ew" + word[1:] + " 256\n", "\x1ew" + word[1:] + " 256\n", -1},
		{"half an end", inside + "\x1ew" + word[1:], "\x1ew" + word[1:], -1},
		{"an end without end", inside + "\x1ew" + strings.Repeat("x", 1000), "\x1ew" + strings.Repeat("x", 1000), -1},
		{"the end", inside + "last words" + string(packed.End(word, "137")) + "late", "last words", 137},
	} {
		for _, size := range []int{1, 7, len(c.in)} {
			var pieces [][]byte
			for rest := []byte(c.in); len(rest) > 0; rest = rest[min(size, len(rest)):] {
				pieces = append(pieces, rest[:min(size, len(rest))])
			}
			if got, code := unpacked(t, pieces...); got != c.want || code != c.code {
				t.Errorf("%s, in pieces of %d: %q and %d, want %q and %d", c.name, size, got, code, c.want, c.code)
			}
		}
	}
}

// Few lines pass as they are; of many, the engine gets lines that it need not cut, and nothing that is whole waits for more.
func TestPack(t *testing.T) {
	t.Parallel()
	few := []byte(strings.Repeat("a line\n", 15) + "and more")
	if got := packed.Pack(nil, few); &got[0] != &few[0] {
		t.Errorf("few lines: %q", got)
	}
	got := packed.Pack(nil, []byte(strings.Repeat(strings.Repeat("x", 99)+"\n", 600)+"and more"))
	lines := strings.SplitAfter(string(got), "\n")
	if len(lines) != 4+1 || lines[len(lines)-1] != "and more" {
		t.Errorf("60 kB are %d lines, the last one %q", len(lines), lines[len(lines)-1])
	}
	for _, l := range lines {
		if len(l) > 16<<10 {
			t.Errorf("a line of %d bytes", len(l))
		}
	}
}

func BenchmarkPack(b *testing.B) {
	piece := []byte(strings.Repeat(strings.Repeat("x", 99)+"\n", 655))
	buf := make([]byte, 0, 3*len(piece))
	b.SetBytes(int64(len(piece)))
	for b.Loop() {
		packed.Pack(buf, piece)
	}
}

func BenchmarkUnpack(b *testing.B) {
	piece := packed.Pack(nil, []byte(strings.Repeat(strings.Repeat("x", 99)+"\n", 655)))
	w := packed.NewWriter(discard{}, word, func(int) {})
	_, _ = w.Write(packed.Begin(word))
	b.SetBytes(int64(len(piece)))
	for b.Loop() {
		_, _ = w.Write(piece)
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
