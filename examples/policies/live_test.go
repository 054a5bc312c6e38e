package policies_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/grants"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/dropin"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/hostfuncs/credentials"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// patience is how long a test waits for what must come.
const patience = time.Minute

// runnerKey tells the agent's runner from others.
const runnerKey = "build/abc"

// agent is as much of the agent as runs policies: the folders beside a config.toml, with what the operator grants, and one runner.
type agent struct {
	t       *testing.T
	dir     string // of config.toml
	log     *logbook
	manager *dropin.Manager
	runner  *dropin.Runner
}

// logbook is a log that is read while it is written.
type logbook struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newAgent makes the folders. Files are put into them by write; start begins to run what is there.
func newAgent(t *testing.T) *agent {
	t.Helper()
	a := &agent{t: t, dir: t.TempDir(), log: &logbook{}}
	for _, name := range []string{"policies.d", "state"} {
		if err := os.Mkdir(filepath.Join(a.dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// write puts a file into place, as a whole.
func (a *agent) write(name string, data []byte) {
	a.t.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path+".tmp", data, 0o600); err != nil {
		a.t.Fatal(err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		a.t.Fatal(err)
	}
}

// start opens the folders with the runner named build.
func (a *agent) start() {
	a.t.Helper()
	logger := slog.New(slog.NewTextHandler(a.log, nil))
	store := credentials.NewStore(credentials.Options{Logger: logger})
	a.t.Cleanup(store.Close)
	op := a.operator()
	var err error
	a.manager, err = dropin.Open(a.t.Context(), dropin.Options{
		Host: moduletest.Agent(a.t, logger), Log: logger, Interval: 20 * time.Millisecond,
		Policies: op.PoliciesDir, StateDir: filepath.Join(a.dir, "state"), GrantsPath: op.Path, Settings: moduleSettings,
		Grants: func() (map[string]dropin.Grant, error) {
			op := a.operator()
			store.Set(grants.Credentials(op.Credentials))
			out := map[string]dropin.Grant{}
			for name, g := range op.Grants {
				signers, err := grants.Signers(store, g.Credentials)
				if err != nil {
					return nil, err
				}
				out[name] = dropin.Grant{
					Hostnames: g.Hostnames, Credentials: signers, Signing: fmt.Sprint(g.Credentials), Limits: module.Limits{PolicyPages: uint32(g.MemoryMB) * 16},
				}
			}
			return out, nil
		},
	})
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(a.manager.Close)
	if a.runner, err = a.manager.Runner(a.t.Context(), runnerKey, "build", false); err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(a.runner.Close)
}

// operator reads millwright.toml.
func (a *agent) operator() *config.Operator {
	op, diagnostics, err := config.LoadOperator(filepath.Join(a.dir, "config.toml"))
	if err != nil || len(diagnostics) > 0 {
		a.t.Errorf("millwright.toml: %v %v", err, diagnostics)
		return &config.Operator{}
	}
	return op
}

// moduleSettings reads a NAME.toml.
func moduleSettings(path string, data []byte) (dropin.Settings, error) {
	f, diagnostics := config.ParseModuleFile(path, data)
	if len(diagnostics) > 0 {
		return dropin.Settings{}, fmt.Errorf("%v", diagnostics)
	}
	own, err := f.ConfigJSON()
	return dropin.Settings{Position: f.Position, Config: own, Required: f.Required, ObserveEvery: time.Duration(f.ObserveEvery)}, err
}

// decide asks the runner's chain.
func (a *agent) decide(s abi.Snapshot) fleet.Decision {
	s.Runner.Name = "build"
	return a.runner.Decide(context.Background(), s)
}

// status is that of one policy.
func (a *agent) status(name string) dropin.Status {
	all, _ := a.manager.Status()
	for _, s := range all {
		if s.Name == name {
			return s
		}
	}
	return dropin.Status{}
}

// until asks now and again until what is so.
func (a *agent) until(what string, so func() bool) {
	a.t.Helper()
	limit := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-limit:
			a.t.Fatalf("it never came that %s; the log:\n%s", what, a.log)
		}
	}
}

// step returns what one policy of a decision did.
func step(d fleet.Decision, name string) fleet.Step {
	for _, s := range d.Steps {
		if s.Module == name {
			return s
		}
	}
	return fleet.Step{}
}

// file reads a file of an example, with some of its text replaced: all of old, new pairs must be there.
func file(t *testing.T, path string, pairs ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("%s does not hold %q", path, pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return []byte(text)
}
