package module

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	extism "github.com/extism/go-sdk"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"

	"github.com/millwright-ci/millwright/agent/module/meter"
	"github.com/millwright-ci/millwright/agent/module/meter/kernel"
)

// instance is one running copy of a module. It must never be entered by two goroutines: its memory would be corrupted.
type instance struct {
	plugin *extism.Plugin
	stderr *head
	memory *memories

	guest   api.Module              // the plugin's, nil when Extism keeps it elsewhere
	exports map[string]api.Function // of guest, looked up once; nil until Extism has initialized it
}

// keepStack is how deep a call may have gone, in bytes by the meter's estimate, for its stack to stay for the next call.
const keepStack = 256 << 10

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
	inst.plugin, inst.guest = plugin, guestOf(plugin)
	return inst, nil
}

// guestOf finds the guest itself, which Extism tells nobody; should a newer one keep it elsewhere, nothing is found and all calls go through
// Extism.
func guestOf(plugin *extism.Plugin) api.Module {
	inner := reflect.ValueOf(plugin.Module()).Elem().FieldByName("inner")
	if !inner.IsValid() || inner.Type() != reflect.TypeFor[api.Module]() {
		return nil
	}
	guest, _ := reflect.NewAt(inner.Type(), inner.Addr().UnsafePointer()).Elem().Interface().(api.Module)
	return guest
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
	memory.Guest = i.memory.content
	rc, err := i.enter(kernel.With(meter.With(ctx, m), memory), export)
	if m.Deepest() > keepStack {
		clear(i.exports)
	}
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

// enter runs an export. Extism's own input and output are left out: they would go through its kernel, which nobody meters. Extism makes the
// first call, before which it initializes the guest. It looks up seven functions in each, most of its kernel, and each look-up makes a stack:
// that took half the time of a decision. So later calls go to the export itself, whose handle stays with the instance.
func (i *instance) enter(ctx context.Context, export string) (rc uint32, err error) {
	if i.exports == nil {
		rc, _, err = i.plugin.CallWithContext(ctx, export, nil)
		if i.guest == nil || err != nil {
			return rc, err
		}
		if i.guest.IsClosed() { // Extism takes an exit with 0 for success
			return rc, sys.NewExitError(0)
		}
		i.exports = map[string]api.Function{}
		return rc, nil
	}
	f := i.exports[export]
	if f == nil {
		if f = i.guest.ExportedFunction(export); f == nil {
			return 1, errors.New("unknown function: " + export)
		}
		i.exports[export] = f
	}
	stack := [1]uint64{} // for a result at most, see contents.check
	err = f.CallWithStack(context.WithValue(ctx, extism.PluginCtxKey("plugin"), i.plugin), stack[:])
	return uint32(stack[0]), err
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
