package kernel

import "unsafe"

//go:wasmimport extism:host/env input_offset
func inputOffset() uint64

//go:wasmimport extism:host/env input_length
func inputLength() uint64

//go:wasmimport extism:host/env alloc
func alloc(length uint64) uint64

//go:wasmimport extism:host/env free
func free(offset uint64)

//go:wasmimport extism:host/env length
func length(offset uint64) uint64

//go:wasmimport extism:host/env output_set
func outputSet(offset, length uint64)

//go:wasmimport extism:host/env error_set
func errorSet(offset uint64)

// Extism's own functions move eight bytes at a time, which took a guest as long as all else that it does.

//go:wasmimport millwright block_read
func blockRead(offset uint64, to unsafe.Pointer, length uint32)

//go:wasmimport millwright block_write
func blockWrite(offset uint64, from unsafe.Pointer, length uint32)

// Input returns the input of this call.
func Input() string { return read(inputOffset(), inputLength()) }

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
	text := read(offset, length(offset))
	free(offset)
	return text
}

// read returns n bytes of the kernel's memory as a string that nobody else has.
func read(offset, n uint64) string {
	if n == 0 {
		return ""
	}
	data := make([]byte, n)
	blockRead(offset, unsafe.Pointer(unsafe.SliceData(data)), uint32(n))
	return unsafe.String(unsafe.SliceData(data), n)
}

// store copies data into a new block and returns its offset, 0 when there is nothing to copy. A kernel that has no memory left ends the
// call, as any guest's want of memory does; the host shows the text.
func store(data []byte) uint64 {
	if len(data) == 0 {
		return 0
	}
	offset := alloc(uint64(len(data)))
	if offset == 0 {
		panic("the kernel of Extism has no memory left for an output")
	}
	blockWrite(offset, unsafe.Pointer(unsafe.SliceData(data)), uint32(len(data)))
	return offset
}
