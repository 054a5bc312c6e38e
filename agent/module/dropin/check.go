package dropin

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Check looks into the folders as Open does and puts nothing to work: it returns what keeps their modules from being used, and what else is wrong
// there. It takes as long as the modules' compilation.
func Check(ctx context.Context, o Options) []abi.Problem {
	o.StateDir, o.Log = "", slog.New(slog.DiscardHandler) // no kept generation stands in, and what is wrong is told once
	m := newManager(ctx, o)
	defer m.cancel()
	var found []abi.Problem
	for _, path := range slices.Sorted(maps.Keys(m.problems)) {
		found = append(found, abi.Problem{Message: m.problems[path]})
	}
	for _, key := range slices.SortedFunc(maps.Keys(m.files), compareIDs) {
		f := m.files[key]
		c, err := read(f.path, f.seen)
		if err == nil {
			err = m.check(ctx, key, f, c)
		}
		if err != nil {
			s, _ := m.settings(f.path, c)
			warning := errors.As(err, new(errAlone)) && !s.Required
			found = append(found, abi.Problem{Message: err.Error(), Warning: warning})
		}
	}
	return found
}

// check loads and tries a module, and lets it go.
func (m *Manager) check(ctx context.Context, key id, f *file, c content) error {
	if !f.seen.wasm.exists {
		if _, err := m.settings(f.path, c); err != nil {
			return err
		}
		return errAlone{tomlOf(f.path)}
	}
	g, _, err := m.build(ctx, key, f.path, c)
	if err != nil {
		return err
	}
	defer m.closeModule(g.module)
	return m.try(ctx, g)
}
