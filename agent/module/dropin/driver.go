package dropin

import (
	"context"
	"fmt"

	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Driver returns the driver of that name for one call, and what ends the call: until then the module stays loaded. ok is false when the
// folder has none, and never had one that is still in use.
func (m *Manager) Driver(name string) (mod *module.Module, release func(), ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	g := m.loaded[id{abi.KindDriver, name}]
	if g == nil {
		return nil, nil, false
	}
	g.users.Add(1)
	return g.module, g.users.Done, true
}

// Revive loads the last good generation of a driver whose file is no more, for the machines that it has left. One that is loaded is left
// as it is.
func (m *Manager) Revive(ctx context.Context, name string) error {
	key := id{abi.KindDriver, name}
	var err error
	if failed := m.do(ctx, func(loop context.Context) {
		if m.generation(key) != nil {
			return
		}
		if len(m.keep(key).numbers()) == 0 {
			err = fmt.Errorf("driver %s: its file is no more in %s, and no generation of it is kept", name, m.o.Drivers)
			return
		}
		if !m.fallBack(loop, key, &file{path: name + wasmSuffix}, 0) {
			err = fmt.Errorf("driver %s: its file is no more in %s, and no kept generation of it can be used", name, m.o.Drivers)
			return
		}
		m.mu.Lock()
		m.loaded[key].gone = true
		m.mu.Unlock()
	}); failed != nil {
		return failed
	}
	return err
}

// dropDrivers unloads the drivers without a file that nobody uses any more.
func (m *Manager) dropDrivers() {
	m.mu.Lock()
	var gone []id
	for key, g := range m.loaded {
		if g.gone {
			gone = append(gone, key)
		}
	}
	m.mu.Unlock()
	for _, key := range gone {
		if m.o.InUse == nil || !m.o.InUse(key.name) {
			m.takeOut(key)
		}
	}
}
