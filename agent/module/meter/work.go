package meter

// The compiler behind us takes time by the square of the blocks that it makes of a function, more so where there are many variables,
// since each may have another value behind each branch: a function of 16 KB can keep it busy for seconds. So a function that would
// take too long is refused, by an estimate.
//
// Measured with wazero 1.12 on a busy core: 50 ns for each pair of blocks, as much again for each 80 variables, and a microsecond for
// each instruction, but four for a call.

// instructionWork and callWork are what an instruction takes to compile by itself, in pairs of blocks.
const (
	instructionWork = 20
	callWork        = 80
)

// blocksOf tells roughly how many blocks the compiler makes of an instruction, in hundredths.
func blocksOf(ins *instruction) int64 {
	switch form := formOf(ins.op); {
	case ins.op == opLoop:
		return 300
	case ins.op == opIf:
		return 200
	case ins.op == opBlock, ins.op == opBrIf:
		return 100
	case ins.op == opBrTable:
		return 20 * int64(len(ins.labels))
	case unitOf(ins.op) != noLength:
		return 250
	case ins.op == opCall, ins.op == opCallIndirect:
		return 30 // for the memory that the compiler takes: 2.5 KB for each call of a function
	case form == address, form == addressLane, form == table:
		return 20 // they check a bound
	}
	return 0
}

// work estimates what a function of so many locals and mutable globals takes to compile, in pairs of blocks.
func (p *plan) work(variables int) int64 {
	blocks := p.hundredths / 100
	return blocks*blocks*(80+int64(variables))/80 + instructionWork*int64(p.count) + (callWork-instructionWork)*int64(p.calls)
}
