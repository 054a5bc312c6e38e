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

// The loops below stand twice on purpose: with the kernel's functions as arguments they take half as long again.

// Input returns the input of this call.
func Input() string {
	n, at := inputLength(), uint64(0)
	data := make([]byte, n)
	for ; at+8 <= n; at += 8 {
		*word(data, at) = inputLoad64(at)
	}
	for ; at < n; at++ {
		data[at] = byte(inputLoad8(at))
	}
	return text(data)
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
	n, at := length(offset), uint64(0)
	data := make([]byte, n)
	for ; at+8 <= n; at += 8 {
		*word(data, at) = load64(offset + at)
	}
	for ; at < n; at++ {
		data[at] = byte(load8(offset + at))
	}
	free(offset)
	return text(data)
}

// text is data, which nobody else has, as a string.
func text(data []byte) string { return unsafe.String(unsafe.SliceData(data), len(data)) }

// word is the eight bytes of data at at. Wasm is little-endian, as the kernel is, and asks for no alignment.
func word(data []byte, at uint64) *uint64 { return (*uint64)(unsafe.Pointer(&data[at])) }

// store copies data into a new block and returns its offset. A kernel that has no memory left ends the call, as any guest's want of
// memory does; the host shows the text.
func store(data []byte) uint64 {
	offset := alloc(uint64(len(data)))
	if offset == 0 && len(data) > 0 {
		panic("the kernel of Extism has no memory left for an output")
	}
	n, at := uint64(len(data)), uint64(0)
	for ; at+8 <= n; at += 8 {
		store64(offset+at, *word(data, at))
	}
	for ; at < n; at++ {
		store8(offset+at, uint32(data[at]))
	}
	return offset
}
