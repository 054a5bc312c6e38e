package meter

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
)

// immediates are what may follow an opcode of each form, and as the first what the rewriting makes of it.
var immediates = map[form][][]byte{
	plain:       {nil},
	blockType:   {{0x40}, {0x7f}, {0x7e}, {0x7d}, {0x7c}, {0x7b}, {0x70}, {0x6f}, {0x02}, {0x82, 0}, {0xc0, 0x7f}},
	label:       {{0}, {0x80, 0}},
	labels:      {{0, 0}, {2, 0, 0, 0}, {0x82, 0, 0, 0x80, 0x80, 0, 0}},
	function:    {{0}, {0x80, 0x80, 0}},
	typeTable:   {{1, 0}, {0x81, 0, 0x80, 0}},
	local:       {{0}, {0x80, 0x80, 0x80, 0x80, 0}},
	global:      {{0}, {0x80, 0}},
	table:       {{0}, {0x80, 0}},
	tableTable:  {{0, 0}, {0x80, 0, 0}},
	element:     {{0}, {0x80, 0}},
	elementTab:  {{0, 0}},
	data:        {{0}, {0x80, 0}},
	dataMemory:  {{0, 0}},
	memory:      {{0}},
	memoryPair:  {{0, 0}},
	address:     {{0, 0}, {0, 0xff, 0xff, 0xff, 0xff, 0x0f}, {0x80, 0, 0x81, 0}},
	addressLane: {{0, 0, 1}, {0, 0x80, 0, 1}},
	lane:        {{1}},
	sixteen:     {bytes.Repeat([]byte{7}, 16)},
	number32:    {{5}, {0x7f}, {0xff, 0xff, 0xff, 0xff, 0x7f}},
	number64:    {{5}, {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7f}},
	float32Bits: {{0, 0, 0xc0, 0x7f}},
	float64Bits: {{1, 0, 0, 0, 0, 0, 0xf0, 0x7f}},
	valueTypes:  {{1, 0x7f}, {1, 0x70}, {0x81, 0, 0x7b}},
	refType:     {{0x70}, {0x6f}},
}

// blocks are what the blocks hold and how they end.
var blocks = map[opcode][]byte{opBlock: {0x00, 0x0b}, opLoop: {0x00, 0x0b}, opIf: {0x00, 0x05, 0x00, 0x0b}}

// host is a module with one of each thing that an instruction can name, and code in it that is never reached, where the engine takes
// any operands.
func host(code []byte) *program {
	p := &program{
		pages:    1,
		tables:   [][]byte{{0x70, 0, 1}},
		globals:  [][]byte{{i32, 1, 0x41, 0, 0x0b}},
		elements: [][]byte{{0, 0x41, 0, 0x0b, 1, 0}},
		datas:    [][]byte{{0, 0x41, 0, 0x0b, 1, 'x'}},
	}
	p.typ(nil, nil)
	p.typ(op(i32), op(i32))
	p.typ(nil, op(i32, i64))
	p.add("run", nil, nil, op(i32), unreachable, code, unreachable)
	return p
}

// TestEveryOpcode tries each number that could be an instruction, in each form of its immediates: what this package knows the engine
// must compile, plain and metered, and what it does not know it must refuse.
func TestEveryOpcode(t *testing.T) {
	rt := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfigInterpreter())
	defer rt.Close(t.Context())
	compiles := func(code []byte) error {
		m, err := rt.CompileModule(t.Context(), code)
		if err == nil {
			err = m.Close(t.Context())
		}
		return err
	}
	known := 0
	for _, prefix := range []int{-1, prefixMisc, prefixVector} {
		for n := range 256 {
			code, encoded := opcode(n), op(byte(n))
			if prefix >= 0 {
				code = opcode(prefix<<8 | n)
				encoded = append(op(byte(prefix)), leb(uint32(n))...)
			} else if n == prefixMisc || n == prefixVector || code == opEnd || code == opElse {
				continue // else and end belong to blocks
			}
			form := formOf(code)
			if form == unknown {
				for _, imm := range immediates {
					wasm := host(slices.Concat(encoded, imm[0])).bytes()
					if _, err := Rewrite(wasm, Options{}); err == nil || !strings.Contains(err.Error(), "is not known to this agent") {
						t.Errorf("%v with % x: %v", code, imm[0], err)
					}
					if compiles(wasm) == nil {
						t.Errorf("%v with % x is not known, but to the engine", code, imm[0])
					}
				}
				continue
			}
			known++
			for _, imm := range immediates[form] {
				wasm := host(slices.Concat(encoded, imm, blocks[code])).bytes()
				metered, err := Rewrite(wasm, Options{})
				if err != nil {
					t.Errorf("%v with % x: %v", code, imm, err)
					continue
				}
				if err := compiles(metered); err != nil {
					t.Errorf("%v with % x does not compile metered: %v", code, imm, err)
				}
				if err := compiles(wasm); err != nil && (len(imm) == 0 || imm[0] < 0x80) { // some long forms it can't read
					t.Errorf("%v with % x does not compile: %v", code, imm, err)
				}
			}
		}
	}
	if known != 181+18+236 {
		t.Errorf("%d instructions are known", known)
	}
}
