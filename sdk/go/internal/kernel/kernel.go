// Package kernel speaks to Extism's kernel, which carries the input and the output of a call: the functions of extism:host/env that every
// Extism PDK imports, and the host's own that move a block at once. It stands in for extism/go-pdk, which imports encoding/json, encoding/binary and reflect and
// would bring half a megabyte of them into each guest.
//
// On any other target than a guest's it is empty.
//
// Source: Extism's "runtime API" and its Go PDK, package internal/memory.
package kernel
