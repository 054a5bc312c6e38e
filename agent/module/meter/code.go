package meter

// instruction is one instruction of a function's body. Which fields count depends on the form of its opcode.
type instruction struct {
	op     opcode
	at     int      // where it starts in the body, in bytes
	next   int      // where the next one starts
	a, b   uint32   // indexes, labels, alignment and offset
	value  int64    // of a constant, or what a block takes and leaves
	raw    []byte   // bytes that mean themselves: floating-point constants, vectors, types
	labels []uint32 // of br_table; valid until the next instruction is read
}

// scope bounds what a body may refer to. What the rewriting adds gets the indexes above, so a guest must not be able to name them.
type scope struct {
	types, functions, tables, globals, locals, elements, datas int
	hasMemory                                                  bool
}

// body reads the instructions of one function and checks what it reads as far as the rewriting depends on it: opcodes, indexes,
// labels and nesting. Types are the engine's to check.
type body struct {
	r      reader
	scope  scope
	limits *Limits
	kinds  []opcode // of the blocks that are open, the function itself first
	labels []uint32
}

// reset starts a body, in the room of the last one.
func (b *body) reset(r reader, s scope, l *Limits) *body {
	b.r, b.scope, b.limits, b.kinds = r, s, l, append(b.kinds[:0], opBlock)
	return b
}

// depth is how many blocks are open, beside the function itself. It is -1 after the function's end.
func (b *body) depth() int { return len(b.kinds) - 1 }

// read reads the next instruction. It returns false at the end of the body and after an error, which is then in r.err.
func (b *body) read(ins *instruction) bool {
	r := &b.r
	if r.err != nil || !r.more() {
		if r.err == nil && len(b.kinds) > 0 {
			r.fail("it ends before its last block does")
		}
		return false
	}
	*ins = instruction{at: r.pos}
	if len(b.kinds) == 0 {
		r.fail("it goes on after its end")
		return false
	}
	ins.op = opcode(r.byte())
	if ins.op == prefixMisc || ins.op == prefixVector {
		number := r.u32()
		if number > 0xff {
			r.fail("the instruction %#x %#x is not known to this agent", byte(ins.op), number)
			return false
		}
		ins.op = ins.op<<8 | opcode(number)
	}
	b.readImmediates(ins)
	b.nest(ins.op)
	ins.next = r.pos
	return r.err == nil
}

func (b *body) readImmediates(ins *instruction) {
	r, s := &b.r, &b.scope
	switch formOf(ins.op) {
	case plain:
	case blockType:
		ins.value = b.blockType()
	case label:
		ins.a = b.label()
	case labels:
		b.readLabels(ins)
	case function:
		ins.a = b.index("function", s.functions)
	case typeTable:
		ins.a, ins.b = b.index("type", s.types), b.index("table", s.tables)
	case local:
		ins.a = b.index("local", s.locals)
	case global:
		ins.a = b.index("global", s.globals)
	case table:
		ins.a = b.index("table", s.tables)
	case tableTable:
		ins.a, ins.b = b.index("table", s.tables), b.index("table", s.tables)
	case element:
		ins.a = b.index("element segment", s.elements)
	case elementTab:
		ins.a, ins.b = b.index("element segment", s.elements), b.index("table", s.tables)
	case data:
		ins.a = b.index("data segment", s.datas)
	case dataMemory:
		ins.a = b.index("data segment", s.datas)
		b.zero()
	case memory:
		b.zero()
	case memoryPair:
		b.zero()
		b.zero()
	case address:
		b.address(ins)
	case addressLane:
		b.address(ins)
		ins.raw = r.bytes(1)
	case lane:
		ins.raw = r.bytes(1)
	case sixteen:
		ins.raw = r.bytes(16)
	case number32:
		ins.value = r.signed(32)
	case number64:
		ins.value = r.signed(64)
	case float32Bits:
		ins.raw = r.bytes(4)
	case float64Bits:
		ins.raw = r.bytes(8)
	case valueTypes:
		if n := r.u32(); n != 1 {
			r.fail("a select of %d types is not known to this agent", n)
		}
		if ins.raw = r.bytes(1); r.err == nil && !valueType(ins.raw[0]) {
			r.fail("the value type %#x is not known to this agent", ins.raw[0])
		}
	case refType:
		if ins.raw = r.bytes(1); r.err == nil && !isRefType(ins.raw[0]) {
			r.fail("the reference type %#x is not known to this agent", ins.raw[0])
		}
	default:
		r.fail("the instruction %v is not known to this agent", ins.op)
	}
}

