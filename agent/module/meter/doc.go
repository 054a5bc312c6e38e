// Package meter makes WebAssembly pay for what it does. Compiled Wasm can't be preempted: a guest that loops keeps its thread, and
// with the next garbage collection the whole agent, for as long as it likes. So each module is rewritten before it is compiled: it
// counts down fuel as it goes, and where that has run out it calls the host, which looks at the deadline and the budget and hands out
// the next slice or ends the call. A slice lasts microseconds.
//
// Rewrite is the guest's side, Meter and Refill are the host's. What is paid for, and where, is told in plan.go and price.go.
//
// The rewriting is also the first reader of bytes from outside. It refuses what it does not know by name, checks every count and index
// before anyone makes room by it, and writes each number in its shortest form, so that the compiler behind it can't read another
// program than the one that was metered.
package meter
