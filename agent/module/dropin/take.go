package dropin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// take brings what is loaded up to date with a module's files, which have settled. A bad file leaves the present generation working;
// where there is none, the last good one of the state directory is loaded.
func (m *Manager) take(ctx context.Context, key id, f *file) {
	force, regrant := f.force, f.regrant
	f.force, f.regrant, f.handled = false, false, f.seen
	if f.seen == (pair{}) {
		m.takeOut(key)
		return
	}
	c, err := read(f.path, f.seen)
	if errors.Is(err, errUnsettled) {
		f.force = true // the next look sees what became of it
		return
	}
	if !f.seen.wasm.exists {
		f.hash = ""
		m.takeOut(key)
		m.alone(key, f, c, err)
		return
	}
	current := m.generation(key)
	if err == nil {
		hash := c.hash()
		if hash == f.hash && !force && !regrant {
			return // touched, and the same
		}
		f.hash = hash
		if a := m.keep(key).avoided(); a.Hash == hash {
			if m.fallBack(ctx, key, f, a.Use) {
				m.refuse(key, fmt.Errorf("rolled back to generation %d; the file is used again when it changes", a.Use))
				return
			}
		}
		m.keep(key).forgive()
		err = m.loadAs(ctx, key, f.path, c, 0)
	}
	switch {
	case err == nil:
		return
	case ctx.Err() != nil: // not the module's fault
		return
	}
	m.fail(ctx, key, f, c, err, current != nil && !regrant)
}

// fail decides what serves in the place of files that can't be used.
func (m *Manager) fail(ctx context.Context, key id, f *file, c content, err error, goesOn bool) {
	log := m.log.With("module", key.name, "kind", key.kind, "path", f.path, "error", err)
	if goesOn {
		m.refuse(key, err)
		log.Error("module refused", "consequence", "the one before goes on")
		return
	}
	if len(m.keep(key).numbers()) > 0 {
		log.Error("module refused", "consequence", "its last good generation is tried")
		if m.fallBack(ctx, key, f, 0) {
			m.refuse(key, err)
			return
		}
	}
	m.takeOut(key)
	m.refuse(key, err)
	if s, bad := m.settings(f.path, c); bad == nil && s.Required && key.kind == abi.KindPolicy {
		m.block(key, s)
		log.Error("module refused", "consequence", "no machine is created for its runners, since it is required")
		return
	}
	log.Error("module refused", "consequence", "it is not used")
}

// alone tells of settings without a module, as a removal by halves leaves them, or a deployment. A policy that is required is missed.
func (m *Manager) alone(key id, f *file, c content, err error) {
	if err == nil {
		err = errAlone{tomlOf(f.path)}
	}
	log := m.log.With("module", key.name, "kind", key.kind, "error", err)
	if s, bad := m.settings(f.path, c); bad == nil && s.Required && key.kind == abi.KindPolicy {
		m.refuse(key, err)
		m.block(key, s)
		log.Error("module missing", "consequence", "no machine is created for its runners, since it is required")
		return
	}
	log.Warn("module missing", "consequence", "nothing comes of its settings")
}

// block makes a required policy that can't be loaded stop its runners' growth.
func (m *Manager) block(key id, s Settings) {
	m.mu.Lock()
	m.blocked[key] = s
	m.mu.Unlock()
	m.swapAll()
}

// fallBack loads generation n of the state directory, or with 0 the newest that is good.
func (m *Manager) fallBack(ctx context.Context, key id, f *file, n int) bool {
	numbers := []int{n}
	if n == 0 {
		numbers = m.keep(key).numbers()
	}
	for _, n := range numbers {
		c, err := m.keep(key).load(n)
		if err == nil {
			err = m.loadAs(ctx, key, f.path, c, n)
		}
		if err == nil {
			return true
		}
		m.log.Error("kept generation refused", "module", key.name, "kind", key.kind, "generation", n, "error", err)
	}
	return false
}

