// Package moduletest runs guests as real Wasm in tests: it compiles a folder, loads it into a host and compares what the module
// returns with what the same code returns natively.
package moduletest

import (
	"bytes"
	"cmp"
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/internal/guests"
	"github.com/millwright-ci/millwright/agent/module"
)

// patience is the deadline of calls in tests, where limits names none: a busy machine is no failure.
const patience = time.Minute

// Host returns a host that is closed with the test. Its native code is kept between runs, and what modules log goes nowhere.
func Host(t testing.TB, limits module.Limits) *module.Host {
	t.Helper()
	return hostWith(t, limits, slog.New(slog.DiscardHandler))
}

func hostWith(t testing.TB, limits module.Limits, logger *slog.Logger) *module.Host {
	t.Helper()
	for _, d := range []*time.Duration{&limits.DecideTime, &limits.ObserveTime, &limits.DriverTime, &limits.OtherTime} {
		*d = cmp.Or(*d, patience)
	}
	h, err := module.NewHost(module.Options{CacheDir: guests.CompilationCache(t), Limits: limits, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(context.Background()); err != nil {
			t.Errorf("close the host: %v", err)
		}
	})
	return h
}

// Load compiles the guest in folder, a path from the root of the repository such as policies/periods, and loads it with the given
// hostnames granted.
func Load(t testing.TB, h *module.Host, folder string, hostnames ...string) *module.Module {
	t.Helper()
	m, err := h.Load(t.Context(), module.Source{Name: folder, Wasm: guests.Wasm(t, folder), Hostnames: hostnames})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Builtin loads the driver providers/NAME as the agent has it built in. What it logs goes to the default logger.
func Builtin(t testing.TB, name string) *module.Module {
	t.Helper()
	m, err := hostWith(t, module.Limits{}, slog.Default()).Load(t.Context(), module.Source{Name: name, Wasm: guests.Wasm(t, "providers/"+name), Builtin: true})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// SameBytes calls one export of m and native, which runs the same code as a part of the test (by policy.Call or driver.Call), on the
// same input, and reports when their outputs differ by a byte or only one of them fails. It returns the output.
func SameBytes(t testing.TB, m *module.Module, export string, input []byte, native func(export string, input []byte) ([]byte, error)) []byte {
	t.Helper()
	want, wantErr := native(export, input)
	got, gotErr := m.Call(t.Context(), export, input)
	if (wantErr == nil) != (gotErr == nil) {
		t.Errorf("%s: natively the error is %v, as Wasm it is %v", export, wantErr, gotErr)
	}
	if !bytes.Equal(want, got) {
		t.Errorf("%s:\nnatively %s\nas Wasm  %s", export, want, got)
	}
	return got
}
