package module_test

import (
	"fmt"
	"net/netip"
	"slices"
)

// loopback is what is granted to guests that reach servers of this test.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}

const (
	opDrop       = 0x1a
	opPrefixFC   = 0xfc
	opMemoryFill = 0x0b // after the prefix
)

// fills is code that fills its memory again and again, without a loop of its own that an engine would look at: the loop's turns are
// few, and each is long.
func fills() []byte {
	grow := []byte{opI32Const, 0xff, 0x00, opMemoryGrow, 0, opDrop}
	fill := slices.Concat([]byte{opI32Const, 0, opI32Const, 1, opI32Const}, sleb(4<<20), []byte{opPrefixFC, opMemoryFill, 0})
	return slices.Concat(grow, []byte{opLoop, void}, slices.Repeat(fill, 200), []byte{opBr, 0, opEnd, opUnreachable})
}

// bomb is code of about n bytes, which does next to nothing.
func bomb(n int) []byte {
	one := []byte{opLocalGet, 0, opI64Const, 1, opI64Add, opLocalSet, 0}
	return slices.Concat(slices.Repeat(one, n/len(one)), []byte{opI32Const, 0})
}

// forged calls http_send with an offset where nothing is.
func forged() wasm {
	w := tiny(slices.Concat([]byte{opI64Const}, sleb(1<<40), []byte{opCall, firstOwn, opLocalSet, 0}, returns(`{}`)))
	w.imports = []string{"millwright", "http_send"}
	return w
}

// moves calls block_read or block_write with a block of 1 KB and an address and length of the guest's own memory, which has a page.
func moves(name string, address, length int64) wasm {
	block := slices.Concat([]byte{opI64Const}, sleb(1024), []byte{opCall, fnAlloc, opI32Const}, sleb(address), []byte{opI32Const}, sleb(length), []byte{opCall, firstOwn})
	w := tiny(slices.Concat(block, returns(`{}`)))
	w.imports, w.minPages = []string{"millwright", name}, 1
	return w
}

// crowd is a policy with n functions that nobody calls.
func crowd(n int) wasm {
	w := tiny(returns(`{}`))
	for i := range n {
		w.functions = append(w.functions, function{name: fmt.Sprint("f", i), code: []byte{opI32Const, 0}})
	}
	return w
}

// fickle describes itself as a policy the first time and as something else whenever it is asked again; it is asked once.
func fickle() wasm {
	second := returns(`{"abi":9,"kind":"driver","name":"other"}`)
	first := returns(describesItself)
	code := slices.Concat([]byte{opI32Const, 1, opMemoryGrow, 0, opI32Const, 0, opI32Eq, opIf, void}, first, []byte{opDrop, opEnd},
		[]byte{opI32Const, 0, opMemoryGrow, 0, opI32Const, 2, opI32Eq, opIf, void}, second, []byte{opDrop, opEnd, opI32Const, 0})
	w := tiny(returns(`{}`))
	w.functions[0].code = code
	return w
}
