// Package module runs WebAssembly modules: it loads policies and drivers, calls their exports with a deadline, a memory cap and an
// output cap, and runs the policies of a runner as a chain that ends in one decision.
//
// A Host owns the compiler and its cache, a Module one compiled file and its pool of instances, a Chain the order of a runner's
// policies and what each of them remembers. A module has no authority of its own: what it may reach is granted to it by name, and
// whatever goes wrong inside is an Error here. An instance is entered by one goroutine at a time, and any error from a call ends it.
package module
