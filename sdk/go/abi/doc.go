// Package abi holds the shapes that cross the boundary between the agent (the host) and a module (the guest): the JSON payloads
// of hostfuncs/ABI.md, version 1.
//
// Both sides import it, and it imports nothing but a little of the standard library, so that a guest stays small. The host reads and
// writes the shapes with encoding/json, guests with their methods DecodeJSON and AppendJSON, which are generated: after a change of a
// struct, a tag or a comment run go generate in this folder, which also makes the JSON Schemas and the tables of ABI.md.
//
// Names on the wire carry their units (idle_time_s, deadline_ms, memory_bytes) and times are RFC 3339 with their zone. A field that is
// absent has its zero value; unknown fields are ignored, so that either side may be newer.
package abi
