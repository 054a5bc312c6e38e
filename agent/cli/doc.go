// Package cli is the command line: it parses flags, wires the parts of the agent together, and prints for people and as JSON. Logic
// belongs into the parts.
package cli
