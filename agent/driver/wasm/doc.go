// Package wasm is a driver.Driver over a WebAssembly module: it carries requests and answers over the boundary, grants the module
// what its description asks for, holds its answers to the ABI, and reads MachineOptions by what the description says of them.
package wasm
