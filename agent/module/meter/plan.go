package meter

// This file decides where a function pays, and how much.
//
// Its code falls into segments: stretches that run from their first instruction to their last, since nothing branches into or out of
// their middle. A segment starts at the function's entry, at the header of a loop, at the arms of an if, behind a conditional branch,
// and where a block ends that something branches to. Where a segment starts, the fuel sinks by the price of all of it. So whatever
// runs has been paid for, once for each time that it runs, and only a trap leaves something paid that has not run.
//
// The fuel is looked at where code can repeat, at entries and loop headers, but not at one that is followed by another before any call.
// Between two looks a guest runs the code of one function from top to bottom at most, and small functions that it calls.
//
// Paying ahead for small segments at the one that dominates them, to have fewer of these places, made nothing faster.

// smallLeaf is what a function that calls none may cost, at most, and not look at its entry. Another can call such a one 24,000 times
// between two looks (Limits.FunctionWork allows no more calls), which takes a millisecond.
const smallLeaf = 64

// point is the place where a segment is paid for.
type point struct {
	at    int // before the instruction that starts here
	cost  int64
	looks bool // whether the fuel is looked at
}

// plan is what the first pass over a body found.
type plan struct {
	points     []point // in the order of the code, the entry's first
	total      int64   // what they cost together
	count      int     // instructions
	calls      int     // of them, direct or not
	passes     int     // the most that a call passes there and back, in slots
	bulk       bool    // whether a length is paid for that is known only when the code runs
	refFuncs   []uint32
	hundredths int64 // of blocks that the compiler makes; see blocksOf
}

// planner walks over a body. In code that can't be reached there is no segment.
type planner struct {
	plan
	m    *module
	live bool
	now  point // of the segment that the walk is in
	open []openBlock

	callsBefore int // calls before the present segment
}

// openBlock is a block whose end has not come yet.
type openBlock struct {
	kind     opcode
	live     bool // whether its start can be reached
	targeted bool // whether something branches to its end
}

// makePlan reads a body to its end. When it can't, the error is in b.
func makePlan(m *module, b *body) *plan {
	p := &planner{m: m, open: make([]openBlock, 1, 16)}
	p.points, p.open[0] = make([]point, 0, 16), openBlock{kind: opBlock, live: true, targeted: true}
	p.begin(0, true, true)
	var ins instruction
	length := int64(-1) // what the instruction before leaves for this one, where that is a constant
	for b.read(&ins) {
		p.count++
		p.hundredths += blocksOf(&ins)
		p.step(&ins, length)
		length = constantLength(&ins)
	}
	if p.calls == 0 && p.total <= smallLeaf && len(p.points) > 0 {
		p.points[0].looks = false
	}
	return &p.plan
}

// step takes one instruction. Blocks cost nothing: there is nothing to do for them.
func (p *planner) step(ins *instruction, length int64) {
	switch ins.op {
	case opBlock:
		p.open = append(p.open, openBlock{kind: opBlock, live: p.live})
	case opLoop:
		p.open = append(p.open, openBlock{kind: opLoop, live: p.live})
		if p.calls == p.callsBefore {
			p.now.looks = false // the loop's header, which comes before anything can repeat, does
		}
		p.begin(ins.next, p.live, true)
	case opIf:
		p.now.cost++
		p.open = append(p.open, openBlock{kind: opIf, live: p.live, targeted: true})
		p.begin(ins.next, p.live, false)
	case opElse:
		p.begin(ins.next, p.open[len(p.open)-1].live, false)
	case opEnd:
		p.end(ins.next)
	case opBrIf:
		p.now.cost++
		p.target(ins.a)
		p.begin(ins.next, p.live, false)
	case opBr, opBrTable, opReturn, opUnreachable:
		p.now.cost++
		if ins.op == opBr {
			p.target(ins.a)
		}
		for _, l := range ins.labels {
			p.target(l)
		}
		p.begin(ins.next, false, false)
	default:
		p.now.cost += p.price(ins, length)
	}
}

// price returns what an instruction costs in its segment, and notes what the second pass needs to know.
func (p *planner) price(ins *instruction, length int64) int64 {
	switch ins.op {
	case opCall:
		p.call(p.m.signature(ins.a))
	case opCallIndirect:
		p.call(&p.m.types[ins.a])
	case opRefFunc:
		p.refFuncs = append(p.refFuncs, ins.a)
		return refFuncPrice
	case opNop:
		return 0
	}
	unit := unitOf(ins.op)
	if unit != noLength && isSmall(length, unit) {
		return 1 + lengthPrice(length, unit)
	}
	p.bulk = p.bulk || unit != noLength
	return 1
}

func (p *planner) call(s *signature) {
	p.calls++
	p.passes = max(p.passes, slots(s.params)+slots(s.results))
}

// begin ends the segment that the walk is in, and starts another if the code that follows can be reached.
func (p *planner) begin(at int, live, looks bool) {
	if p.live && (p.now.cost > 0 || p.now.looks || p.now.at == 0) {
		p.points = append(p.points, p.now)
		p.total += p.now.cost
	}
	p.live, p.now, p.callsBefore = live, point{at: at, looks: looks && live}, p.calls
}

// end closes a block. Behind one that nothing branches to, the segment goes on; a loop's end is no target at all.
func (p *planner) end(next int) {
	blk := p.open[len(p.open)-1]
	p.open = p.open[:len(p.open)-1]
	if blk.targeted {
		p.begin(next, blk.live && len(p.open) > 0, false)
	}
}

// target notes that something branches to a label. A branch to a loop leads to its header, which pays anyhow.
func (p *planner) target(label uint32) {
	if blk := &p.open[len(p.open)-1-int(label)]; blk.kind != opLoop {
		blk.targeted = true
	}
}
