package moduletest

import (
	"encoding/binary"
	"maps"
	"slices"
	"strings"
)

// Trap as the output of an export makes it trap instead.
const Trap = "\x00trap"

// Loop as the output of an export makes it run without end.
const Loop = "\x00loop"

// Tiny writes a module of a few hundred bytes by hand, which compiles in a millisecond: each export of outputs returns its text whatever
// its input is.
func Tiny(outputs map[string]string) []byte { return TinyTalking(outputs, "") }

// TinyTalking is a Tiny whose exports log a text first, by Extism's log_warn; "" logs nothing.
func TinyTalking(outputs map[string]string, said string) []byte {
	const alloc, store, output, warn, own = 0, 1, 2, 3, 4 // functions by index: four of Extism's, then the exports
	types := vector([]byte{0x60, 0, 1, 0x7f}, []byte{0x60, 1, 0x7e, 1, 0x7e}, []byte{0x60, 2, 0x7e, 0x7e, 0}, []byte{0x60, 1, 0x7e, 0})
	imported := func(name string, kind byte) []byte {
		return slices.Concat(text("extism:host/env"), text(name), []byte{0, kind})
	}
	// block leaves the offset of a block in the local, which holds content and room for as many bytes more.
	block := func(content string, room int) []byte {
		code := slices.Concat([]byte{0x42}, sleb(int64(len(content)+room)), []byte{0x10, alloc, 0x21, 0})
		padded := append([]byte(content), make([]byte, 8)...)
		for at := 0; at < len(content); at += 8 { // eight bytes at a time, as Extism's kernel takes them
			code = slices.Concat(code, []byte{0x20, 0, 0x42}, sleb(int64(at)), []byte{0x7c, 0x42},
				sleb(int64(binary.LittleEndian.Uint64(padded[at:]))), []byte{0x10, store})
		}
		return code
	}
	var talk []byte
	if said != "" {
		said += strings.Repeat(" ", 7-(len(said)+7)%8) // a block ends where its content does
		talk = slices.Concat(block(said, 0), []byte{0x20, 0, 0x10, warn})
	}
	var funcs, exports, codes [][]byte
	for i, name := range slices.Sorted(maps.Keys(outputs)) {
		funcs = append(funcs, []byte{0})
		exports = append(exports, slices.Concat(text(name), []byte{0}, leb(uint64(own+i))))
		var code []byte
		switch said := outputs[name]; said {
		case Trap:
			code = []byte{0x00}
		case Loop:
			code = []byte{0x03, 0x40, 0x0c, 0, 0x0b, 0x00}
		default:
			code = slices.Concat(talk, block(said, 8), []byte{0x20, 0, 0x42}, sleb(int64(len(said))), []byte{0x10, output, 0x41, 0})
		}
		body := slices.Concat([]byte{1, 1, 0x7e}, code, []byte{0x0b})
		codes = append(codes, slices.Concat(leb(uint64(len(body))), body))
	}
	return slices.Concat([]byte("\x00asm\x01\x00\x00\x00"),
		section(1, types), section(2, vector(imported("alloc", 1), imported("store_u64", 2), imported("output_set", 2), imported("log_warn", 3))),
		section(3, vector(funcs...)), section(7, vector(exports...)), section(10, vector(codes...)))
}

// TinyPolicy is a Tiny that describes itself as a policy of that name and makes one proposal.
func TinyPolicy(name, proposal string) []byte {
	return Tiny(map[string]string{"describe": `{"abi":1,"kind":"policy","name":"` + name + `"}`, "decide": proposal})
}

func section(id byte, content []byte) []byte {
	return slices.Concat([]byte{id}, leb(uint64(len(content))), content)
}

func vector(items ...[]byte) []byte {
	return slices.Concat(leb(uint64(len(items))), slices.Concat(items...))
}

func text(s string) []byte { return slices.Concat(leb(uint64(len(s))), []byte(s)) }

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