// loadAs loads a content, tries it and puts it to work; n is the number of a kept generation, 0 for that of the files.
func (m *Manager) loadAs(ctx context.Context, key id, path string, c content, n int) error {
	start := time.Now()
	g, fresh, err := m.build(ctx, key, path, c)
	if err == nil {
		if err = m.try(ctx, g); err != nil && fresh {
			m.closeModule(g.module)
		}
	}
	if err != nil {
		return err
	}
	g.kept = n > 0
	if g.number = n; n == 0 && m.o.StateDir != "" {
		if g.number, err = m.keep(key).save(c); err != nil {
			m.log.Warn("module not kept for a rollback", "module", key.name, "error", err)
		}
	} else if n == 0 {
		g.number = 1
		if old := m.generation(key); old != nil {
			g.number = old.number + 1
		}
	}
	m.commit(g)
	d := g.module.Describe()
	m.log.Info("module loaded", "module", key.name, "kind", key.kind, "generation", g.number, "version", d.Version, "abi", d.ABI, "sha256", g.module.Hash(),
		"mode", mode(g), "took", time.Since(start).Round(time.Millisecond))
	return nil
}

func mode(g *generation) string {
	switch {
	case g.kept:
		return "kept generation"
	case g.settings.Shadow:
		return "shadow"
	}
	return "live"
}

// build makes a generation of a content. A module whose bytes and grants are those that are loaded already is not compiled again;
// otherwise fresh is true.
func (m *Manager) build(ctx context.Context, key id, path string, c content) (g *generation, fresh bool, err error) {
	g = &generation{id: key, hash: c.hash(), path: path, since: time.Now(), grant: m.grant(key.name)}
	if g.settings, err = m.settings(path, c); err != nil {
		return nil, false, err
	}
	sum := sha256.Sum256(c.wasm)
	hash := hex.EncodeToString(sum[:])
	if pin := g.settings.SHA256; pin != "" && !strings.EqualFold(pin, hash) {
		return nil, false, fmt.Errorf("%s: has the SHA-256 %s, and sha256 in %s pins %s", path, hash, filepath.Base(tomlOf(path)), strings.ToLower(pin))
	}
	if old := m.generation(key); old != nil && old.module.Hash() == hash && old.grant.equal(g.grant) {
		g.module = old.module
		return g, false, nil
	}
	g.module, err = m.o.Host.Load(ctx, module.Source{
		Name: filepath.Base(path), Alias: key.name, Wasm: c.wasm, Hostnames: g.grant.Hostnames, Private: g.grant.Private, Limits: g.grant.Limits,
		Credentials: g.grant.Credentials,
	})
	if err != nil {
		return nil, false, err
	}
	d := g.module.Describe()
	if d.Kind != key.kind {
		err = fmt.Errorf("module %s: is a %s; put it into the folder for those", filepath.Base(path), d.Kind)
	} else if missing := g.module.Grants().Missing(wanted(d.Hostnames, g.settings.Config)); len(missing) > 0 {
		err = fmt.Errorf("module %s: %w", filepath.Base(path),
			&GrantError{Name: key.name, Missing: missing, Path: m.o.GrantsPath, Granted: g.grant.Hostnames})
	}
	if err != nil {
		m.closeModule(g.module)
		return nil, false, err
	}
	return g, true, nil
}

// settings reads the NAME.toml of a content.
func (m *Manager) settings(path string, c content) (Settings, error) {
	switch {
	case !c.hasTOML:
		return Settings{}, nil
	case m.o.Settings == nil:
		return Settings{}, fmt.Errorf("%s: this agent reads no such file", tomlOf(path))
	}
	return m.o.Settings(tomlOf(path), c.toml)
}

