package legacy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/drivertest"
	"github.com/millwright-ci/millwright/agent/driver/legacy/legacytest"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

const token = "tok-0123456789-secret"

var owner = abi.Owner{ID: "abcdefgh01234567", Runner: "runner-1"}

// log is what the driver logged, for a look at secrets.
type log struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// world is a plug-in, its cloud and a store.
type world struct {
	legacytest.World
	store string
	log   *log
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{legacytest.Start(t), t.TempDir(), &log{}}
	t.Cleanup(func() {
		if strings.Contains(w.log.String(), token) {
			t.Error("the log shows the token")
		}
	})
	return w
}

// driver returns the plug-in's driver over the world's store, as a new agent has it.
func (w *world) driver(t *testing.T, o Options) *Driver {
	t.Helper()
	o.Name, o.Store, o.Find = legacytest.Name, w.store, func() (string, error) { return w.Path, nil }
	o.Log = slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if o.KeepEvery == 0 {
		o.KeepEvery = 50 * time.Millisecond
	}
	if o.InspectEvery == 0 {
		o.InspectEvery = time.Nanosecond
	}
	d := New(o)
	t.Cleanup(d.Close)
	return d
}

func options(more abi.Options) abi.Options {
	o := abi.Options{"mwtest-size": {"small"}, "mwtest-token": {token}, "mwtest-count": {"3"}}
	for k, v := range more {
		o[k] = v
	}
	return o
}

func request(name string, more abi.Options) abi.CreateRequest {
	return abi.CreateRequest{ABI: abi.Version, Owner: owner, Name: name, Options: options(more)}
}

func remove(d *Driver, ctx context.Context, name string) error {
	return d.Remove(ctx, abi.RemoveRequest{ABI: abi.Version, Owner: owner, Name: name})
}

// find lists until the machine is as it should be.
func find(t *testing.T, d *Driver, name string, ok func(abi.Instance) bool) abi.Instance {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; <-time.After(50 * time.Millisecond) {
		res, err := d.List(t.Context(), abi.ListRequest{ABI: abi.Version, Owner: owner})
		if err != nil {
			t.Fatal(err)
		}
		var found abi.Instance
		for _, i := range res.Instances {
			if i.Name == name {
				found = i
			}
		}
		if ok(found) {
			return found
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is %+v", name, found)
		}
	}
}

func runs(i abi.Instance) bool { return i.Status == abi.StatusRunning }

