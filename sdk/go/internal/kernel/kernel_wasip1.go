package kernel

import "unsafe"

//go:wasmimport extism:host/env input_length
func inputLength() uint64

//go:wasmimport extism:host/env input_load_u64
func inputLoad64(offset uint64) uint64

//go:wasmimport extism:host/env input_load_u8
func inputLoad8(offset uint64) uint32

//go:wasmimport extism:host/env alloc
func alloc(length uint64) uint64

//go:wasmimport extism:host/env free
func free(offset uint64)

//go:wasmimport extism:host/env length
func length(offset uint64) uint64

//go:wasmimport extism:host/env load_u64
func load64(offset uint64) uint64

//go:wasmimport extism:host/env load_u8
func load8(offset uint64) uint32

//go:wasmimport extism:host/env store_u64
func store64(offset, value uint64)

//go:wasmimport extism:host/env store_u8
func store8(offset uint64, value uint32)

//go:wasmimport extism:host/env output_set
func outputSet(offset, length uint64)

//go:wasmimport extism:host/env error_set
func errorSet(offset uint64)

// Input returns the input of this call.
func Input() string {
	data := make([]byte, inputLength())
	whole := uint64(len(data)) &^ 7
	for at := uint64(0); at < whole; at += 8 {
		put(data[at:], inputLoad64(at))
	}
	for at := whole; at < uint64(len(data)); at++ {
		data[at] = byte(inputLoad8(at))
	}
	return unsafe.String(unsafe.SliceData(data), len(data)) // nobody else has it
}

// Output makes data the output of this call.
func Output(data []byte) {
	offset := store(data)
	outputSet(offset, uint64(len(data)))
}

// SetError makes text the error of this call, whose export must then return something else than 0.
func SetError(text string) { errorSet(store([]byte(text))) }

// Send hands data to a host function as a block of the kernel's memory, which is gone afterwards.
func Send(data []byte, call func(offset uint64)) {
	offset := store(data)
	call(offset)
	free(offset)
}

// Take returns the content of the block at offset, which a host function gave, and frees it. There is none at offset 0.
func Take(offset uint64) string {
	if offset == 0 {
		return ""
	}
	data := make([]byte, length(offset))
	whole := uint64(len(data)) &^ 7
	for at := uint64(0); at < whole; at += 8 {
		put(data[at:], load64(offset+at))
	}
	for at := whole; at < uint64(len(data)); at++ {
		data[at] = byte(load8(offset + at))
	}
	free(offset)
	return unsafe.String(unsafe.SliceData(data), len(data))
}

// store copies data into a new block and returns its offset. A kernel that has no memory left ends the call, as any guest's want of
// memory does; the host shows the text.
func store(data []byte) uint64 {
	offset := alloc(uint64(len(data)))
	if offset == 0 && len(data) > 0 {
		panic("the kernel of Extism has no memory left for an output")
	}
	whole := uint64(len(data)) &^ 7
	for at := uint64(0); at < whole; at += 8 {
		store64(offset+at, get(data[at:]))
	}
	for at := whole; at < uint64(len(data)); at++ {
		store8(offset+at, uint32(data[at]))
	}
	return offset
}

// get and put read and write eight bytes, the lowest first, as Wasm has them.

func get(b []byte) uint64 {
	_ = b[7]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 | uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}

func put(b []byte, v uint64) {
	_ = b[7]
	b[0], b[1], b[2], b[3] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
	b[4], b[5], b[6], b[7] = byte(v>>32), byte(v>>40), byte(v>>48), byte(v>>56)
}
