package dropin

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// defaultInterval is how often the folders are looked at. A file counts when it stayed as it is for one interval, so that a change
// takes effect in two of them and its compilation.
const defaultInterval = 500 * time.Millisecond

// Options are what a Manager needs. Host is required.
type Options struct {
	Host     *module.Host
	Policies string // folders; "" watches none
	Drivers  string
	// StateDir is where the last good generations, the policies' states and the history are kept, in folders of their own; "" keeps
	// nothing.
	StateDir string
	// GrantsPath is the operator's file: it is watched, and named in messages.
	GrantsPath string
	// Grants reads what is granted, by the modules' names; nil grants nothing. An error leaves the grants as they are.
	Grants func() (map[string]Grant, error)
	// Settings reads a NAME.toml; nil refuses such files.
	Settings func(path string, data []byte) (Settings, error)
	// Usable tells whether a driver can be used; nil takes all.
	Usable func(*module.Module) error
	// InUse tells whether a driver has machines, or a runner that asks for it: then it stays loaded without its file. nil: none is.
	InUse func(driver string) bool
	// DriverChanged is told that a driver came, was replaced or was taken out; nil: nobody is. It must not block.
	DriverChanged func(driver string)

	Log      *slog.Logger
	Interval time.Duration // default 500 ms
}

// Manager keeps the modules of the two folders. Its methods are safe for concurrent use.
type Manager struct {
	o        Options
	log      *slog.Logger
	commands chan func(context.Context)
	ctx      context.Context // of all that the manager runs
	cancel   context.CancelFunc
	work     sync.WaitGroup // the loop, what closes old modules, and what observes

	// What follows belongs to the loop, and to Open before it.
	files     map[id]*file
	grantsNow stamp // as they were read
	grantsWas stamp // as they were seen last
	problems  map[string]string
	savedAt   time.Time

	mu       sync.Mutex                // guards what follows
	builtin  map[string]*module.Module // the built-in policies that runners have
	loaded   map[id]*generation
	refused  map[id]string   // why a file as it is now is not used
	blocked  map[id]Settings // required policies that can't be loaded
	grants   map[string]Grant
	runners  map[*Runner]struct{}
	observed map[string]observation
}

// id names a module: a policy and a driver may bear one name.
type id struct{ kind, name string }

// file is what the loop knows of a module's files.
type file struct {
	path    string
	seen    pair   // at the last look
	handled pair   // as they were when they were read
	hash    string // of what was read then
	force   bool   // read them again though they are the same
	regrant bool   // what is granted to the module changed
}

// generation is one module as it was loaded. It is never changed but for users and gone.
type generation struct {
	id       id
	number   int
	module   *module.Module
	settings Settings
	grant    Grant
	hash     string // of its content
	path     string
	kept     bool // it comes from the state directory, not from the file
	since    time.Time
	stop     context.CancelFunc // of what observes
	users    sync.WaitGroup     // calls of a driver
	gone     bool               // a driver whose file is no more; guarded by the manager's mu
}

// Open loads what lies in the folders and begins to watch them. A module that can't be used is reported, not an error: its last good
// generation serves instead, where there is one. Close ends it.
func Open(ctx context.Context, o Options) (*Manager, error) {
	m := newManager(ctx, o)
	for key, f := range m.files { // at the start nobody waits for files to settle
		m.take(m.ctx, key, f)
	}
	m.work.Go(m.loop)
	return m, nil
}

// newManager returns a manager that has looked into the folders, and has taken nothing of what it saw.
func newManager(ctx context.Context, o Options) *Manager {
	o.Interval = cmp.Or(o.Interval, defaultInterval)
	if o.Log == nil {
		o.Log = slog.Default()
	}
	m := &Manager{
		o: o, log: o.Log, commands: make(chan func(context.Context)), files: map[id]*file{}, problems: map[string]string{},
		loaded: map[id]*generation{}, refused: map[id]string{}, blocked: map[id]Settings{}, grants: map[string]Grant{},
		builtin: map[string]*module.Module{}, runners: map[*Runner]struct{}{}, observed: map[string]observation{},
	}
	m.ctx, m.cancel = context.WithCancel(context.WithoutCancel(ctx))
	m.grantsNow = stampOf(o.GrantsPath)
	m.grantsWas = m.grantsNow
	m.readGrants()
	m.look()
	return m
}