// try holds a generation to its job before it gets it.
func (m *Manager) try(ctx context.Context, g *generation) error {
	if g.id.kind == abi.KindDriver {
		if m.o.Usable != nil {
			return m.o.Usable(g.module)
		}
		return nil
	}
	if _, err := module.ConfigZones(g.settings.Config); err != nil {
		return fmt.Errorf("%s: %w", tomlOf(g.path), err)
	}
	problems, err := module.Validate(ctx, g.module, g.settings.Config)
	if err != nil {
		return fmt.Errorf("module %s: %w", g.id.name, err)
	}
	var errs []error
	for _, p := range problems {
		if p.Warning {
			m.log.Warn("module configuration", "module", g.id.name, "option", p.Option, "problem", p.Message)
			continue
		}
		errs = append(errs, fmt.Errorf("%s: config: %s: %s", tomlOf(g.path), p.Option, p.Message))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := module.TryFixture(ctx, g.module, g.settings.Config); err != nil {
		return fmt.Errorf("tried on a fixture: %w", err)
	}
	for _, r := range m.allRunners() {
		if !g.settings.serves(r.name) {
			continue
		}
		if err := r.chain.Try(ctx, g.link()); err != nil {
			return fmt.Errorf("tried on the last snapshot of the runner %s: %w", r.name, err)
		}
	}
	return nil
}

// link is the generation as a part of a chain.
func (g *generation) link() module.Link {
	return module.Link{
		Name: g.id.name, Module: g.module, Position: g.settings.Position, Config: g.settings.Config,
		Required: g.settings.Required, Shadow: g.settings.Shadow,
	}
}

// commit puts a generation to work in the place of the one before, which is freed when its last call has ended.
func (m *Manager) commit(g *generation) {
	m.mu.Lock()
	old := m.loaded[g.id]
	m.loaded[g.id] = g
	delete(m.refused, g.id)
	delete(m.blocked, g.id)
	m.mu.Unlock()
	m.startObserving(g)
	m.retire(old, m.swapAll())
	m.tell(g.id)
}

// tell tells of a driver that changed.
func (m *Manager) tell(key id) {
	if key.kind == abi.KindDriver && m.o.DriverChanged != nil {
		m.o.DriverChanged(key.name)
	}
}

// takeOut takes a module out of service. A driver that is in use stays, without its file.
func (m *Manager) takeOut(key id) {
	m.mu.Lock()
	old := m.loaded[key]
	delete(m.refused, key)
	delete(m.blocked, key)
	m.mu.Unlock()
	if key.kind == abi.KindDriver && old != nil && m.o.InUse != nil && m.o.InUse(key.name) {
		m.mu.Lock()
		old.gone = true
		m.mu.Unlock()
		m.log.Warn("driver stays loaded until its last machine is gone and no runner asks for it", "module", key.name)
		return
	}
	m.mu.Lock()
	delete(m.loaded, key)
	m.mu.Unlock()
	idle := m.swapAll()
	if old != nil {
		m.log.Info("module taken out", "module", key.name, "kind", key.kind, "generation", old.number)
	}
	m.retire(old, idle)
	m.tell(key)
}

// retire frees a generation that was replaced, once nobody works with it.
func (m *Manager) retire(old *generation, idle []func()) {
	if old == nil {
		return
	}
	if old.stop != nil {
		old.stop()
	}
	m.mu.Lock()
	next := m.loaded[old.id]
	m.mu.Unlock()
	if next != nil && next.module == old.module {
		return
	}
	m.work.Go(func() {
		for _, wait := range idle {
			wait()
		}
		old.users.Wait()
		m.closeModule(old.module)
	})
}

func (m *Manager) generation(key id) *generation {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.loaded[key]
}

func (m *Manager) grant(name string) Grant {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.grants[name]
}

// refuse notes why a file as it is now is not used.
func (m *Manager) refuse(key id, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refused[key] = err.Error()
}

// keep is where a module's generations are kept.
func (m *Manager) keep(key id) keep {
	if m.o.StateDir == "" {
		return keep{}
	}
	folder := map[string]string{abi.KindPolicy: "policies", abi.KindDriver: "drivers"}[key.kind]
	return keep{filepath.Join(m.o.StateDir, "modules", folder, key.name)}
}
