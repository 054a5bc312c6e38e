package meter

import "strings"

// functionType starts the encoding of each type. There are no others in this version.
const functionType = 0x60

func (m *module) readTypes(r *reader, l *Limits) {
	r.each("types", 3, l.Functions, func() {
		if form := r.byte(); form != functionType && r.err == nil {
			r.fail("the type form %#x is not known to this agent", form)
		}
		s := signature{params: valueTypesOf(r, "parameters", l), results: valueTypesOf(r, "results", l)}
		m.types = append(m.types, s)
	})
}

func valueTypesOf(r *reader, what string, l *Limits) []byte {
	types := r.bytes(uint32(r.count(what, 1, l.Values)))
	for _, t := range types {
		if !valueType(t) {
			r.fail("the value type %#x is not known to this agent", t)
		}
	}
	return types
}

func valueTypeOf(r *reader) byte {
	t := r.byte()
	if !valueType(t) {
		r.fail("the value type %#x is not known to this agent", t)
	}
	return t
}

func refTypeOf(r *reader) byte {
	t := r.byte()
	if !isRefType(t) {
		r.fail("the reference type %#x is not known to this agent", t)
	}
	return t
}

// index reads an index below n.
func index(r *reader, what string, n int) uint32 {
	i := r.u32()
	if uint64(i) >= uint64(n) {
		r.fail("there is no %s %d", what, i)
	}
	return i
}

func (m *module) readImports(r *reader, l *Limits) {
	r.each("imports", 4, l.Entries, func() {
		i := imported{module: r.name(), name: r.name()}
		kind := r.byte()
		switch {
		case r.err != nil:
			return
		case kind != externFunction:
			r.fail("it imports %q.%q, which is no function", i.module, i.name)
		case i.module == Module && i.name == Name:
			r.fail("it imports %s.%s, which is the agent's own", Module, Name)
		}
		i.typ = index(r, "type", len(m.types))
		m.imports = append(m.imports, i)
	})
}

func (m *module) readGlobals(r *reader, l *Limits) {
	r.each("globals", 4, l.Entries, func() {
		g := globalVar{valueType: valueTypeOf(r), mutable: r.byte()}
		if g.mutable > 1 {
			r.fail("a global is neither mutable nor constant")
		}
		g.value = m.readConstant(r)
		m.globals = append(m.globals, g)
	})
}

func readLimits(r *reader) *limits {
	flag := r.byte()
	if flag > 1 {
		r.fail("the limits %#x are not known to this agent", flag)
	}
	l := &limits{min: r.u32(), hasMax: flag == 1}
	if l.hasMax {
		l.max = r.u32()
	}
	return l
}

// readTables reads the tables and caps what they may grow to, since no one else does.
func (m *module) readTables(r *reader, l *Limits) {
	first := *r
	share := uint32(l.TableElements / max(1, first.count("tables", 3, l.Tables)))
	r.each("tables", 3, l.Tables, func() {
		t := tableType{refType: refTypeOf(r)}
		t.limits = *readLimits(r)
		if t.min > share {
			r.fail("a table of %d elements is too large; at most %d are allowed in all tables", t.min, l.TableElements)
		}
		if !t.hasMax || t.max > share {
			t.max, t.hasMax = share, true
		}
		m.tables = append(m.tables, t)
	})
}

func (m *module) readExports(r *reader, l *Limits) {
	r.each("exports", 3, l.Entries, func() {
		e := exported{name: r.name(), kind: r.byte()}
		switch e.kind {
		case externFunction:
			e.index = index(r, "function", m.functionCount())
		case externTable:
			e.index = index(r, "table", len(m.tables))
		case externMemory:
			e.index = index(r, "memory", m.memoryCount())
		case externGlobal:
			e.index = index(r, "global", len(m.globals))
		default:
			r.fail("an export of the kind %d is not known to this agent", e.kind)
		}
		m.exports = append(m.exports, e)
	})
}

func (m *module) memoryCount() int {
	if m.memory == nil {
		return 0
	}
	return 1
}

// noLimits suit constants, in which nothing nests.
var noLimits Limits

