package dropin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Status is a module as people see it.
type Status struct {
	Kind       string    `json:"kind"`
	Name       string    `json:"name"`
	Builtin    bool      `json:"builtin,omitempty"`
	Form       string    `json:"form,omitempty"` // of drivers: what runs it; see the constants
	Loaded     bool      `json:"loaded"`
	Version    string    `json:"version,omitempty"`
	ABI        int       `json:"abi,omitempty"`
	Summary    string    `json:"summary,omitempty"`
	SHA256     string    `json:"sha256,omitempty"`
	Generation int       `json:"generation,omitempty"`
	Kept       bool      `json:"kept,omitempty"` // it comes from the state directory, not from the file
	Since      time.Time `json:"since,omitzero"`
	File       string    `json:"file,omitempty"`
	Refused    string    `json:"refused,omitempty"` // why the file as it is now is not used

	Position  int      `json:"position,omitempty"` // of policies
	Runners   []string `json:"runners,omitempty"`  // patterns; none means all
	Shadow    bool     `json:"shadow,omitempty"`
	Required  bool     `json:"required,omitempty"`
	Hostnames []string `json:"hostnames,omitempty"` // granted

	Calls       uint64            `json:"calls"`
	Errors      uint64            `json:"errors"`
	MeanMS      float64           `json:"mean_ms"`
	MeanFuel    float64           `json:"mean_fuel"`
	Reasons     map[string]string `json:"reasons,omitempty"`     // of a policy's last proposal, by runner
	Quarantined map[string]string `json:"quarantined,omitempty"` // the last failure, by runner
	Failing     map[string]string `json:"failing,omitempty"`     // the last failure of those that fail now, by runner
	ObservedAt  time.Time         `json:"observed_at,omitzero"`
	ObserveErr  string            `json:"observe_error,omitempty"`
}

// The forms of drivers.
const (
	FormBuiltin   = "wasm built-in"   // a module that came with the binary
	FormDroppedIn = "wasm dropped-in" // a module of the folder
	FormNative    = "native"          // it runs in the agent itself
	FormPlugin    = "plug-in"         // docker-machine's, a program on the PATH
)

// Status lists the policies and drivers of the folders and the built-in policies, sorted by kind, position and name, and what is wrong
// with the folders.
func (m *Manager) Status() (modules []Status, problems []string) {
	runners := m.allRunners()
	m.mu.Lock()
	byID := map[id]*Status{}
	for name, builtin := range m.builtin {
		key := id{abi.KindPolicy, name}
		s := describe(builtin)
		s.Builtin, s.Position = true, builtin.Describe().Position
		if g := m.loaded[key]; g == nil || g.settings.Shadow || len(g.settings.Runners) > 0 {
			byID[id{"builtin", name}] = &s
		}
	}
	for key, g := range m.loaded {
		s := describe(g.module)
		s.Name, s.Generation, s.Kept, s.Since, s.File = key.name, g.number, g.kept, g.since, g.path
		s.Runners, s.Shadow, s.Required, s.Hostnames = g.settings.Runners, g.settings.Shadow, g.settings.Required, g.grant.Hostnames
		if s.Position = cmp.Or(g.settings.Position, g.module.Describe().Position); key.kind == abi.KindPolicy {
			s.Position = cmp.Or(s.Position, module.DefaultPosition)
		}
		s.ObservedAt, s.ObserveErr = m.observed[key.name].at, m.observed[key.name].err
		byID[key] = &s
	}
	for key, why := range m.refused {
		if byID[key] == nil {
			byID[key] = &Status{Kind: key.kind, Name: key.name, File: key.name + wasmSuffix, Required: m.blocked[key].Required}
		}
		byID[key].Refused = why
	}
	for _, path := range slices.Sorted(maps.Keys(m.problems)) {
		if text := m.problems[path]; text != "" {
			problems = append(problems, text)
		}
	}
	m.mu.Unlock()

	m.addCounts(byID)
	for _, r := range runners {
		addFaults(byID, r)
		addReasons(byID, r)
	}
	for _, s := range byID {
		modules = append(modules, *s)
	}
	slices.SortFunc(modules, func(a, b Status) int {
		return cmp.Or(-cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Position, b.Position), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Generation, b.Generation))
	})
	return modules, problems
}

func describe(m *module.Module) Status {
	d := m.Describe()
	return Status{Kind: d.Kind, Name: m.Name(), Loaded: true, Version: d.Version, ABI: d.ABI, Summary: d.Summary, SHA256: m.Hash()}
}

