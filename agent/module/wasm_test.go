package module_test

import (
	"encoding/binary"
	"slices"
	"strings"
)

// This file writes tiny guests by hand, in Wasm's binary format, for what no compiler would produce.

// Instructions, as the format encodes them.
const (
	opUnreachable = 0x00
	opLoop        = 0x03
	opIf          = 0x04
	opElse        = 0x05
	opEnd         = 0x0b
	opBr          = 0x0c
	opCall        = 0x10
	opLocalGet    = 0x20
	opLocalSet    = 0x21
	opMemoryGrow  = 0x40
	opI32Const    = 0x41
	opI64Const    = 0x42
	opI32Eq       = 0x46
	opI64Add      = 0x7c
	void          = 0x40
	i32           = 0x7f
	i64           = 0x7e
)

// Functions that each guest imports from Extism, by index; its own follow.
const (
	fnAlloc = iota
	fnStore
	fnOutput
	firstOwn
)

// function is an export with its code, which has one local (0, an i64) and leaves an i32.
type function struct {
	name   string
	code   []byte
	params int // of type i32; an export has none
}

// wasm is a guest.
type wasm struct {
	functions []function
	minPages  uint64
	imports   []string // further functions, each module, name; they take an i64 and return one, those of blocks aside
	start     []byte   // the code of its start function, with the same local, which leaves nothing; nil is none
}

// bytes encodes the guest.
func (w wasm) bytes() []byte {
	out := []byte("\x00asm\x01\x00\x00\x00")
	types := vector(
		[]byte{0x60, 0, 1, i32},           // 0: an export
		[]byte{0x60, 1, i64, 1, i64},      // 1: alloc
		[]byte{0x60, 2, i64, i64, 0},      // 2: store_u64, output_set
		[]byte{0x60, 1, i32, 1, i32},      // 3: an export of the wrong kind
		[]byte{0x60, 0, 0},                // 4: the start function
		[]byte{0x60, 3, i64, i32, i32, 0}, // 5: block_read, block_write
	)
	imports := [][]byte{importOf("extism:host/env", "alloc", 1), importOf("extism:host/env", "store_u64", 2), importOf("extism:host/env", "output_set", 2)}
	for i := 0; i+1 < len(w.imports); i += 2 {
		kind := byte(1)
		if strings.HasPrefix(w.imports[i+1], "block_") {
			kind = 5
		}
		imports = append(imports, importOf(w.imports[i], w.imports[i+1], kind))
	}
	var funcs, exports, codes [][]byte
	for i, f := range w.functions {
		kind := byte(0)
		if f.params > 0 {
			kind = 3
		}
		funcs = append(funcs, []byte{kind})
		index := uint64(len(imports) + i)
		exports = append(exports, slices.Concat(text(f.name), []byte{0}, leb(index)))
		body := slices.Concat([]byte{1, 1, i64}, f.code, []byte{opEnd})
		codes = append(codes, slices.Concat(leb(uint64(len(body))), body))
	}
	if w.start != nil {
		body := slices.Concat([]byte{1, 1, i64}, w.start, []byte{opEnd})
		funcs, codes = append(funcs, []byte{4}), append(codes, slices.Concat(leb(uint64(len(body))), body))
	}
	out = append(out, section(1, types)...)
	out = append(out, section(2, vector(imports...))...)
	out = append(out, section(3, vector(funcs...))...)
	out = append(out, section(5, vector(slices.Concat([]byte{0}, leb(w.minPages))))...)
	out = append(out, section(7, vector(exports...))...)
	if w.start != nil {
		out = append(out, section(8, leb(uint64(len(imports)+len(funcs)-1)))...)
	}
	return append(out, section(10, vector(codes...))...)
}

// returns is code that gives the text as its output.
func returns(output string) []byte {
	code := slices.Concat([]byte{opI64Const}, sleb(int64(len(output)+8)), []byte{opCall, fnAlloc, opLocalSet, 0})
	padded := append([]byte(output), make([]byte, 8)...)
	for i := 0; i < len(output); i += 8 {
		code = slices.Concat(code, []byte{opLocalGet, 0, opI64Const}, sleb(int64(i)), []byte{opI64Add, opI64Const},
			sleb(int64(binary.LittleEndian.Uint64(padded[i:]))), []byte{opCall, fnStore})
	}
	return slices.Concat(code, []byte{opLocalGet, 0, opI64Const}, sleb(int64(len(output))), []byte{opCall, fnOutput, opI32Const, 0})
}

// outputs is code that gives length bytes at offset as its output, whatever lies there.
func outputs(offset, length int64) []byte {
	return slices.Concat([]byte{opI64Const}, sleb(offset), []byte{opI64Const}, sleb(length), []byte{opCall, fnOutput, opI32Const, 0})
}

// allocates is code that gives length bytes of Extism's memory as its output.
func allocates(length int64) []byte {
	return slices.Concat([]byte{opI64Const}, sleb(length), []byte{opCall, fnAlloc, opI64Const}, sleb(length), []byte{opCall, fnOutput, opI32Const, 0})
}

var (
	traps = []byte{opUnreachable}
	loops = []byte{opLoop, void, opBr, 0, opEnd, opUnreachable}
	// grows takes a megabyte at a time until there is no more, and then traps.
	grows = []byte{opLoop, void, opI32Const, 16, opMemoryGrow, 0, opI32Const, 0x7f, opI32Eq, opIf, void, opUnreachable, opEnd, opBr, 0, opEnd, opUnreachable}
	// recurses calls the second function of the guest, which should be itself.
	recurses = []byte{opCall, firstOwn + 1}
)

func section(id byte, content []byte) []byte {
	return slices.Concat([]byte{id}, leb(uint64(len(content))), content)
}

func vector(items ...[]byte) []byte {
	return slices.Concat(append([][]byte{leb(uint64(len(items)))}, items...)...)
}

func text(s string) []byte { return slices.Concat(leb(uint64(len(s))), []byte(s)) }

func importOf(module, name string, kind byte) []byte {
	return slices.Concat(text(module), text(name), []byte{0, kind})
}

func leb(v uint64) []byte { return binary.AppendUvarint(nil, v) }

func sleb(v int64) []byte {
	var out []byte
	for {
		b := byte(v & 0x7f)
		v >>= 7
		if v == 0 && b&0x40 == 0 || v == -1 && b&0x40 != 0 {
			return append(out, b)
		}
		out = append(out, b|0x80)
	}
}
