package meter

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// at is a data segment at a place below 64.
func at(offset byte, text string) []byte {
	return slices.Concat(op(0, 0x41, offset, 0x0b, byte(len(text))), []byte(text))
}

func TestDatasAreMerged(t *testing.T) {
	far := slices.Concat(op(0, 0x41, 0x80, 0x02, 0x0b, 1), []byte("z")) // at 256
	for name, tt := range map[string]struct {
		datas   [][]byte
		counted bool
		want    int // segments
	}{
		"neighbours":                   {[][]byte{at(1, "ab"), at(3, "c")}, false, 1},
		"a gap of zeros":               {[][]byte{at(1, "ab"), at(9, "cd"), at(40, "e")}, false, 1},
		"too wide a gap":               {[][]byte{at(1, "ab"), far}, false, 2},
		"empty ones":                   {[][]byte{at(1, ""), at(1, "a"), at(2, "")}, false, 1},
		"one over another":             {[][]byte{at(1, "abc"), at(2, "x")}, false, 2},
		"back to front":                {[][]byte{at(9, "abc"), at(2, "x")}, false, 1},
		"back into a gap":              {[][]byte{at(1, "a"), at(9, "b"), at(4, "c")}, false, 1},
		"one over another, later":      {[][]byte{at(9, "b"), far, at(8, "cd"), at(1, "a")}, false, 4},
		"passive":                      {[][]byte{at(1, "a"), {1, 1, 'p'}, at(2, "b")}, false, 3},
		"an instruction may name them": {[][]byte{at(1, "a"), at(2, "b")}, true, 2},
		"the last bytes of a memory":   {[][]byte{slices.Concat(op(0, 0x41, 0xff, 0xff, 0x03, 0x0b, 1), []byte("y"))}, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			p := &program{pages: 1, datas: tt.datas, uncounted: !tt.counted, exports: []exported{{"memory", 2, 0}}}
			wasm := p.bytes()
			before := slices.Clone(wasm)
			metered, err := Rewrite(wasm, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(wasm, before) {
				t.Error("the module that was read has changed")
			}
			l := Limits{}.withDefaults()
			m, err := parse(wasm, &l)
			if err != nil {
				t.Fatal(err)
			}
			m.mergeDatas()
			if len(m.datas) != tt.want {
				t.Errorf("%d segments, want %d", len(m.datas), tt.want)
			}
			plain, _ := instantiate(t, t.Context(), wasm).ExportedMemory("memory").Read(0, 1<<16)
			if with, _ := instantiate(t, t.Context(), metered).ExportedMemory("memory").Read(0, 1<<16); !bytes.Equal(plain, with) {
				t.Errorf("the memory is %q, without metering %q", with[:64], plain[:64])
			}
		})
	}
}

// TestDataOutsideMemory checks that a module whose data has no room is still refused by the engine.
func TestDataOutsideMemory(t *testing.T) {
	p := &program{pages: 1, uncounted: true, datas: [][]byte{at(1, "a"), slices.Concat(op(0, 0x41, 0xff, 0xff, 0x03, 0x0b, 2), []byte("yz"))}}
	metered, err := Rewrite(p.bytes(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newRuntime(t, t.Context()).Instantiate(t.Context(), metered); err == nil || !strings.Contains(err.Error(), "out of bounds") {
		t.Errorf("%v", err)
	}
}
