package module

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
	"golang.org/x/sync/errgroup"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

const builtinSuffix = ".wasm.gz"

// pending is a built-in module that is loaded or being loaded; module and err are set before done is closed.
type pending struct {
	done   chan struct{}
	module *Module
	err    error
}

// Builtin returns the policy or driver of that name that came with the binary. It is loaded at first use, which takes a second the
// first time and some 50 ms from the cache, and shared from then on; it stays open until the host is closed. When the binary was
// built without modules, the error says so and how to mend it.
func (h *Host) Builtin(ctx context.Context, name string) (*Module, error) {
	h.mu.Lock()
	p, started := h.byName[name]
	if !started {
		p = &pending{done: make(chan struct{})}
		h.byName[name] = p
	}
	h.mu.Unlock()
	if started {
		select {
		case <-p.done:
			return p.module, p.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	p.module, p.err = h.loadBuiltin(ctx, name)
	if p.err != nil { // the next one tries again
		h.mu.Lock()
		delete(h.byName, name)
		h.mu.Unlock()
	}
	close(p.done)
	return p.module, p.err
}

// Preload loads several built-in modules side by side, for a short cold start. It returns the first error.
func (h *Host) Preload(ctx context.Context, names ...string) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, name := range names {
		group.Go(func() error {
			_, err := h.Builtin(ctx, name)
			return err
		})
	}
	return group.Wait()
}

// Builtins returns the names of the modules that came with the binary, sorted; none when it was built without. No policy bears the name of a
// driver.
func (h *Host) Builtins() []string {
	var names []string
	for _, dist := range h.builtins {
		matches, _ := fs.Glob(dist, "dist/*"+builtinSuffix) // the pattern is well formed
		for _, m := range matches {
			names = append(names, strings.TrimSuffix(strings.TrimPrefix(m, "dist/"), builtinSuffix))
		}
	}
	slices.Sort(names)
	return names
}

// BuiltinsOf returns those of a kind.
func (h *Host) BuiltinsOf(kind string) []string {
	return slices.DeleteFunc(h.Builtins(), func(name string) bool { return slices.Contains(BuiltinPolicies, name) != (kind == abi.KindPolicy) })
}

func (h *Host) loadBuiltin(ctx context.Context, name string) (*Module, error) {
	wasm, err := h.unpack(name)
	if err != nil {
		return nil, err
	}
	return h.Load(ctx, Source{Name: name, Wasm: wasm, Builtin: true})
}

// unpack returns the Wasm of a built-in module.
func (h *Host) unpack(name string) ([]byte, error) {
	for _, dist := range h.builtins {
		f, err := dist.Open("dist/" + name + builtinSuffix)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
			continue
		}
		if err != nil {
			return nil, err
		}
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			return nil, fmt.Errorf("built-in module %s: %w", name, err)
		}
		return io.ReadAll(z)
	}
	known := h.Builtins()
	if len(known) == 0 {
		return nil, fmt.Errorf("built-in module %s: this binary was built without its modules; "+
			"run `go tool task guests build` in the source tree and use the binary that it makes", name)
	}
	return nil, fmt.Errorf("there is no built-in module %s; there are %s", name, strings.Join(known, ", "))
}
