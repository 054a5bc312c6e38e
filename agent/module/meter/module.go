package meter

import (
	"bytes"
	"errors"
	"fmt"
)

// Sections of a module, and kinds of what it imports and exports, as the binary format numbers them.
// Source: WebAssembly Core Specification 2.0, "Modules" of the binary format.
const (
	sectionCustom    = 0
	sectionType      = 1
	sectionImport    = 2
	sectionFunction  = 3
	sectionTable     = 4
	sectionMemory    = 5
	sectionGlobal    = 6
	sectionExport    = 7
	sectionStart     = 8
	sectionElement   = 9
	sectionCode      = 10
	sectionData      = 11
	sectionDataCount = 12

	externFunction = 0
	externTable    = 1
	externMemory   = 2
	externGlobal   = 3
)

// place is where a section stands among the others; the data count is numbered late and comes early.
var place = [...]int{
	sectionType: 1, sectionImport: 2, sectionFunction: 3, sectionTable: 4, sectionMemory: 5, sectionGlobal: 6, sectionExport: 7,
	sectionStart: 8, sectionElement: 9, sectionDataCount: 10, sectionCode: 11, sectionData: 12,
}

// header starts each core module of version 1.
const header = "\x00asm\x01\x00\x00\x00"

// module is what a binary says. Byte slices in it are parts of that binary.
type module struct {
	types     []signature
	imports   []imported // functions only
	functions []uint32   // the type of each function of its own
	tables    []tableType
	memory    *limits
	globals   []globalVar
	exports   []exported
	start     int64 // a function, or -1
	elements  []elements
	dataCount int64 // -1 without that section
	codes     []code
	datas     []dataSegment
	names     map[uint32]string // of functions, for stack traces

	elementCount int  // in all segments
	constant     body // the one that is being read
}

type signature struct{ params, results []byte }

type imported struct {
	module, name string
	typ          uint32
}

// limits bound a memory, in pages, or a table, in elements.
type limits struct {
	min, max uint32
	hasMax   bool
}

type tableType struct {
	refType byte
	limits
}

type globalVar struct {
	valueType byte
	mutable   byte
	value     instruction // a constant
}

type exported struct {
	name  string
	kind  byte
	index uint32
}

// elements is a segment of references, for tables.
type elements struct {
	mode      segmentMode
	table     uint32
	offset    instruction // where it goes, if it is active
	refType   byte
	inValues  bool          // whether it holds expressions
	functions []uint32      // what it holds
	values    []instruction // likewise
}

type dataSegment struct {
	mode   segmentMode
	offset instruction
	bytes  []byte
}

type segmentMode uint8

const (
	active      segmentMode = iota // copied when the module starts
	passive                        // copied when the guest says so
	declarative                    // never copied; it only names functions
)

type code struct {
	locals []localGroup
	count  int // of the locals, without the parameters
	slots  int // that they take
	body   []byte
}

type localGroup struct {
	count     uint32
	valueType byte
}

// parse reads a module. It checks all counts and indexes, so that whoever reads the module again can rely on them, and leaves the
// bodies of the functions and the types to others.
func parse(wasm []byte, l *Limits) (*module, error) {
	if !bytes.HasPrefix(wasm, []byte(header)) {
		return nil, errors.New("is no WebAssembly core module of version 1")
	}
	m := &module{start: -1, dataCount: -1}
	r := &reader{data: wasm, pos: len(header)}
	last := 0
	for r.more() && r.err == nil {
		id := r.byte()
		section := &reader{data: r.bytes(r.u32())}
		if r.err != nil {
			break
		}
		if id == sectionCustom {
			m.readCustom(section, l)
			continue
		}
		if int(id) >= len(place) || place[id] == 0 {
			return nil, fmt.Errorf("the section %d is not known to this agent", id)
		}
		if place[id] <= last {
			return nil, fmt.Errorf("the section %d is there twice or too late", id)
		}
		last = place[id]
		m.readSection(id, section, l)
		if section.err == nil && section.more() {
			section.fail("it goes on after its last element")
		}
		if section.err != nil {
			return nil, fmt.Errorf("section %d: %w", id, section.err)
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	return m, m.check()
}

func (m *module) readSection(id byte, r *reader, l *Limits) {
	switch id {
	case sectionType:
		m.readTypes(r, l)
	case sectionImport:
		m.readImports(r, l)
	case sectionFunction:
		r.each("functions", 1, l.Functions, func() { m.functions = append(m.functions, index(r, "type", len(m.types))) })
	case sectionTable:
		m.readTables(r, l)
	case sectionMemory:
		if r.count("memories", 2, 1) == 1 {
			m.memory = readLimits(r)
		}
	case sectionGlobal:
		m.readGlobals(r, l)
	case sectionExport:
		m.readExports(r, l)
	case sectionStart:
		m.start = int64(index(r, "function", m.functionCount()))
	case sectionElement:
		r.each("element segments", 2, l.Entries, func() { m.elements = append(m.elements, m.readElements(r, l)) })
	case sectionDataCount:
		m.dataCount = int64(r.u32())
	case sectionCode:
		m.readCodes(r, l)
	case sectionData:
		r.each("data segments", 2, l.Datas, func() { m.datas = append(m.datas, m.readData(r)) })
	}
}

// check compares what several sections say of the same.
func (m *module) check() error {
	if len(m.codes) != len(m.functions) {
		return fmt.Errorf("it has %d functions and the code of %d", len(m.functions), len(m.codes))
	}
	if m.dataCount >= 0 && m.dataCount != int64(len(m.datas)) {
		return fmt.Errorf("it announces %d data segments and has %d", m.dataCount, len(m.datas))
	}
	return nil
}

func (m *module) functionCount() int { return len(m.imports) + len(m.functions) }

// signature returns the type of a function. The index has been checked.
func (m *module) signature(function uint32) *signature {
	return &m.types[m.typeOf(function)]
}

func (m *module) typeOf(function uint32) uint32 {
	if int(function) < len(m.imports) {
		return m.imports[function].typ
	}
	return m.functions[int(function)-len(m.imports)]
}

// scope is what a body of count locals, parameters included, may refer to.
func (m *module) scope(count int) scope {
	return scope{
		types: len(m.types), functions: m.functionCount(), tables: len(m.tables), globals: len(m.globals), locals: count,
		elements: len(m.elements), datas: int(max(m.dataCount, 0)), hasMemory: m.memory != nil,
	}
}
