package module

import (
	"context"
	"errors"
	"fmt"

	extism "github.com/extism/go-sdk"
	"github.com/tetratelabs/wazero"

	"github.com/millwright-ci/millwright/hostfuncs/logs"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// instance is one running copy of a module. It must never be entered by two goroutines: its memory would be corrupted.
type instance struct {
	plugin *extism.Plugin
	stderr *head
}

// newInstance starts an instance. Its start function, if it has one, runs here, under the deadline of ctx.
func newInstance(ctx context.Context, compiled *extism.CompiledPlugin) (*instance, error) {
	inst := &instance{stderr: new(head)}
	// wazero's defaults hold: a clock that stands still, randomness that repeats, no files, no environment, no sleep.
	config := wazero.NewModuleConfig().WithStderr(inst.stderr)
	plugin, err := compiled.Instance(ctx, extism.PluginInstanceConfig{ModuleConfig: config})
	if err != nil {
		return nil, err
	}
	inst.plugin = plugin
	return inst, nil
}

// call runs one export. A guest that returns anything but 0 failed. A panic of the libraries below, which run on the guest's bytes,
// is the guest's failure too.
func (i *instance) call(ctx context.Context, export string, input []byte, sink *logs.Sink) (out []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("wasm error: the host could not go on: %v", r)
		}
	}()
	i.stderr.reset()
	i.plugin.SetLogger(func(level extism.LogLevel, message string) { relay(ctx, sink, level, message) })
	rc, out, err := i.plugin.CallWithContext(ctx, export, input)
	switch {
	case err != nil:
		return nil, err
	case ctx.Err() != nil: // a late answer is none
		return nil, ctx.Err()
	case rc != 0:
		return nil, errors.New("the guest returned " + fmt.Sprint(rc) + " without saying why")
	}
	return out, nil
}

// relay takes what a guest logs through Extism's own functions.
func relay(ctx context.Context, sink *logs.Sink, level extism.LogLevel, message string) {
	names := map[extism.LogLevel]string{extism.LogLevelInfo: "info", extism.LogLevelWarn: "warn", extism.LogLevelError: "error"}
	name, ok := names[level]
	if !ok {
		name = "debug"
	}
	sink.Write(ctx, abi.LogRecord{Level: name, Message: message})
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
