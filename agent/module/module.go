package module

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	extism "github.com/extism/go-sdk"
	"github.com/tetratelabs/wazero"

	"github.com/millwright-ci/millwright/agent/module/configschema"
	"github.com/millwright-ci/millwright/agent/module/meter"
	"github.com/millwright-ci/millwright/agent/module/meter/kernel"
	"github.com/millwright-ci/millwright/hostfuncs"
	"github.com/millwright-ci/millwright/hostfuncs/httpsend"
	"github.com/millwright-ci/millwright/hostfuncs/logs"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// keepIdle is how many instances stay for later calls. An instance's memory never shrinks, so few do.
const keepIdle = 2

// Grants are the hostnames that a call may reach.
type Grants = httpsend.Grants

// ParseGrants reads patterns of granted hostnames; see httpsend.ParseGrants for their forms.
func ParseGrants(patterns []string) (Grants, error) { return httpsend.ParseGrants(patterns) }

// Module is a compiled module with its pool of instances. It is safe for concurrent use: calls at the same time run in instances of
// their own, as many as the limit allows.
type Module struct {
	host     *Host
	source   Source // without the bytes
	limits   Limits
	contents contents
	describe abi.Describe
	schema   *configschema.Schema // of its configuration; nil allows all
	hash     string
	logger   *slog.Logger
	compiled *extism.CompiledPlugin
	cache    wazero.CompilationCache // its own; see newCache
	native   []native                // what is to be put into a file; the host's alone after Load
	client   *httpsend.Client
	grants   Grants

	slots chan struct{}  // one element for each call under way
	calls sync.WaitGroup // of calls under way

	mu     sync.Mutex // guards idle and closed
	idle   []*instance
	closed bool
}

// Name is the name that the module goes by: its alias, else what its description says, or that of its source before it was asked.
func (m *Module) Name() string { return cmp.Or(m.source.Alias, m.describe.Name, m.source.Name) }

// Describe returns what the module says of itself.
func (m *Module) Describe() abi.Describe { return m.describe }

// Hash is the SHA-256 of the module's bytes, in hex.
func (m *Module) Hash() string { return m.hash }

// Builtin tells whether the module came with the binary.
func (m *Module) Builtin() bool { return m.source.Builtin }

// Grants returns what was granted to the module when it was loaded.
func (m *Module) Grants() Grants { return m.grants }

// Exports tells whether the module has an export of that name.
func (m *Module) Exports(name string) bool {
	_, ok := m.contents.functions[name]
	return ok
}

// Limits returns what bounds the module's calls.
func (m *Module) Limits() Limits { return m.limits }

// MemoryLimit is how large the memory of an instance may become, in bytes.
func (m *Module) MemoryLimit() int64 { return int64(m.limits.pages(m.describe.Kind)) << 16 }

// Usage is what a call took.
type Usage struct {
	// Fuel is what the export used, about one for each instruction; see package meter. The same call of an instance in the same state
	// uses the same.
	Fuel int64
	// Memory is the size of the guest's memory after the call, in bytes. It never shrinks.
	Memory int64
	Time   time.Duration
	// Requests is how often the guest called http_send, and Refused how often it got no answer.
	Requests, Refused int
}

// Call runs one export on input and returns its output, JSON that has not been looked into. It waits for a free instance, then as
// long as the export's deadline and its fuel allow, and less when ctx ends before.
//
// A failure inside the module is an *Error; the end of ctx is ctx's error, wrapped. After either the instance is gone and the next
// call gets a fresh one.
func (m *Module) Call(ctx context.Context, export string, input []byte) ([]byte, error) {
	out, _, err := m.Measure(ctx, export, input, m.grants)
	return out, err
}