func TestSuite(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.driver(t, Options{})
	drivertest.Run(t, func(t *testing.T) drivertest.Subject {
		return drivertest.Subject{
			Driver: d, Options: options(nil), Invalid: options(abi.Options{"mwtest-size": {"gigantic"}}), Secrets: []string{token},
			Leftovers: func(abi.Owner) []string { return w.Machines() },
			Put: func(name string, s abi.Status) error {
				return w.Put(name, map[abi.Status]string{abi.StatusStopped: "Stopped", abi.StatusUnknown: "Error", abi.StatusCreating: "Starting"}[s])
			},
			States: []abi.Status{abi.StatusStopped, abi.StatusUnknown, abi.StatusCreating},
		}
	})
	if entries, _ := os.ReadDir(filepath.Join(w.store, "machines")); len(entries) > 0 {
		t.Errorf("left in the store: %v", entries)
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.driver(t, Options{})
	desc, err := d.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []abi.Option{
		{Name: "mwtest-count", Type: abi.OptionInt, Env: "MWTEST_COUNT", Default: "3", Help: "a number"},
		{Name: "mwtest-empty", Type: abi.OptionString, Help: "nothing by default"},
		{Name: "mwtest-size", Type: abi.OptionString, Env: "MWTEST_SIZE", Default: "small", Help: "the size"},
		{Name: "mwtest-spot", Type: abi.OptionBool, Env: "MWTEST_SPOT", Help: "cheap"},
		{Name: "mwtest-tag", Type: abi.OptionList, Env: "MWTEST_TAGS", Default: "ci", Help: "a tag"},
		{Name: "mwtest-token", Type: abi.OptionString, Env: "MWTEST_TOKEN", Secret: true, Credential: "mwtest-token", Help: "the token"},
	}
	if diff := cmp.Diff(want, desc.Options); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
	for name, tc := range map[string]struct {
		options abi.Options
		want    string
	}{
		"defaults": {nil, `{"Size":"small","Count":3,"Spot":false,"Tags":["ci"],"State":"Running"}`},
		"all": {abi.Options{"mwtest-size": {"large"}, "mwtest-count": {"-7"}, "mwtest-spot": {"true"}, "mwtest-tag": {"a,b", "c"}},
			`{"Size":"large","Count":-7,"Spot":true,"Tags":["a,b","c"],"State":"Running"}`},
		"none": {abi.Options{"mwtest-tag": {}, "mwtest-spot": {"false"}}, `{"Size":"small","Count":3,"Spot":false,"Tags":null,"State":"Running"}`},
	} {
		if _, err := d.Create(t.Context(), request(name, tc.options)); err != nil {
			t.Fatal(err)
		}
		got := find(t, d, name, runs)
		if got.Address != "127.0.0.1" || got.SSHPort != 2222 || got.SSHUser != "core" || got.EnginePort != 12376 {
			t.Errorf("%s: %+v", name, got)
		}
		if all := w.Machines(); len(all) != 1 || all[0] != tc.want {
			t.Errorf("%s: made %s, want %s", name, all, tc.want)
		}
		if err := remove(d, t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := d.Create(t.Context(), request("m", abi.Options{"mwtest-count": {"many"}})); !errors.Is(err, driver.ErrInvalid) {
		t.Errorf("a count of many: %v %v", n, err)
	}
}

// TestSlowCreate has a creation that lasts longer than a plug-in lives without a heartbeat.
func TestSlowCreate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.driver(t, Options{})
	w.Fail("slow")
	began := time.Now()
	i, err := d.Create(t.Context(), request("m", nil))
	if err != nil || i.Status != abi.StatusCreating {
		t.Fatal(i, err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("create blocked for %s", took)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := remove(d, ctx, "m"); !errors.Is(err, driver.ErrTransient) {
		t.Errorf("a removal meanwhile: %v; it must wait for the creation", err)
	}
	find(t, d, "m", runs)
	if err := remove(d, t.Context(), "m"); err != nil || len(w.Machines()) > 0 {
		t.Error(err, w.Machines())
	}
}

// TestImpatient has a creation that never ends and is cut off by a removal: what the plug-in knew goes.
func TestImpatient(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.driver(t, Options{Patience: 2 * time.Second})
	w.Fail("hangs")
	if _, err := d.Create(t.Context(), request("m", nil)); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the machine", func() bool { return len(w.Machines()) == 1 })
	if err := remove(d, t.Context(), "m"); err != nil || len(w.Machines()) > 0 {
		t.Error(err, w.Machines())
	}
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); <-time.After(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %s after a minute", what)
		}
	}
}

// TestFaults has what a plug-in can do wrong while it creates. Whatever that is, a removal leaves nothing.
func TestFaults(t *testing.T) {
	t.Parallel()
	for fault, want := range map[string]struct {
		kind abi.ErrorKind
		text string
	}{
		"quota":     {abi.Quota, "no more than 3 machines for [redacted]"},
		"stock-out": {abi.Capacity, "ZONE_RESOURCE_POOL_EXHAUSTED"},
		"half-made": {abi.Transient, "the disk could not be attached"},
		"crash":     {abi.Transient, "| fatal: out of luck with [redacted]"},
		"panic":     {abi.Transient, "assignment to entry in nil map"},
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			d := w.driver(t, Options{})
			w.Fail(fault)
			if _, err := d.Create(t.Context(), request("m", nil)); err != nil {
				t.Fatal(err)
			}
			i := find(t, d, "m", func(i abi.Instance) bool { return i.Status == abi.StatusGone })
			if i.Error == nil || i.Error.Kind != want.kind || !strings.Contains(i.Error.Message, want.text) {
				t.Errorf("got %+v, want %s: %s", i.Error, want.kind, want.text)
			}
			if _, err := d.Create(t.Context(), request("m", nil)); driver.KindOf(err) != want.kind {
				t.Errorf("create again: %v", err)
			}
			w.Fail("")
			if err := remove(d, t.Context(), "m"); err != nil || len(w.Machines()) > 0 {
				t.Error(err, w.Machines())
			}
			if _, err := d.Create(t.Context(), request("m", nil)); err != nil {
				t.Error(err)
			}
			find(t, d, "m", runs)
			if err := remove(d, t.Context(), "m"); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestNoPlugin has binaries that are no plug-in, or none that answers: each call ends, and says why.
func TestNoPlugin(t *testing.T) {
	t.Parallel()
	for fault, want := range map[string]string{
		"dies at once":     "exit status 1; its last words: cannot open the library",
		"junk":             `first line is "Hello, I am no plug-in\x00\a"`,
		"junk on the line": "the plug-in",
		"silent":           "gave no address within",
		"mute":             "did not answer within",
		"elsewhere":        "not an address of this host",
		"silent flags":     "no answer within",
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			d := w.driver(t, Options{})
			w.Fail(fault)
			_, err := d.Create(t.Context(), request("m", nil))
			if !errors.Is(err, driver.ErrTransient) || !strings.Contains(fmt.Sprint(err), want) {
				t.Errorf("create: %v, want %s", err, want)
			}
			if err := remove(d, t.Context(), "m"); err != nil {
				t.Errorf("remove of what was never made: %v", err)
			}
		})
	}
}

// TestCallersEnd has a caller that goes while the plug-in says nothing.
func TestCallersEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.driver(t, Options{})
	w.Fail("silent")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := d.Create(ctx, request("m", nil)); err == nil || time.Since(began) > 8*time.Second {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
}

// TestAgentDies has an agent that ends while its plug-in creates: the next one has what it takes to remove the machine.
func TestAgentDies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.driver(t, Options{})
	w.Fail("hangs")
	if _, err := d.Create(t.Context(), request("m", nil)); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "id in the record", func() bool {
		r, _, err := d.files.Load("m")
		return err == nil && strings.Contains(string(r.Config), "id-m-")
	})
	d.Close()
	w.Fail("")

	next := w.driver(t, Options{})
	if i := find(t, next, "m", func(abi.Instance) bool { return true }); i.Status != abi.StatusCreating {
		t.Errorf("listed as %+v", i)
	}
	if _, err := next.Create(t.Context(), request("m", nil)); !errors.Is(err, driver.ErrConflict) {
		t.Errorf("create again: %v", err)
	}
	if err := remove(next, t.Context(), "m"); err != nil || len(w.Machines()) > 0 {
		t.Error(err, w.Machines())
	}
	if _, err := d.Create(t.Context(), request("late", nil)); err == nil {
		t.Error("a driver that is closed creates")
	}
}

