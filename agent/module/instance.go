package module

import (
	"context"
	"errors"
	"fmt"

	extism "github.com/extism/go-sdk"
	"github.com/tetratelabs/wazero"

	"github.com/millwright-ci/millwright/agent/module/meter"
	"github.com/millwright-ci/millwright/agent/module/meter/kernel"
)

// instance is one running copy of a module. It must never be entered by two goroutines: its memory would be corrupted.
type instance struct {
	plugin *extism.Plugin
	stderr *head
	memory *memories
}

// newInstance starts an instance. Its start function, if it has one, runs here, under the deadline and on the meter of ctx.
func newInstance(ctx context.Context, compiled *extism.CompiledPlugin) (*instance, error) {
	inst := &instance{stderr: new(head), memory: new(memories)}
	// wazero's defaults hold: a clock that stands still, randomness that repeats, no files, no environment, no sleep.
	config := wazero.NewModuleConfig().WithStderr(inst.stderr)
	// Extism calls no host function without a plugin in the context, and has none before the start function has run. The meter looks at none.
	ctx = context.WithValue(ctx, extism.PluginCtxKey("plugin"), &extism.Plugin{})
	plugin, err := compiled.Instance(inst.memory.with(ctx), extism.PluginInstanceConfig{ModuleConfig: config})
	if err != nil {
		return nil, err
	}
	inst.plugin = plugin
	return inst, nil
}

// call runs one export on what memory holds as its input and returns what it leaves there as its output. A guest that returns anything
// but 0 failed. A panic of the libraries below, which run on the guest's bytes, is the guest's failure too.
func (i *instance) call(ctx context.Context, export string, m *meter.Meter, memory *kernel.Memory) (out []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("wasm error: the host could not go on: %v", r)
		}
	}()
	i.stderr.reset()
	// Extism's own input and output are left out: they would go through its kernel, which nobody meters.
	rc, _, err := i.plugin.CallWithContext(kernel.With(meter.With(ctx, m), memory), export, nil)
	switch {
	case err != nil:
		return nil, err
	case ctx.Err() != nil: // a late answer is none
		return nil, ctx.Err()
	case memory.Failure() != "":
		return nil, errors.New(memory.Failure())
	case rc != 0:
		return nil, fmt.Errorf("the guest returned %d without saying why", rc)
	}
	out, _ = memory.Output()
	return out, nil
}

// close ends the instance. What may go wrong in that is of no consequence: nobody enters it again.
func (i *instance) close() { _ = i.plugin.CloseWithContext(context.Background()) }

// head keeps the first 4 KB that are written to it: a Go panic starts with its text.
type head struct{ data []byte }

func (h *head) Write(p []byte) (int, error) {
	h.data = append(h.data, p[:min(len(p), 4<<10-len(h.data))]...)
	return len(p), nil
}

func (h *head) String() string { return string(h.data) }

func (h *head) reset() { h.data = h.data[:0] }