// Measure is Call with other grants than those that the module was loaded with. It tells what the call took, a failed one too.
func (m *Module) Measure(ctx context.Context, export string, input []byte, grants Grants) (out []byte, u Usage, err error) {
	if !m.enter() {
		return nil, u, fmt.Errorf("%s: %s: %w", m.Name(), export, ErrClosed)
	}
	defer m.calls.Done()
	select {
	case m.slots <- struct{}{}:
		defer func() { <-m.slots }()
	case <-ctx.Done():
		return nil, u, fmt.Errorf("%s: %s: waiting for a free instance: %w", m.Name(), export, ctx.Err())
	}
	start := time.Now()
	fuel, call := &meter.Meter{Budget: m.limits.Fuel}, &hostfuncs.Call{}
	defer func() {
		u.Fuel, u.Time, u.Requests, u.Refused = fuel.Last(), time.Since(start), call.Requests, call.Refused
		m.host.counters.note(m.describe.Kind, m.Name(), export, u, err != nil)
	}()
	sink := logs.NewSink(m.logger)
	memory := kernel.New(input, int(m.limits.pages(m.describe.Kind))<<16, func(level, message string) {
		sink.Write(ctx, abi.LogRecord{Level: level, Message: message})
	})
	call.Log, call.Memory = sink, memory
	if asksTheWorld(export) {
		call.HTTP, call.Grants = m.client, grants
	}
	limited, cancel := context.WithTimeout(hostfuncs.WithCall(ctx, call), m.limits.time(export))
	defer cancel()

	inst, err := m.take(meter.With(limited, fuel))
	if err != nil {
		return nil, u, m.callError(ctx, limited, export, err, "")
	}
	out, err = inst.call(limited, export, fuel, memory)
	u.Memory = inst.memory.guest()
	if err = m.callError(ctx, limited, export, err, inst.stderr.String()); err == nil {
		err = m.checkOutput(export, out)
	}
	if err != nil {
		inst.close()
		return nil, u, err
	}
	m.give(inst)
	return out, u, nil
}

// asksTheWorld tells whether an export may use http_send.
func asksTheWorld(export string) bool {
	switch export {
	case abi.ExportObserve, abi.ExportCreate, abi.ExportList, abi.ExportRemove, abi.ExportCheck,
		abi.ExportStart, abi.ExportStop, abi.ExportRestart, abi.ExportKill, abi.ExportLogs,
		abi.ExportGroupInfo, abi.ExportIncrease, abi.ExportDecrease, abi.ExportConnectInfo, abi.ExportHeartbeat:
		return true
	}
	return false
}

// checkOutput refuses what can't be an answer. A guest that ended itself with success leaves no output either; only observe may
// have nothing to say.
func (m *Module) checkOutput(export string, out []byte) error {
	text := ""
	switch limit := m.limits.OutputBytes; {
	case len(out) > limit:
		text = fmt.Sprintf("returned %d bytes; at most %d are allowed", len(out), limit)
	case len(out) == 0 && export != abi.ExportObserve:
		text = "returned nothing, or ended itself"
	case len(out) > 0 && !json.Valid(out):
		text = fmt.Sprintf("returned no JSON but %.40q", out)
	default:
		return nil
	}
	return &Error{Module: m.Name(), Export: export, Cause: CauseOutput, Text: text}
}

// enter counts a call, unless the module is closed.
func (m *Module) enter() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return false
	}
	m.calls.Add(1)
	return true
}

// take returns an instance that is the caller's alone.
func (m *Module) take(ctx context.Context) (*instance, error) {
	m.mu.Lock()
	if n := len(m.idle); n > 0 {
		inst := m.idle[n-1]
		m.idle = m.idle[:n-1]
		m.mu.Unlock()
		return inst, nil
	}
	m.mu.Unlock()
	return newInstance(ctx, m.compiled)
}

// give keeps a healthy instance for the next call, or closes it when there are enough.
func (m *Module) give(inst *instance) {
	m.mu.Lock()
	if len(m.idle) < keepIdle && !m.closed {
		m.idle = append(m.idle, inst)
		inst = nil
	}
	m.mu.Unlock()
	if inst != nil {
		inst.close()
	}
}

// Renew closes the instances that wait for a call, so that the next one gets a fresh one.
func (m *Module) Renew() {
	m.mu.Lock()
	idle := m.idle
	m.idle = nil
	m.mu.Unlock()
	for _, inst := range idle {
		inst.close()
	}
}

// Close refuses further calls, waits until those under way have ended, each within its deadline, and frees the module. Closing it
// again does nothing.
func (m *Module) Close(ctx context.Context) error {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil
	}
	m.closed = true
	m.idle = nil // the runtime closes them
	m.mu.Unlock()

	m.calls.Wait()
	m.host.forget(m)
	m.client.Close()
	return errors.Join(m.compiled.Close(ctx), m.cache.Close(ctx))
}
