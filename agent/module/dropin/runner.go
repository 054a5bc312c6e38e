package dropin

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/history"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// saveInterval is how often what the policies remember goes to disk, where it changed.
const saveInterval = 10 * time.Second

// Runner is one runner's chain of policies, which follows the folders, with what they remember and the runner's past. It is safe for
// concurrent use.
type Runner struct {
	m       *Manager
	key     string
	name    string
	builtin []module.Link // never changed
	chain   *module.Chain
	history *history.History
	dir     string            // "" keeps nothing
	saved   map[string]string // states as they lie on disk; the loop's, and Close's after it
}

// states is what a runner's file of states holds.
type states struct {
	Runner string            `json:"runner"` // its key
	States map[string]string `json:"states"` // by the policy's name
}

// Runner makes the chain of a runner: the built-in policies of its kind and what lies in the folder for it. key tells runners apart and names
// what is kept of one; name is what NAME.toml matches; instances is set for one with [runners.autoscaler]. Close ends it.
func (m *Manager) Runner(ctx context.Context, key, name string, instances bool) (*Runner, error) {
	builtin, err := m.o.Host.BuiltinLinks(ctx, module.PoliciesFor(instances)...)
	if err != nil {
		return nil, err
	}
	r := &Runner{m: m, key: key, name: name, builtin: builtin}
	if m.o.StateDir != "" {
		sum := sha256.Sum256([]byte(key))
		r.dir = filepath.Join(m.o.StateDir, "runners", hex.EncodeToString(sum[:8]))
		if err := os.MkdirAll(r.dir, 0o700); err != nil {
			return nil, err
		}
	}
	if r.history, err = history.Open(r.file("history"), time.Now()); err != nil {
		m.log.Warn("history begins anew and is not kept", "runner", name, "error", err)
	}
	if r.saved, err = r.load(); err != nil {
		m.log.Warn("policies remember nothing of earlier times", "runner", name, "error", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range builtin {
		m.builtin[l.Name] = l.Module
	}
	o := module.ChainOptions{Logger: m.log.With("runner", name), States: r.saved, Observed: m.observation, History: r.history.Sum}
	if r.chain, err = o.Chain(m.linksFor(r)...); err != nil {
		return nil, err
	}
	m.runners[r] = struct{}{}
	return r, nil
}

// file is a path in the runner's folder, "" where nothing is kept.
func (r *Runner) file(name string) string {
	if r.dir == "" {
		return ""
	}
	return filepath.Join(r.dir, name)
}

// Decide asks the chain, and takes note of the snapshot for the history.
func (r *Runner) Decide(ctx context.Context, s abi.Snapshot) fleet.Decision {
	if err := r.history.Note(time.UnixMilli(s.NowUnixMS), s.Demand, s.Fleet); err != nil {
		r.m.log.Warn("history not kept", "runner", r.name, "error", err)
	}
	return r.chain.Decide(ctx, s)
}

// WantMachines tells whether a policy of the chain reads the list of machines.
func (r *Runner) WantMachines() bool { return r.chain.WantMachines() }

// Records returns the last decisions, the oldest first.
func (r *Runner) Records() []module.Record { return r.chain.Records() }

// Name is the runner's name.
func (r *Runner) Name() string { return r.name }

// Close takes the runner out of service, waits for its decisions under way and saves what its policies remember.
func (r *Runner) Close() {
	r.m.mu.Lock()
	_, open := r.m.runners[r]
	delete(r.m.runners, r)
	r.m.mu.Unlock()
	if !open {
		return
	}
	if idle, err := r.chain.Swap(); err == nil {
		idle()
	}
	// The loop may be saving it; it is the one who writes.
	if r.m.do(context.Background(), func(context.Context) { r.save() }) != nil {
		r.m.work.Wait()
		r.save()
	}
}

// save writes the states where they changed. It is called on the loop, or after it.
func (r *Runner) save() {
	now := r.chain.States()
	if r.dir == "" || maps.Equal(now, r.saved) {
		return
	}
	data, err := json.Marshal(states{Runner: r.key, States: now})
	if err == nil {
		err = writeFile(r.file("states.json"), data)
	}
	if err != nil {
		r.m.log.Warn("what policies remember is not kept", "runner", r.name, "error", err)
		return
	}
	r.saved = now
}

// load reads what the policies remembered.
func (r *Runner) load() (map[string]string, error) {
	if r.dir == "" {
		return nil, nil
	}
	data, err := os.ReadFile(r.file("states.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var s states
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, err
	}
	return s.States, nil
}

// linksFor is the chain of a runner. A dropped-in policy with the name of a built-in one takes its place, unless it is in
// shadow. A required one that can't be loaded stands there as one that fails.
// One that replaces a built-in policy of the other kind of runner is not in it. Called with mu held.
func (m *Manager) linksFor(r *Runner) []module.Link {
	var links []module.Link
	replaced := map[string]bool{}
	place := map[string]int{}
	for _, l := range r.builtin {
		place[l.Name] = l.Module.Describe().Position
	}
	foreign := func(name string) bool {
		_, ours := place[name]
		return !ours && slices.Contains(module.BuiltinPolicies, name)
	}
	for key, g := range m.loaded {
		if key.kind != abi.KindPolicy || !g.settings.serves(r.name) || foreign(key.name) {
			continue
		}
		l := g.link()
		l.Position = cmp.Or(l.Position, g.module.Describe().Position, place[key.name])
		if _, builtin := place[key.name]; builtin && l.Shadow {
			l.Name += "-shadow"
		} else {
			replaced[key.name] = true
		}
		links = append(links, l)
	}
	for key, s := range m.blocked {
		if s.serves(r.name) && !foreign(key.name) {
			links = append(links, module.Link{Name: key.name, Position: cmp.Or(s.Position, place[key.name]), Required: true, Missing: m.refused[key]})
		}
	}
	for _, l := range r.builtin {
		if !replaced[l.Name] {
			links = append(links, l)
		}
	}
	slices.SortStableFunc(links, func(a, b module.Link) int { return cmp.Compare(a.Name, b.Name) }) // maps have no order
	return links
}

// swapAll gives every runner the chain that follows from what is loaded. What it returns wait for the decisions under way.
func (m *Manager) swapAll() []func() {
	m.mu.Lock()
	defer m.mu.Unlock()
	var idle []func()
	for r := range m.runners {
		wait, err := r.chain.Swap(m.linksFor(r)...)
		if err != nil { // a driver among them, which load refuses
			m.log.Error("policies stay as they are", "runner", r.name, "error", err)
			continue
		}
		idle = append(idle, wait)
	}
	return idle
}

// allRunners returns the runners, by name.
func (m *Manager) allRunners() []*Runner {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.SortedFunc(maps.Keys(m.runners), func(a, b *Runner) int { return cmp.Compare(a.key, b.key) })
}

// Runners returns the runners that have a chain, by key.
func (m *Manager) Runners() []*Runner { return m.allRunners() }