// TestStates has what a plug-in says of a machine that was made, and a cloud that does not answer: nothing of it is gone.
func TestStates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.driver(t, Options{})
	if _, err := d.Create(t.Context(), request("m", nil)); err != nil {
		t.Fatal(err)
	}
	find(t, d, "m", runs)
	w.Fail("broken")
	i := find(t, d, "m", func(i abi.Instance) bool { return i.Status == abi.StatusUnknown })
	if !strings.Contains(i.Message, "503 from the cloud") {
		t.Errorf("%+v", i)
	}
	if err := remove(d, t.Context(), "m"); !errors.Is(err, driver.ErrTransient) || len(w.Machines()) != 1 {
		t.Errorf("a removal that failed: %v", err)
	}
	w.Fail("slow removal")
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := remove(d, ctx, "m"); !errors.Is(err, driver.ErrTransient) {
		t.Errorf("a slow removal: %v", err)
	}
	if err := remove(d, t.Context(), "m"); err != nil || len(w.Machines()) > 0 {
		t.Errorf("the removal again: %v", err)
	}
}

// TestGoneAtProvider has a machine that somebody else removed.
func TestGoneAtProvider(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.driver(t, Options{})
	if _, err := d.Create(t.Context(), request("m", nil)); err != nil {
		t.Fatal(err)
	}
	find(t, d, "m", runs)
	paths, _ := filepath.Glob(filepath.Join(w.Dir, "*.machine"))
	for _, p := range paths {
		os.Remove(p)
	}
	if err := remove(d, t.Context(), "m"); err != nil {
		t.Error(err)
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	for _, name := range []string{"docker-machine", binaryPrefix + "mine"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"mine": binaryPrefix + "mine", "rackspace": "docker-machine", "other": "", "../mine": "", "": ""} {
		path, err := Find(name)
		if want == "" && !errors.Is(err, ErrNone) || want != "" && path != filepath.Join(dir, want) {
			t.Errorf("%q: %s, %v", name, path, err)
		}
	}
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(filepath.Join(dir, "docker-machine"))
	if err := os.Symlink(own, filepath.Join(dir, "docker-machine")); err != nil {
		t.Fatal(err)
	}
	if path, err := Find("rackspace"); !errors.Is(err, ErrNone) {
		t.Errorf("our own binary is taken for a plug-in: %s %v", path, err)
	}
}

func TestKinds(t *testing.T) {
	for text, want := range map[string]abi.ErrorKind{
		"googleapi: Error 403: Rate Limit Exceeded, rateLimitExceeded":                                                     abi.RateLimited,
		"QUOTA_EXCEEDED: Quota 'CPUS' exceeded. Limit: 8.0":                                                                abi.Quota,
		"VcpuLimitExceeded: You have requested more vCPU":                                                                  abi.Quota,
		"InsufficientInstanceCapacity: we currently do not have":                                                           abi.Capacity,
		"hcloud: error during placement (resource_unavailable)":                                                            abi.Capacity,
		"hcloud: unable to authenticate (unauthorized)":                                                                    abi.Auth,
		"server not found (not_found)":                                                                                     abi.NotFound,
		"hcloud: server name is already used (uniqueness_error)":                                                           abi.Conflict,
		"GET https://api.example.com/v2/droplets/1: 404":                                                                   abi.NotFound,
		"connection reset by peer":                                                                                         abi.Transient,
		"dial tcp 10.0.0.1:40404: i/o timeout":                                                                             abi.Transient,
		"Panic in the driver: nil map\ngoroutine 8 [running]:\nmain.(*driver).Create(0x3e5403404330) /src/notfound.go:404": abi.Transient,
	} {
		if got := kindOf(text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
