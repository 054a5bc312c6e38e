package moduletest

import (
	"context"
	"io/fs"
	"log/slog"
	"testing"
	"testing/fstest"

	"github.com/millwright-ci/millwright/agent/internal/guests"
	"github.com/millwright-ci/millwright/agent/module"
)

// Agent returns a host as the agent has it, with the built-in policies of this tree. It logs to logger and is closed with the test.
func Agent(t testing.TB, logger *slog.Logger) *module.Host {
	t.Helper()
	dist := fstest.MapFS{}
	for _, name := range module.BuiltinPolicies {
		dist["dist/"+name+guests.Suffix] = &fstest.MapFile{Data: guests.Packed(t, "policies/"+name)}
	}
	h, err := module.NewHost(module.Options{
		CacheDir: guests.CompilationCache(t), Builtins: []fs.FS{dist}, Logger: logger,
		Limits: module.Limits{DecideTime: patience, ObserveTime: patience, OtherTime: patience},
	})
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

// Guest compiles the guest in Go that lies in folder, a path from the root of the repository such as policies/periods.
func Guest(t testing.TB, folder string) []byte { return guests.Wasm(t, folder) }
