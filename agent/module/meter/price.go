package meter

import "slices"

// One fuel pays for one instruction, whatever it does. What takes longer, as the length of its work or a call of the host does, pays
// more; the prices here hold the time that a slice lasts to about what 10,000 plain instructions take.

const (
	// refFuncPrice is for ref.func, which the engine does in the host.
	refFuncPrice = 50
	// smallPrice is what a length that is known beforehand may cost to be paid ahead, together with the instructions around it.
	smallPrice = 128
)

// lengthUnit says how the length of an instruction's work is counted.
type lengthUnit uint8

const (
	noLength      lengthUnit = iota
	inBytes                  // one fuel for each eight bytes
	inReferences             // one fuel for each element of a table, which takes eight bytes
	inPages                  // as inBytes, of 64 KB
	mostElements  = 1 << 28  // that are priced; no table is that long
	mostPages     = 1 << 16  // likewise; it is all that can be addressed
	fuelPerPage   = 1 << 13
	fuelByteShift = 3 // from bytes to fuel
)

// unitOf returns the unit of an instruction that works on a length. The length is the operand on top of the stack.
func unitOf(op opcode) lengthUnit {
	switch op {
	case opMemoryInit, opMemoryCopy, opMemoryFill:
		return inBytes
	case opTableInit, opTableCopy, opTableFill, opTableGrow:
		return inReferences
	case opMemoryGrow:
		return inPages
	}
	return noLength
}

// lengthPrice is the fuel for a length. It stays far below 1<<31.
func lengthPrice(length int64, unit lengthUnit) int64 {
	switch unit {
	case inBytes:
		return length >> fuelByteShift
	case inReferences:
		return min(length, mostElements)
	case inPages:
		return min(length, mostPages) * fuelPerPage
	}
	return 0
}

// constantLength returns the length that an instruction leaves for the next one, -1 when it is no constant.
func constantLength(ins *instruction) int64 {
	if ins.op == opI32Const {
		return int64(uint32(ins.value))
	}
	return -1
}

// isSmall tells whether a length is known and cheap enough to be paid ahead.
func isSmall(length int64, unit lengthUnit) bool {
	return length >= 0 && lengthPrice(length, unit) <= smallPrice
}

// frame estimates what a call of a function takes on the engine's stack, in bytes. own are the slots of its parameters, results and
// locals. The engine decides what it keeps in registers, so that this is neither its number nor a bound, but it grows as the worst
// case does: with the slots, with what is passed on, and, since most instructions leave one value, with the length of the code.
func (p *plan) frame(own int) int64 {
	return 64 + 8*int64(own+p.passes) + 2*int64(p.count)
}

// slots counts values, a vector twice, as it takes sixteen bytes.
func slots(types []byte) int {
	n := len(types)
	for _, t := range types {
		if t == typeV128 {
			n++
		}
	}
	return n
}

// entryPrice is for entering a function: its locals are set to zero and its frame is made.
func entryPrice(locals int, frame int64) int64 {
	return int64(locals)/8 + frame/256
}

// cheapPrice is for host functions that take about as long whatever they are asked.
const cheapPrice = 100

// cheap are those functions, by import module. Of Extism's they are the ones that package kernel does in the same time for each call.
var cheap = map[string][]string{
	"extism:host/env": {
		"config_get", "error_get", "error_set", "free", "get_log_level", "http_headers", "http_status_code", "input_length", "input_load_u64",
		"input_load_u8", "input_offset", "input_set", "length", "length_unsafe", "load_u64", "load_u8", "memory_bytes", "output_length",
		"output_offset", "output_set", "store_u64", "store_u8", "var_get",
	},
	"wasi_snapshot_preview1": {
		"args_sizes_get", "clock_res_get", "clock_time_get", "environ_sizes_get", "fd_close", "fd_fdstat_get", "fd_prestat_get", "proc_exit",
		"sched_yield",
	},
}

// hostPrice is what a call into the host costs where Options say nothing else: a whole slice, so that the host looks at its clock before
// each, since what such a call takes depends on lengths that only the host sees. Functions that are cheap cost what they take.
func hostPrice(module, name string) int64 {
	if slices.Contains(cheap[module], name) {
		return cheapPrice
	}
	return Slice
}
