package meter

// emitter writes the body of one function with its charges.
type emitter struct {
	w     *rewriter
	plan  *plan
	next  int // the next point of the plan
	temp  uint32
	frame int64 // 0 for a function that calls none and so needs no account of the stack
}

// frameShift is where the bytes of the stack stand in the global; the fuel stands below.
const frameShift = 32

// appendFunction appends the code of one function.
func (w *rewriter) appendFunction(out []byte, i int) ([]byte, error) {
	m, c := w.m, &w.m.codes[i]
	typ := &m.types[m.functions[i]]
	locals := len(typ.params) + c.count
	b := w.body.reset(reader{data: c.body}, m.scope(locals), &w.o.Limits)
	e := emitter{w: w, plan: makePlan(m, b), temp: uint32(locals)}
	if b.r.err != nil {
		return nil, b.r.err
	}
	if err := w.budget(e.plan, locals); err != nil {
		return nil, err
	}
	for _, f := range e.plan.refFuncs {
		w.refFuncs[f] = struct{}{}
	}
	if e.plan.calls > 0 {
		e.frame = e.plan.frame(c.slots + slots(typ.params) + slots(typ.results))
	}
	e.plan.points[0].cost += entryPrice(locals, e.frame)
	return appendSized(out, func(out []byte) []byte {
		out = appendLocals(out, c.locals, e.plan.bulk)
		if e.frame > 0 { // a block around everything, so that all ways out lead past its end
			out = appendSigned(appendOp(out, opBlock), w.blockOf(typ.results))
		}
		return e.appendBody(out, b.reset(reader{data: c.body}, m.scope(locals), &w.o.Limits))
	}), nil
}

// appendLocals appends the locals, and one more of type i32 where lengths must be kept aside.
func appendLocals(out []byte, groups []localGroup, temp bool) []byte {
	n := len(groups)
	if temp {
		n++
	}
	out = appendU32(out, uint32(n))
	for _, g := range groups {
		out = append(appendU32(out, g.count), g.valueType)
	}
	if temp {
		out = append(out, 1, typeI32)
	}
	return out
}

// appendBody is the second pass.
func (e *emitter) appendBody(out []byte, b *body) []byte {
	var ins instruction
	length := int64(-1)
	for b.read(&ins) {
		for e.next < len(e.plan.points) && e.plan.points[e.next].at == ins.at {
			out = e.appendPoint(out, &e.plan.points[e.next])
			e.next++
		}
		if unit := unitOf(ins.op); unit != noLength && !isSmall(length, unit) {
			out = e.appendLengthCharge(out, unit)
		}
		length = constantLength(&ins)
		switch {
		case ins.op == opCall || ins.op == opRefFunc:
			ins.a = e.w.callee(ins.a)
		case ins.op == opReturn && e.frame > 0:
			ins = instruction{op: opBr, a: uint32(b.depth())}
		case ins.op == opEnd && b.depth() < 0 && e.frame > 0:
			out = e.w.appendCharge(appendOp(out, opEnd), e.frame<<frameShift)
		}
		out = appendInstruction(out, &ins)
	}
	return out
}

func (e *emitter) appendPoint(out []byte, p *point) []byte {
	cost := p.cost
	if p.at == 0 {
		cost -= e.frame << frameShift
	}
	out = e.w.appendCharge(out, cost)
	if p.looks {
		out = e.w.appendLook(out)
	}
	return out
}

// appendLengthCharge charges for the length on top of the stack and leaves it there.
func (e *emitter) appendLengthCharge(out []byte, unit lengthUnit) []byte {
	most := map[lengthUnit]int64{inReferences: mostElements, inPages: mostPages}[unit]
	out = appendU32(appendOp(out, opLocalTee), e.temp)
	out = appendU32(appendOp(out, opGlobalGet), e.w.fuel)
	out = appendU32(appendOp(out, opLocalGet), e.temp)
	if most > 0 { // the smaller of the two
		out = appendSigned(appendOp(out, opI32Const), most)
		out = appendU32(appendOp(out, opLocalGet), e.temp)
		out = appendSigned(appendOp(out, opI32Const), most)
		out = appendOp(appendOp(out, opI32LtU), opSelect)
	}
	out = appendOp(out, opI64ExtendU)
	switch unit {
	case inBytes:
		out = appendOp(appendSigned(appendOp(out, opI64Const), fuelByteShift), opI64ShrU)
	case inPages:
		out = appendOp(appendSigned(appendOp(out, opI64Const), fuelPerPage), opI64Mul)
	}
	out = appendU32(appendOp(appendOp(out, opI64Sub), opGlobalSet), e.w.fuel)
	return e.w.appendLook(out)
}

// appendCharge lowers the global by cost.
func (w *rewriter) appendCharge(out []byte, cost int64) []byte {
	out = appendU32(appendOp(out, opGlobalGet), w.fuel)
	out = appendSigned(appendOp(out, opI64Const), cost)
	return appendU32(appendOp(appendOp(out, opI64Sub), opGlobalSet), w.fuel)
}

// appendLook asks for more fuel if it has sunk below zero.
func (w *rewriter) appendLook(out []byte) []byte {
	out = appendOp(appendU32(appendOp(out, opGlobalGet), w.fuel), opI32WrapI64)
	out = appendOp(append(appendOp(out, opI32Const), 0), opI32LtS)
	out = append(appendOp(out, opIf), emptyBlock)
	return appendOp(appendU32(appendOp(out, opCall), w.refill), opEnd)
}

// appendTell appends the call that tells the host what is left and sets what there is from now on.
func (w *rewriter) appendTell(out []byte, done byte) []byte {
	out = appendU32(appendOp(out, opGlobalGet), w.fuel)
	out = append(appendOp(out, opI32Const), done)
	out = appendU32(appendOp(out, opCall), w.host)
	return appendU32(appendOp(out, opGlobalSet), w.fuel)
}
