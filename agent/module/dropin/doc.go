// Package dropin makes modules of the files in two folders, policies.d and drivers.d: NAME.wasm, each with an optional NAME.toml. A new,
// changed or removed file takes effect while the agent runs. What is new is compiled beside the old, validated, tried on a fixture and on
// the last snapshot of every runner that it is for, and then swapped between two decisions; a bad one leaves the old one working.
//
// A Manager owns the folders, the modules made of them and one Runner for each runner of the agent: its chain of policies, what these
// remember, and its history. One goroutine of the Manager watches and compiles; one for each module that observes asks it. What a
// module may do beyond computing comes from the operator as a Grant, never from the folders.
package dropin