// addCounts adds the calls of all generations.
func (m *Manager) addCounts(byID map[id]*Status) {
	seconds, fuel := map[*Status]float64{}, map[*Status]float64{}
	for _, c := range m.o.Host.Stats() {
		s := byID[id{c.Kind, c.Module}]
		if s == nil {
			s = byID[id{"builtin", c.Module}]
		}
		if s == nil {
			continue
		}
		s.Calls += c.Calls
		s.Errors += c.Errors
		seconds[s] += c.Seconds
		fuel[s] += c.Fuel
		s.MeanMS, s.MeanFuel = seconds[s]/float64(s.Calls)*1000, fuel[s]/float64(s.Calls)
	}
}

// addFaults adds what fails in a runner's chain.
func addFaults(byID map[id]*Status, r *Runner) {
	for name, why := range r.chain.Faults() {
		if s := byID[id{abi.KindPolicy, name}]; s != nil {
			if s.Failing == nil {
				s.Failing = map[string]string{}
			}
			s.Failing[r.name] = why
		}
	}
	for name, why := range r.chain.Quarantined() {
		if s := byID[id{abi.KindPolicy, name}]; s != nil {
			if s.Quarantined == nil {
				s.Quarantined = map[string]string{}
			}
			s.Quarantined[r.name] = why
		}
	}
}

// addReasons adds what the policies of a runner's chain said last, those in shadow too.
func addReasons(byID map[id]*Status, r *Runner) {
	records := r.chain.Records()
	if len(records) == 0 {
		return
	}
	last := records[len(records)-1]
	for _, step := range slices.Concat(last.Decision.Steps, last.Shadows) {
		s := byID[id{abi.KindPolicy, step.Module}]
		if s == nil {
			s = byID[id{"builtin", step.Module}]
		}
		if s == nil || step.Proposal.Reason == "" {
			continue
		}
		if s.Reasons == nil {
			s.Reasons = map[string]string{}
		}
		s.Reasons[r.name] = step.Proposal.Reason
	}
}

// Reload reads every file and the grants again, as if all had changed, and ends all quarantines. It waits until that is done.
func (m *Manager) Reload(ctx context.Context) error {
	return m.do(ctx, func(loop context.Context) {
		m.readGrants()
		m.look()
		for key, f := range m.files {
			f.force = true
			m.take(loop, key, f)
		}
		for _, r := range m.allRunners() {
			for _, l := range r.chain.Links() {
				r.chain.Pardon(l.Name)
			}
		}
	})
}

// ErrUnknown means that the folder has no module of that name.
var ErrUnknown = errors.New("there is none in the folder")

// Rollback puts the generation before the present one of a module to work, until its file changes, also over restarts. It returns the
// number of that generation.
func (m *Manager) Rollback(ctx context.Context, kind, name string) (int, error) {
	var number int
	var err error
	if failed := m.do(ctx, func(loop context.Context) { number, err = m.rollback(loop, id{kind, name}) }); failed != nil {
		return 0, failed
	}
	return number, err
}

func (m *Manager) rollback(ctx context.Context, key id) (int, error) {
	g, f := m.generation(key), m.files[key]
	if g == nil || f == nil {
		return 0, fmt.Errorf("%s %s: %w; `millwright %s ls` lists them", key.kind, key.name, ErrUnknown, key.kind)
	}
	k := m.keep(key)
	i := slices.IndexFunc(k.numbers(), func(n int) bool { return n < g.number })
	if i < 0 {
		return 0, fmt.Errorf("%s %s: there is no generation before %d; %d are kept", key.kind, key.name, g.number, len(k.numbers()))
	}
	n := k.numbers()[i]
	c, err := k.load(n)
	if err == nil {
		err = m.loadAs(ctx, key, f.path, c, n)
	}
	if err != nil {
		return 0, fmt.Errorf("generation %d: %w; generation %d goes on", n, err, g.number)
	}
	if err := k.avoid(avoid{Hash: f.hash, Use: n}); err != nil {
		m.log.Warn("rollback is not kept over a restart", "module", key.name, "error", err)
	}
	m.refuse(key, fmt.Errorf("rolled back to generation %d; the file is used again when it changes", n))
	return n, nil
}

// Folder is where modules of a kind are dropped in.
func (m *Manager) Folder(kind string) string {
	return filepath.Clean(map[string]string{abi.KindPolicy: m.o.Policies, abi.KindDriver: m.o.Drivers}[kind])
}
