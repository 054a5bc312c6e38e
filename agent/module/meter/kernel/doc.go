// Package kernel is what a guest built with an Extism PDK talks to: blocks of memory for its input, its output and whatever it hands to
// host functions.
//
// Extism has that in a Wasm module of its own, which keeps its accounts in the memory that guests may write. A guest of twelve
// instructions can bend a block so that it follows itself, and the kernel then walks round for ever, inside the guest's call or after
// it, where nobody counts fuel. Here the accounts lie in the host, out of reach, and each function takes the same short time whatever
// was done before. meter.Options.Rename leads a guest's imports here.
//
// Source: the kernel of Extism 1.7 (kernel/src/lib.rs) and the host functions of extism/go-sdk 1.7.1 (host.go).
package kernel
