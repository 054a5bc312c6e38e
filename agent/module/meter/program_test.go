package meter

import (
	"encoding/binary"
	"slices"
)

// This file writes modules by hand, for what no compiler would produce.

const (
	i32 byte = 0x7f
	i64 byte = 0x7e
	f32 byte = 0x7d
	f64 byte = 0x7c
)

// program is a module in the making. Functions are numbered as the format does it, imports first.
type program struct {
	types     []signature
	imports   []imported
	funcs     []fn
	tables    [][]byte // each a reference type and limits
	pages     int      // of memory; -1 is none
	maxPages  int      // of memory; 0 is no maximum
	globals   [][]byte // each a type, its mutability and a constant
	exports   []exported
	start     int // a function, 0 for none: function 0 never is one here
	elements  [][]byte
	datas     [][]byte
	uncounted bool     // no section tells the number of datas
	more      [][]byte // whole sections, at the end
}

// fn is a function with the code that follows its locals; its last end is added.
type fn struct {
	typ    uint32
	locals []byte // of these types
	code   []byte
	export string
}

// typ returns the index of a type.
func (p *program) typ(params, results []byte) uint32 {
	for i, s := range p.types {
		if slices.Equal(s.params, params) && slices.Equal(s.results, results) {
			return uint32(i)
		}
	}
	p.types = append(p.types, signature{params, results})
	return uint32(len(p.types) - 1)
}

// add adds a function and returns its index.
func (p *program) add(export string, params, results, locals []byte, code ...[]byte) uint32 {
	p.funcs = append(p.funcs, fn{typ: p.typ(params, results), locals: locals, code: slices.Concat(code...), export: export})
	return uint32(len(p.imports) + len(p.funcs) - 1)
}

func (p *program) imported(module, name string, params, results []byte) uint32 {
	p.imports = append(p.imports, imported{module, name, p.typ(params, results)})
	return uint32(len(p.imports) - 1)
}

func (p *program) bytes() []byte {
	out := []byte(header)
	var types, imports, funcs, exports, codes [][]byte
	for _, t := range p.types {
		types = append(types, appendBytes(appendBytes([]byte{0x60}, t.params), t.results))
	}
	for _, i := range p.imports {
		imports = append(imports, slices.Concat(appendName(nil, i.module), appendName(nil, i.name), []byte{0}, leb(i.typ)))
	}
	for i, f := range p.funcs {
		funcs = append(funcs, leb(f.typ))
		if f.export != "" {
			exports = append(exports, slices.Concat(appendName(nil, f.export), []byte{0}, leb(uint32(len(p.imports)+i))))
		}
		var locals [][]byte
		for _, l := range f.locals {
			locals = append(locals, []byte{1, l})
		}
		codes = append(codes, appendBytes(nil, slices.Concat(vector(locals), f.code, []byte{0x0b})))
	}
	for _, e := range p.exports {
		exports = append(exports, slices.Concat(appendName(nil, e.name), []byte{e.kind}, leb(e.index)))
	}
	out = append(out, section(1, types)...)
	out = append(out, section(2, imports)...)
	out = append(out, section(3, funcs)...)
	out = append(out, section(4, p.tables)...)
	switch {
	case p.maxPages > 0:
		out = append(out, section(5, [][]byte{slices.Concat([]byte{1}, leb(uint32(p.pages)), leb(uint32(p.maxPages)))})...)
	case p.pages >= 0:
		out = append(out, section(5, [][]byte{append([]byte{0}, leb(uint32(p.pages))...)})...)
	}
	out = append(out, section(6, p.globals)...)
	out = append(out, section(7, exports)...)
	if p.start > 0 {
		out = append(out, 8, 1, byte(p.start))
	}
	out = append(out, section(9, p.elements)...)
	if len(p.datas) > 0 && !p.uncounted {
		out = append(out, 12, 1, byte(len(p.datas)))
	}
	out = append(out, section(10, codes)...)
	out = append(out, section(11, p.datas)...)
	return slices.Concat(append([][]byte{out}, p.more...)...)
}

func vector(items [][]byte) []byte {
	return slices.Concat(append([][]byte{leb(uint32(len(items)))}, items...)...)
}

// section is empty without items.
func section(id byte, items [][]byte) []byte {
	if len(items) == 0 {
		return nil
	}
	return appendBytes([]byte{id}, vector(items))
}

func leb(v uint32) []byte { return binary.AppendUvarint(nil, uint64(v)) }

// Code, by the names of the text format.

func op(bytes ...byte) []byte { return bytes }

func constI32(v int32) []byte { return appendSigned([]byte{0x41}, int64(v)) }

func constI64(v int64) []byte { return appendSigned([]byte{0x42}, v) }

func call(f uint32) []byte { return append([]byte{0x10}, leb(f)...) }

func get(l uint32) []byte { return append([]byte{0x20}, leb(l)...) }

func set(l uint32) []byte { return append([]byte{0x21}, leb(l)...) }

func loop(code ...[]byte) []byte {
	return slices.Concat([]byte{0x03, 0x40}, slices.Concat(code...), []byte{0x0b})
}

func block(code ...[]byte) []byte {
	return slices.Concat([]byte{0x02, 0x40}, slices.Concat(code...), []byte{0x0b})
}

func repeat(n int, code ...[]byte) []byte { return slices.Repeat(slices.Concat(code...), n) }

var (
	drop        = []byte{0x1a}
	unreachable = []byte{0x00}
	ret         = []byte{0x0f}
	addI32      = []byte{0x6a}
	subI32      = []byte{0x6b}
	addI64      = []byte{0x7c}
	memoryGrow  = []byte{0x40, 0}
	memoryFill  = []byte{0xfc, 0x0b, 0}
	memoryCopy  = []byte{0xfc, 0x0a, 0, 0}
)

func br(l uint32) []byte { return append([]byte{0x0c}, leb(l)...) }

func brIf(l uint32) []byte { return append([]byte{0x0d}, leb(l)...) }
