package dropin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/internal/guests"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/dropin"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come.
const patience = time.Minute

// world is a manager over real folders.
type world struct {
	t                        testing.TB
	host                     *module.Host
	policies, drivers, state string
	log                      *lockedBuffer
	m                        *dropin.Manager
	r                        *dropin.Runner

	mu     sync.Mutex // guards grants
	grants map[string]dropin.Grant
	inUse  bool
}

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// builtin is a policy that wants one machine, in the place of periods and idlescale.
func builtins(t testing.TB) []fs.FS {
	t.Helper()
	dist := fstest.MapFS{}
	for _, name := range module.BuiltinPolicies {
		dist["dist/"+name+guests.Suffix] = &fstest.MapFile{Data: guests.Packed(t, "policies/"+name)}
	}
	return []fs.FS{dist}
}

func newWorld(t testing.TB) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{t: t, policies: filepath.Join(dir, "policies.d"), drivers: filepath.Join(dir, "drivers.d"), state: filepath.Join(dir, "state"), log: &lockedBuffer{}}
	var err error
	w.host, err = module.NewHost(module.Options{
		CacheDir: guests.CompilationCache(t), Builtins: builtins(t), Logger: slog.New(slog.DiscardHandler),
		Limits: module.Limits{DecideTime: patience, OtherTime: patience, ObserveTime: patience},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.host.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	for _, d := range []string{w.policies, w.drivers, w.state} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(w.stop)
	return w
}

func (w *world) options() dropin.Options {
	return dropin.Options{
		Host: w.host, Policies: w.policies, Drivers: w.drivers, StateDir: w.state, Interval: 10 * time.Millisecond,
		GrantsPath: filepath.Join(w.state, "millwright.toml"), Settings: readSettings,
		Log: slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Grants: func() (map[string]dropin.Grant, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.grants, nil
		},
		InUse: func(string) bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.inUse
		},
	}
}

// readSettings reads a NAME.toml that is JSON, since the real format is the configuration's matter.
func readSettings(path string, data []byte) (dropin.Settings, error) {
	var s dropin.Settings
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// start opens the manager with a runner named build.
func (w *world) start(change ...func(*dropin.Options)) {
	w.t.Helper()
	o := w.options()
	for _, f := range change {
		f(&o)
	}
	var err error
	if w.m, err = dropin.Open(w.t.Context(), o); err != nil {
		w.t.Fatal(err)
	}
	if w.r, err = w.m.Runner(w.t.Context(), "build/abc", "build", false); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) stop() {
	if w.m != nil {
		w.r.Close()
		w.m.Close()
		w.m = nil
	}
}

func (w *world) restart() {
	w.t.Helper()
	w.stop()
	w.start()
}

// drop writes a file of the policies' folder as a careful deployer does: beside, and renamed.
func (w *world) drop(name string, data []byte) {
	w.t.Helper()
	tmp := filepath.Join(w.policies, ".tmp-"+name)
	w.write(tmp, data)
	if err := os.Rename(tmp, filepath.Join(w.policies, name)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) write(path string, data []byte) {
	w.t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) remove(name string) {
	w.t.Helper()
	if err := os.Remove(filepath.Join(w.policies, name)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) decide() fleet.Decision {
	return w.r.Decide(context.Background(), abi.Snapshot{
		NowUnixMS: time.Now().UnixMilli(), Runner: abi.RunnerSettings{Name: "build", IdleCount: 5, IdleTimeS: 60},
	})
}

// until asks now and again until what is so.
func (w *world) until(what string, so func() bool) {
	w.t.Helper()
	limit := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-limit:
			w.t.Fatalf("it never came that %s; the log:\n%s", what, w.log)
		}
	}
}

// decides waits until the chain wants n machines.
func (w *world) decides(n int) {
	w.t.Helper()
	w.until(fmt.Sprintf("%d machines are wanted", n), func() bool { return w.decide().IdleTarget == n })
}

// logs waits until the log has text.
func (w *world) logs(text string) {
	w.t.Helper()
	w.until("the log has "+text, func() bool { return strings.Contains(w.log.String(), text) })
}

// status is that of one module.
func (w *world) status(kind, name string) dropin.Status {
	w.t.Helper()
	all, _ := w.m.Status()
	for _, s := range all {
		if s.Kind == kind && s.Name == name {
			return s
		}
	}
	return dropin.Status{}
}

// wants is a policy that wants n machines.
func wants(n int) []byte { return moduletest.TinyPolicy("tiny", fmt.Sprintf(`{"idle_target":%d}`, n)) }
