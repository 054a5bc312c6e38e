package meter

import "fmt"

// opcode is an instruction's byte, or its prefix in the high byte and its number below: memory.fill is 0xfc0b.
type opcode uint16

// The instructions that the rewriting treats by name.
// Source: WebAssembly Core Specification 2.0, "Instructions" of the binary format.
const (
	opUnreachable  opcode = 0x00
	opNop          opcode = 0x01
	opBlock        opcode = 0x02
	opLoop         opcode = 0x03
	opIf           opcode = 0x04
	opElse         opcode = 0x05
	opEnd          opcode = 0x0b
	opBr           opcode = 0x0c
	opBrIf         opcode = 0x0d
	opBrTable      opcode = 0x0e
	opReturn       opcode = 0x0f
	opCall         opcode = 0x10
	opCallIndirect opcode = 0x11
	opSelect       opcode = 0x1b
	opLocalGet     opcode = 0x20
	opLocalTee     opcode = 0x22
	opGlobalGet    opcode = 0x23
	opGlobalSet    opcode = 0x24
	opMemoryGrow   opcode = 0x40
	opI32Const     opcode = 0x41
	opI64Const     opcode = 0x42
	opF32Const     opcode = 0x43
	opF64Const     opcode = 0x44
	opI32LtS       opcode = 0x48
	opI32LtU       opcode = 0x49
	opI64Sub       opcode = 0x7d
	opI64Mul       opcode = 0x7e
	opI64ShrU      opcode = 0x88
	opI32WrapI64   opcode = 0xa7
	opI64ExtendU   opcode = 0xad // i64.extend_i32_u
	opRefNull      opcode = 0xd0
	opRefFunc      opcode = 0xd2

	prefixMisc   = 0xfc
	prefixVector = 0xfd

	opMemoryInit opcode = 0xfc08
	opMemoryCopy opcode = 0xfc0a
	opMemoryFill opcode = 0xfc0b
	opTableInit  opcode = 0xfc0c
	opTableCopy  opcode = 0xfc0e
	opTableGrow  opcode = 0xfc0f
	opTableFill  opcode = 0xfc11
	opV128Const  opcode = 0xfd0c
)

func (o opcode) String() string {
	if o > 0xff {
		return fmt.Sprintf("%#x %#x", byte(o>>8), byte(o))
	}
	return fmt.Sprintf("%#x", byte(o))
}

// form is what follows an opcode. The zero form is that of bytes that are no instruction.
type form uint8

const (
	unknown     form = iota
	plain            // nothing
	blockType        // what a block takes and leaves
	label            // one label
	labels           // a vector of labels and one more
	function         // a function
	typeTable        // a type and a table
	local            // a local
	global           // a global
	table            // a table
	tableTable       // two tables
	element          // an element segment
	elementTab       // an element segment and a table
	data             // a data segment
	dataMemory       // a data segment and a reserved zero
	memory           // a reserved zero, where later versions name a memory
	memoryPair       // two of them
	address          // an alignment and an offset
	addressLane      // the same and a lane
	lane             // a lane
	sixteen          // sixteen bytes: a v128, or the lanes of a shuffle
	number32         // an i32
	number64         // an i64
	float32Bits      // four bytes
	float64Bits      // eight bytes
	valueTypes       // a vector of one value type
	refType          // a reference type
)

// forms holds the form of each instruction without a prefix.
var forms = spread([]span{
	{0x00, 0x01, plain}, {0x02, 0x04, blockType}, {0x05, 0x05, plain}, {0x0b, 0x0b, plain}, {0x0c, 0x0d, label}, {0x0e, 0x0e, labels},
	{0x0f, 0x0f, plain}, {0x10, 0x10, function}, {0x11, 0x11, typeTable}, {0x1a, 0x1b, plain}, {0x1c, 0x1c, valueTypes},
	{0x20, 0x22, local}, {0x23, 0x24, global}, {0x25, 0x26, table}, {0x28, 0x3e, address}, {0x3f, 0x40, memory},
	{0x41, 0x41, number32}, {0x42, 0x42, number64}, {0x43, 0x43, float32Bits}, {0x44, 0x44, float64Bits},
	{0x45, 0xc4, plain}, // comparisons, arithmetic, conversions, and from 0xc0 on sign extension
	{0xd0, 0xd0, refType}, {0xd1, 0xd1, plain}, {0xd2, 0xd2, function},
})

// miscForms holds the forms behind the prefix 0xfc: saturating truncation, bulk memory, tables.
var miscForms = spread([]span{
	{0, 7, plain}, {8, 8, dataMemory}, {9, 9, data}, {10, 10, memoryPair}, {11, 11, memory},
	{12, 12, elementTab}, {13, 13, element}, {14, 14, tableTable}, {15, 17, table},
})

// vectorForms holds the forms behind the prefix 0xfd. The holes are numbers that the specification leaves free.
var vectorForms = spread([]span{
	{0x00, 0x0b, address}, {0x0c, 0x0d, sixteen}, {0x0e, 0x14, plain}, {0x15, 0x22, lane}, {0x23, 0x53, plain},
	{0x54, 0x5b, addressLane}, {0x5c, 0x5d, address}, {0x5e, 0x99, plain}, {0x9b, 0xa1, plain}, {0xa3, 0xa4, plain},
	{0xa7, 0xae, plain}, {0xb1, 0xb1, plain}, {0xb5, 0xba, plain}, {0xbc, 0xc1, plain}, {0xc3, 0xc4, plain}, {0xc7, 0xce, plain},
	{0xd1, 0xd1, plain}, {0xd5, 0xe1, plain}, {0xe3, 0xed, plain}, {0xef, 0xff, plain},
})

// span gives one form to the opcodes from first to last.
type span struct {
	first, last byte
	form        form
}

func spread(spans []span) (table [256]form) {
	for _, s := range spans {
		for i := int(s.first); i <= int(s.last); i++ {
			table[i] = s.form
		}
	}
	return table
}

// formOf returns the form of an instruction, unknown for what is none.
func formOf(op opcode) form {
	switch op >> 8 {
	case 0:
		return forms[op]
	case prefixMisc:
		return miscForms[byte(op)]
	case prefixVector:
		return vectorForms[byte(op)]
	}
	return unknown
}

// valueType tells whether b encodes a type of value that this agent's engine knows: numbers, vectors, funcref and externref.
func valueType(b byte) bool { return b >= 0x7b && b <= 0x7f || isRefType(b) }

func isRefType(b byte) bool { return b == funcRef || b == 0x6f }