// nest follows the blocks.
func (b *body) nest(op opcode) {
	switch op {
	case opBlock, opLoop, opIf:
		if len(b.kinds) > b.limits.Nesting {
			b.r.fail("its blocks nest deeper than %d", b.limits.Nesting)
		}
		b.kinds = append(b.kinds, op)
	case opElse:
		if b.kinds[len(b.kinds)-1] != opIf {
			b.r.fail("an else belongs to no if")
		}
		b.kinds[len(b.kinds)-1] = opElse
	case opEnd:
		b.kinds = b.kinds[:len(b.kinds)-1]
	}
}

func (b *body) index(what string, n int) uint32 {
	i := b.r.u32()
	if uint64(i) >= uint64(n) {
		b.r.fail("there is no %s %d", what, i)
	}
	return i
}

// label reads a label: 0 is the innermost block, and the outermost the function itself.
func (b *body) label() uint32 { return b.index("label", len(b.kinds)) }

func (b *body) readLabels(ins *instruction) {
	n := b.r.count("labels", 1, b.limits.Labels)
	b.labels = b.labels[:0]
	for range n + 1 {
		b.labels = append(b.labels, b.label())
	}
	ins.labels = b.labels
}

// blockType reads what a block takes and leaves: a negative number is one of the one-byte types, any other the index of a type.
func (b *body) blockType() int64 {
	v := b.r.signed(33)
	switch {
	case v >= int64(b.scope.types):
		b.r.fail("there is no type %d", v)
	case v < -64 || v < 0 && v != -64 && !valueType(byte(v&0x7f)): // -64 is the empty type, 0x40
		b.r.fail("the block type %d is not known to this agent", v)
	}
	return v
}

func (b *body) zero() {
	if z := b.r.byte(); z != 0 && b.r.err == nil {
		b.r.fail("it names the memory %d; only one memory is known to this agent", z)
	}
	if !b.scope.hasMemory {
		b.r.fail("there is no memory")
	}
}

// address reads how a load or store is aligned, as a power of two, and the offset that is added to its operand.
func (b *body) address(ins *instruction) {
	if ins.a = b.r.u32(); ins.a > 4 {
		b.r.fail("the alignment 2^%d is not known to this agent", ins.a)
	}
	ins.b = b.r.u32()
	if !b.scope.hasMemory {
		b.r.fail("there is no memory")
	}
}

// appendOp appends an opcode.
func appendOp(out []byte, op opcode) []byte {
	if op > 0xff {
		return appendU32(append(out, byte(op>>8)), uint32(op&0xff))
	}
	return append(out, byte(op))
}

// appendInstruction appends an instruction in its shortest form.
func appendInstruction(out []byte, ins *instruction) []byte {
	out = appendOp(out, ins.op)
	switch formOf(ins.op) {
	case blockType, number32, number64:
		return appendSigned(out, ins.value)
	case label, function, local, global, table, element, data:
		return appendU32(out, ins.a)
	case typeTable, tableTable, elementTab, address:
		return appendU32(appendU32(out, ins.a), ins.b)
	case dataMemory:
		return append(appendU32(out, ins.a), 0)
	case memory:
		return append(out, 0)
	case memoryPair:
		return append(out, 0, 0)
	case addressLane:
		return append(appendU32(appendU32(out, ins.a), ins.b), ins.raw...)
	case labels:
		out = appendU32(out, uint32(len(ins.labels)-1))
		for _, l := range ins.labels {
			out = appendU32(out, l)
		}
		return out
	case valueTypes:
		return append(append(out, 1), ins.raw...)
	case lane, sixteen, float32Bits, float64Bits, refType:
		return append(out, ins.raw...)
	}
	return out
}