// Close ends the watching, saves what the policies remember and unloads the modules. The runners must be closed before.
func (m *Manager) Close() {
	m.cancel()
	m.work.Wait()
	m.mu.Lock()
	loaded := slices.Collect(maps.Values(m.loaded))
	m.loaded = map[id]*generation{}
	m.mu.Unlock()
	for _, g := range loaded {
		g.users.Wait()
		m.closeModule(g.module)
	}
}

// loop is the manager's goroutine: it watches, and it is the one that compiles.
func (m *Manager) loop() {
	tick := time.NewTicker(m.o.Interval)
	defer tick.Stop()
	for {
		select {
		case <-m.ctx.Done():
			return
		case do := <-m.commands:
			do(m.ctx)
		case <-tick.C:
			m.step()
		}
	}
}

// step looks at the folders and takes in what has changed and settled.
func (m *Manager) step() {
	m.lookAtGrants()
	settled := m.look()
	for _, key := range settled {
		if m.ctx.Err() != nil {
			return
		}
		f := m.files[key]
		m.take(m.ctx, key, f)
		if f.seen == (pair{}) {
			delete(m.files, key)
		}
	}
	m.dropDrivers()
	if time.Since(m.savedAt) > saveInterval {
		m.savedAt = time.Now()
		for _, r := range m.allRunners() {
			r.save()
		}
	}
}

// look notes the files as they are now and returns those that changed since they were read and have settled.
func (m *Manager) look() []id {
	var settled []id
	for kind, dir := range map[string]string{abi.KindPolicy: m.o.Policies, abi.KindDriver: m.o.Drivers} {
		found, odd, err := scan(dir)
		m.report(dir, err)
		if err != nil {
			continue // what is loaded stays
		}
		for path := range m.problems {
			if name := filepath.Base(path); filepath.Dir(path) == dir && odd[name] == nil {
				m.report(path, nil)
			}
		}
		for name, err := range odd {
			m.report(filepath.Join(dir, name), err)
		}
		for name := range found {
			if key := (id{kind, name}); m.files[key] == nil {
				m.files[key] = &file{path: filepath.Join(dir, name+wasmSuffix)}
			}
		}
		for key, f := range m.files {
			if key.kind != kind {
				continue
			}
			now := found[key.name]
			if now == f.seen && (now != f.handled || f.force || f.regrant) {
				settled = append(settled, key)
			}
			f.seen = now
		}
	}
	slices.SortFunc(settled, compareIDs)
	return settled
}

func compareIDs(a, b id) int { return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.name, b.name)) }

// report logs what is wrong with a folder, or with a file that is no module, once each time it changes.
func (m *Manager) report(path string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if m.problems[path] == text {
		return
	}
	m.mu.Lock()
	m.problems[path] = text
	m.mu.Unlock()
	if err != nil {
		m.log.Error("modules ignored", "path", path, "error", err, "consequence", "what is loaded stays as it is")
	}
}

// lookAtGrants reads the operator's file again when it changed and settled.
func (m *Manager) lookAtGrants() {
	now := stampOf(m.o.GrantsPath)
	settled := now == m.grantsWas
	m.grantsWas = now
	if settled && now != m.grantsNow {
		m.grantsNow = now
		m.readGrants()
	}
}

// readGrants takes what is granted now; modules whose grants changed are loaded again.
func (m *Manager) readGrants() {
	if m.o.Grants == nil {
		return
	}
	grants, err := m.o.Grants()
	if err != nil {
		m.log.Error("grants ignored", "path", m.o.GrantsPath, "error", err, "consequence", "what was granted before stays granted, nothing more")
		return
	}
	m.mu.Lock()
	before := m.grants
	m.grants = grants
	m.mu.Unlock()
	for key, f := range m.files {
		if !before[key.name].equal(grants[key.name]) {
			f.regrant = true
		}
	}
}

// do runs f on the loop and waits for it.
func (m *Manager) do(ctx context.Context, f func(context.Context)) error {
	done := make(chan struct{})
	select {
	case m.commands <- func(loop context.Context) { defer close(done); f(loop) }:
	case <-m.ctx.Done():
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	<-done
	return nil
}

var errClosed = errors.New("the agent is ending")

// closeModule frees a module that nobody can call any more.
func (m *Manager) closeModule(mod *module.Module) {
	if err := mod.Close(context.Background()); err != nil {
		m.log.Warn("module not freed", "module", mod.Name(), "error", err)
	}
}