// readConstant reads an expression of one constant.
func (m *module) readConstant(r *reader) instruction {
	b := m.constant.reset(*r, m.scope(0), &noLimits)
	var value, end instruction
	ok := b.read(&value) && b.read(&end)
	r.pos, r.err = b.r.pos, b.r.err
	if !ok {
		return value
	}
	switch value.op {
	case opI32Const, opI64Const, opF32Const, opF64Const, opV128Const, opGlobalGet, opRefNull, opRefFunc:
	default:
		r.fail("the instruction %v in a constant is not known to this agent", value.op)
	}
	if end.op != opEnd {
		r.fail("a constant of several instructions is not known to this agent")
	}
	return value
}

// readElements reads a segment of references. Of its first number, bit 0 says that it is not active, bit 1 that its table is named, or
// that it is declarative, and bit 2 that it holds expressions.
func (m *module) readElements(r *reader, l *Limits) elements {
	flags := r.u32()
	if flags > 7 {
		r.fail("an element segment of the kind %d is not known to this agent", flags)
	}
	e := elements{refType: funcRef}
	switch {
	case flags&1 == 0:
		if flags&2 != 0 {
			e.table = r.u32()
		}
		if int64(e.table) >= int64(len(m.tables)) {
			r.fail("there is no table %d", e.table)
		}
		e.offset = m.readConstant(r)
	case flags&2 == 0:
		e.mode = passive
	default:
		e.mode = declarative
	}
	e.inValues = flags&4 != 0
	if flags&3 != 0 {
		if e.inValues {
			e.refType = refTypeOf(r)
		} else if kind := r.byte(); kind != 0 {
			r.fail("the element kind %#x is not known to this agent", kind)
		}
	}
	r.each("elements in all segments", 1, l.TableElements-m.elementCount, func() {
		m.elementCount++
		if e.inValues {
			e.values = append(e.values, m.readConstant(r))
		} else {
			e.functions = append(e.functions, index(r, "function", m.functionCount()))
		}
	})
	return e
}

func (m *module) readData(r *reader) dataSegment {
	var d dataSegment
	switch flags := r.u32(); flags {
	case 1:
		d.mode = passive
	case 0, 2:
		if flags == 2 {
			index(r, "memory", m.memoryCount())
		}
		d.offset = m.readConstant(r)
	default:
		r.fail("a data segment of the kind %d is not known to this agent", flags)
	}
	d.bytes = r.bytes(r.u32())
	return d
}

func (m *module) readCodes(r *reader, l *Limits) {
	total := 0
	r.each("functions", 2, l.Functions, func() {
		size := r.u32()
		if int64(size) > int64(l.FunctionBytes) {
			r.fail("function %d: its code of %d bytes is too large, at most %d are allowed; split it", len(m.codes), size, l.FunctionBytes)
		}
		inner := &reader{data: r.bytes(size)}
		c := readCode(inner, l)
		if total += c.count; total > l.AllLocals {
			inner.fail("there are more than %d locals in all functions", l.AllLocals)
		}
		if inner.err != nil && r.err == nil {
			r.fail("function %d: %w", len(m.codes), inner.err)
		}
		m.codes = append(m.codes, c)
	})
}

func readCode(r *reader, l *Limits) code {
	var c code
	r.each("groups of locals", 2, l.Locals, func() {
		g := localGroup{count: r.u32(), valueType: valueTypeOf(r)}
		if int64(c.count)+int64(g.count) > int64(l.Locals) {
			r.fail("there are more than %d locals", l.Locals)
			return
		}
		c.count += int(g.count)
		c.slots += int(g.count) * slots([]byte{g.valueType})
		c.locals = append(c.locals, g)
	})
	c.body = r.bytes(uint32(r.left()))
	return c
}

// readCustom keeps the names of functions, which make a stack trace worth reading, and nothing else. What is wrong in a custom
// section is no error.
func (m *module) readCustom(r *reader, l *Limits) {
	if r.name() != "name" || m.names != nil {
		return
	}
	m.names = map[uint32]string{}
	for r.more() {
		id := r.byte()
		sub := &reader{data: r.bytes(r.u32())}
		if id != 1 || r.err != nil {
			continue
		}
		sub.each("names", 2, l.Functions, func() {
			function, name := sub.u32(), sub.name()
			if sub.err == nil && len(m.names) < l.Functions {
				m.names[function] = strings.ToValidUTF8(name[:min(len(name), 200)], "?")
			}
		})
	}
}
