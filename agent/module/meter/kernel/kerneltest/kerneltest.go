// Package kerneltest lets guests that call block_read and block_write run on Extism's own kernel, to compare it with what stands in for it.
package kerneltest

import (
	"context"
	"slices"
	"strings"

	extism "github.com/extism/go-sdk"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Guest is the own memory of one guest.
type Guest struct{ data []byte }

// Memory returns the memory as it is now.
func (g *Guest) Memory() []byte { return g.data }

// With makes the guest that is instantiated under ctx take its memory from here. Extism makes that of its kernel first.
func (g *Guest) With(ctx context.Context) context.Context {
	return experimental.WithMemoryAllocator(ctx, experimental.MemoryAllocatorFunc(func(_, most uint64) experimental.LinearMemory {
		g.data = make([]byte, 0, most)
		return &linear{owner: g, data: g.data}
	}))
}

type linear struct {
	owner *Guest
	data  []byte
}

func (l *linear) Reallocate(size uint64) []byte {
	l.data = l.data[:size]
	l.owner.data = l.data
	return l.data
}

func (l *linear) Free() {}

// Replace returns functions with the two that move blocks of Extism's kernel in place of those that are there.
func (g *Guest) Replace(functions []extism.HostFunction) []extism.HostFunction {
	functions = slices.DeleteFunc(functions, func(f extism.HostFunction) bool { return strings.HasPrefix(f.Name, "block_") })
	return append(functions,
		g.function(abi.FuncBlockRead, func(block, own []byte) { copy(own, block) }),
		g.function(abi.FuncBlockWrite, func(block, own []byte) { copy(block, own) }))
}

func (g *Guest) function(name string, move func(block, own []byte)) extism.HostFunction {
	f := extism.NewHostFunctionWithStack(name, func(_ context.Context, p *extism.CurrentPlugin, stack []uint64) {
		block, _ := p.Memory().Read(uint32(stack[0]), uint32(stack[2]))
		move(block, g.data[uint32(stack[1]):][:uint32(stack[2])])
	}, []extism.ValueType{extism.ValueTypeI64, extism.ValueTypeI32, extism.ValueTypeI32}, nil)
	f.SetNamespace(abi.HostModule)
	return f
}
