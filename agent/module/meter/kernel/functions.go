package kernel

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	extism "github.com/extism/go-sdk"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Guest is the module that Extism's PDKs import from. Namespace is where the functions of this package are, in its place.
const (
	Guest     = "extism:host/env"
	Namespace = "millwright:kernel"
)

// function is one of Extism's functions. Its arguments and its result are on the stack, as words; a panic in it becomes a trap.
type function struct {
	name    string
	params  []extism.ValueType
	results []extism.ValueType
	run     func(m *Memory, stack []uint64)
}

const (
	i32 = extism.ValueTypeI32
	i64 = extism.ValueTypeI64
)

func types(t ...extism.ValueType) []extism.ValueType { return t }

// table holds all functions of Extism. Of those that reach beyond the memory only logging is offered: a module has no variables, since
// its state goes through the proposal, no Extism configuration, and no HTTP but http_send.
var table = []function{
	{"alloc", types(i64), types(i64), func(m *Memory, s []uint64) { s[0] = m.alloc(s[0]) }},
	{"free", types(i64), nil, func(m *Memory, s []uint64) { m.release(s[0]) }},
	{"length", types(i64), types(i64), func(m *Memory, s []uint64) { s[0] = m.Length(s[0]) }},
	{"length_unsafe", types(i64), types(i64), func(m *Memory, s []uint64) { s[0] = m.Length(s[0]) }},
	{"memory_bytes", nil, types(i64), func(m *Memory, s []uint64) { s[0] = uint64(len(m.data)) }},
	{"reset", nil, nil, func(m *Memory, _ []uint64) { m.reset() }},

	{"load_u8", types(i64), types(i32), func(m *Memory, s []uint64) { s[0] = uint64(m.byteAt(s[0])) }},
	{"load_u64", types(i64), types(i64), func(m *Memory, s []uint64) { s[0] = m.load(s[0]) }},
	{"store_u8", types(i64, i32), nil, func(m *Memory, s []uint64) { m.storeByte(s[0], byte(s[1])) }},
	{"store_u64", types(i64, i64), nil, func(m *Memory, s []uint64) { m.store(s[0], s[1]) }},

	{"input_offset", nil, types(i64), func(m *Memory, s []uint64) { s[0] = m.input.offset }},
	{"input_length", nil, types(i64), func(m *Memory, s []uint64) { s[0] = m.input.length }},
	{"input_load_u8", types(i64), types(i32), func(m *Memory, s []uint64) { s[0] = uint64(m.inputByte(s[0])) }},
	{"input_load_u64", types(i64), types(i64), func(m *Memory, s []uint64) { s[0] = m.load(m.input.offset + s[0]) }},
	{"input_set", types(i64, i64), nil, func(m *Memory, s []uint64) { m.set(&m.input, s) }},
	{"output_offset", nil, types(i64), func(m *Memory, s []uint64) { s[0] = m.output.offset }},
	{"output_length", nil, types(i64), func(m *Memory, s []uint64) { s[0] = m.output.length }},
	{"output_set", types(i64, i64), nil, func(m *Memory, s []uint64) { m.set(&m.output, s) }},
	{"error_set", types(i64), nil, func(m *Memory, s []uint64) { m.failure = s[0] }},
	{"error_get", nil, types(i64), func(m *Memory, s []uint64) { s[0] = m.failure }},

	{"log_trace", types(i64), nil, logs("trace")},
	{"log_debug", types(i64), nil, logs("debug")},
	{"log_info", types(i64), nil, logs("info")},
	{"log_warn", types(i64), nil, logs("warn")},
	{"log_error", types(i64), nil, logs("error")},
	{"get_log_level", nil, types(i32), func(_ *Memory, s []uint64) { s[0] = uint64(extism.LogLevelInfo.ExtismCompat()) }},

	{"config_get", types(i64), types(i64), none},
	{"var_get", types(i64), types(i64), none},
	{"var_set", types(i64, i64), nil, refused("var_set: there are no variables here; keep state in the proposal")},
	{"http_request", types(i64, i64), types(i64), refused("http_request: Extism's own HTTP is not offered; use http_send")},
	{"http_status_code", nil, types(i32), none},
	{"http_headers", nil, types(i64), none},
}

// blocks are functions of our own beside Extism's, which moves eight bytes at a time: they move a block at once.
var blocks = []function{
	{abi.FuncBlockRead, types(i64, i32, i32), nil, func(m *Memory, s []uint64) { copy(m.window(s[1], s[2]), m.part(s[0], uint64(uint32(s[2])))) }},
	{abi.FuncBlockWrite, types(i64, i32, i32), nil, func(m *Memory, s []uint64) { copy(m.part(s[0], uint64(uint32(s[2]))), m.window(s[1], s[2])) }},
}

// Functions returns the host functions for Extism. They find their Memory in the context of the call.
func Functions() []extism.HostFunction {
	out := make([]extism.HostFunction, 0, len(table)+len(blocks))
	add := func(namespace string, functions []function) {
		for _, f := range functions {
			hf := extism.NewHostFunctionWithStack(f.name, f.call, f.params, f.results)
			hf.SetNamespace(namespace)
			out = append(out, hf)
		}
	}
	add(Namespace, table)
	add(abi.HostModule, blocks)
	return out
}

func (f function) call(ctx context.Context, _ *extism.CurrentPlugin, stack []uint64) {
	m := From(ctx)
	if m == nil {
		panic(errors.New(f.name + ": there is no memory outside of a call"))
	}
	f.run(m, stack)
}

// Offers tells whether there is a function of that name.
func Offers(name string) bool {
	for _, f := range table {
		if f.name == name {
			return true
		}
	}
	return false
}

func none(_ *Memory, stack []uint64) { stack[0] = 0 }

func refused(why string) func(*Memory, []uint64) {
	return func(*Memory, []uint64) { panic(errors.New(why)) }
}

// logs hands on what the guest logs, and frees its block as Extism does.
func logs(level string) func(*Memory, []uint64) {
	return func(m *Memory, stack []uint64) {
		if text, ok := m.Read(stack[0]); ok && m.log != nil {
			m.log(level, string(text))
		}
		m.release(stack[0])
	}
}

// part returns length bytes of the memory from offset on.
func (m *Memory) part(offset, length uint64) []byte {
	if !m.holds(span{offset, length}) {
		panic(fmt.Errorf("the %d bytes at %d are outside of the memory, which has %d", length, offset, len(m.data)))
	}
	return m.data[offset : offset+length]
}

// window returns length bytes of the guest's own memory from address on.
func (m *Memory) window(address, length uint64) []byte {
	var all []byte
	if m.Guest != nil {
		all = m.Guest()
	}
	if address, length = uint64(uint32(address)), uint64(uint32(length)); address+length > uint64(len(all)) {
		panic(fmt.Errorf("the %d bytes at %d are outside of the guest's memory, which has %d", length, address, len(all)))
	}
	return all[address : address+length]
}

func (m *Memory) load(offset uint64) uint64 {
	v, ok := m.word(offset)
	if !ok {
		panic(fmt.Errorf("load_u64: the eight bytes at %d are outside of the memory, which has %d", offset, len(m.data)))
	}
	return v
}

func (m *Memory) store(offset, value uint64) {
	if !m.holds(span{offset, 8}) {
		panic(fmt.Errorf("store_u64: the eight bytes at %d are outside of the memory, which has %d", offset, len(m.data)))
	}
	binary.LittleEndian.PutUint64(m.data[offset:], value)
}

func (m *Memory) storeByte(offset uint64, value byte) {
	if m.holds(span{offset, 1}) {
		m.data[offset] = value
	}
}

func (m *Memory) inputByte(offset uint64) byte {
	if offset >= m.input.length {
		return 0
	}
	return m.byteAt(m.input.offset + offset)
}

// set takes an offset and a length for the input or the output. As in Extism, what lies outside is not taken; nothing may lie at 0.
func (m *Memory) set(s *span, stack []uint64) {
	if to := (span{stack[0], stack[1]}); m.holds(to) {
		*s = to
	}
}
