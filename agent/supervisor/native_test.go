package supervisor

import (
	"context"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/driver/legacy/legacytest"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/dropin"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// nativeDrivers returns drivers as the agent has them, without modules.
func nativeDrivers(t *testing.T, store string, op *config.Operator) *Drivers {
	t.Helper()
	host, err := module.NewHost(module.Options{Builtins: []fs.FS{fstest.MapFS{}}})
	if err != nil {
		t.Fatal(err)
	}
	d := newDrivers(host, slog.New(slog.DiscardHandler))
	d.operator = func() *config.Operator { return op }
	d.native.store = store
	t.Cleanup(func() {
		if err := d.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return d
}

// TestPlugin has a driver that no module serves: docker-machine's plug-in on the PATH does, by options, machines and logins.
func TestPlugin(t *testing.T) {
	world := legacytest.Start(t)
	t.Setenv("PATH", filepath.Dir(world.Path)+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv("MWTEST_SIZE", "large")
	store := t.TempDir()
	d := nativeDrivers(t, store, nil)
	if !d.has(legacytest.Name) || d.has("nobodys") {
		t.Error("which drivers there are")
	}
	problems := d.Check(t.Context(), legacytest.Name, []string{"mwtest-siez=large", "mwtest-count=many", "mwtest-token=tok-0123456789", "engine-label=a=b"})
	var texts []string
	for _, p := range problems {
		texts = append(texts, p.Option+" "+p.Message)
	}
	got := strings.Join(texts, "\n")
	for _, want := range []string{"mwtest-siez is no option of this driver; did you mean mwtest-size?", `mwtest-count "many" is no whole number`} {
		if !strings.Contains(got, want) {
			t.Errorf("problems:\n%s\nwant %s", got, want)
		}
	}
	if len(problems) != 2 || strings.Contains(got, "tok-") {
		t.Errorf("problems:\n%s", got)
	}
	options, _, err := d.options("runner-1", legacytest.Name, []string{"mwtest-token=tok-0123456789", "mwtest-spot", "mwtest-tag=a", "mwtest-tag=b"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if shown := strings.Join(options["mwtest-token"], " "); strings.Contains(shown, "tok-") {
		t.Errorf("the journal gets the token: %s", shown)
	}
	drv, err := d.forPool(legacytest.Name)
	if err != nil {
		t.Fatal(err)
	}
	owner := abi.Owner{ID: "abcdefgh01234567"}
	if _, err := drv.Create(t.Context(), abi.CreateRequest{Owner: owner, Name: "m1", Options: options}); err != nil {
		t.Fatal(err)
	}
	status := func(d *Drivers) abi.Status {
		res, err := d.list(t.Context(), legacytest.Name, abi.ListRequest{Owner: owner, Options: options})
		if err != nil || len(res.Instances) != 1 {
			t.Fatal(res, err)
		}
		return res.Instances[0].Status
	}
	for deadline := time.Now().Add(time.Minute); status(d) != abi.StatusRunning; <-time.After(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it never runs")
		}
	}
	if made := world.Machines(); len(made) != 1 || made[0] != `{"Size":"large","Count":3,"Spot":true,"Tags":["a","b"],"State":"Running"}` {
		t.Errorf("made %s", made)
	}
	if kept, err := os.ReadFile(filepath.Join(store, "machines", "m1", "driver.json")); err != nil || !strings.Contains(string(kept), `"Token": "tok-0123456789"`) {
		t.Errorf("the plug-in did not get its token: %s %v", kept, err)
	}
	login, ok := d.login(fleet.Machine{Name: "m1", Driver: legacytest.Name})
	if key := filepath.Join(store, "machines", "m1", "id_rsa"); !ok || login.KeyFile != key || login.Borrowed {
		t.Errorf("login %+v", login)
	}

	if err := drv.Remove(t.Context(), abi.RemoveRequest{Owner: owner, Name: "m1"}); err != nil || len(world.Machines()) > 0 {
		t.Errorf("%v; left: %s", err, world.Machines())
	}
}

// TestPluginAndModule has a plug-in for a name that the agent has a driver for: the operator chooses, and each keeps the machines that it made.
func TestPluginAndModule(t *testing.T) {
	world := legacytest.Start(t)
	dir, store := t.TempDir(), t.TempDir()
	if err := os.Symlink(world.Path, filepath.Join(dir, "docker-machine-driver-generic")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	owner := abi.Owner{ID: "abcdefgh01234567"}
	forced := nativeDrivers(t, store, &config.Operator{LegacyDrivers: []string{"generic"}})
	drv, err := forced.forPool("generic")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := drv.Create(t.Context(), abi.CreateRequest{Owner: owner, Name: "m1"}); err != nil {
		t.Fatal(err)
	}
	list := func(d *Drivers) (seen string) {
		res, err := d.list(t.Context(), "generic", abi.ListRequest{Owner: owner})
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range res.Instances {
			seen += i.Name + " " + string(i.Status)
		}
		return seen
	}
	for deadline := time.Now().Add(time.Minute); list(forced) != "m1 running"; <-time.After(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it never runs")
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()

	later := nativeDrivers(t, store, nil)
	if desc, err := later.Describe("generic"); err != nil || strings.HasPrefix(desc.Summary, "docker-machine plug-in ") {
		t.Errorf("%+v %v", desc, err)
	}
	if got := list(later); got != "m1 running" {
		t.Errorf("the plug-in's machine is listed as %q", got)
	}
	if drv, err = later.forPool("generic"); err != nil {
		t.Fatal(err)
	}
	own := abi.CreateRequest{Owner: owner, Name: "m2", Options: abi.Options{"generic-ip-address": {l.Addr().String()}}}
	if i, err := drv.Create(t.Context(), own); err != nil || i.Status != abi.StatusRunning {
		t.Fatal(i, err)
	}
	if err := forced.remove(t.Context(), "generic", abi.RemoveRequest{Owner: owner, Name: "m2"}); err != nil || list(later) != "m1 running" {
		t.Errorf("the agent's own driver's machine, while the plug-in is forced: %v; %s", err, list(later))
	}
	if err := drv.Remove(t.Context(), abi.RemoveRequest{Owner: owner, Name: "m1"}); err != nil || len(world.Machines()) > 0 {
		t.Errorf("%v; left: %s", err, world.Machines())
	}
}

// TestHosts has the drivers of hosts that are there already, as config.toml names them.
func TestHosts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := nativeDrivers(t, t.TempDir(), nil)
	options, _, err := d.options("runner-1", "generic", []string{"generic-ip-address=" + l.Addr().String(), "generic-ssh-key=/keys/ci"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	drv, err := d.forPool("generic")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := drv.Create(t.Context(), abi.CreateRequest{Owner: abi.Owner{ID: "abcdefgh01234567"}, Name: "m1", Options: options}); err != nil {
		t.Fatal(err)
	}
	login, ok := d.login(fleet.Machine{Name: "m1", Driver: "generic", Options: options})
	if !ok || login.KeyFile != "/keys/ci" || !login.Borrowed {
		t.Errorf("login %+v", login)
	}
	if _, ok := d.login(fleet.Machine{Name: "m2", Driver: "generic", Options: options}); ok {
		t.Error("a machine that leases no host has a login")
	}
	if problems := d.Check(t.Context(), "none", []string{"url=tcp://h:2376"}); len(problems) != 1 || problems[0].Option != "none-cert-path" {
		t.Errorf("problems %+v", problems)
	}
}

// TestAllDrivers lists what runs in the agent itself and the plug-ins on the PATH beside the modules, each name once.
func TestAllDrivers(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"docker-machine-driver-exotic", "docker-machine-driver-generic", "docker-machine-driver-mine", "docker-machine-driver-.hidden"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "docker-machine-driver-nobodys"), nil, 0o644); err != nil { // no program
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	d := nativeDrivers(t, t.TempDir(), nil)
	got := map[string]string{}
	for _, s := range d.all([]dropin.Status{
		{Kind: abi.KindDriver, Name: "mine", Loaded: true}, {Kind: abi.KindDriver, Name: "none", Refused: "is no WebAssembly"}, {Kind: abi.KindPolicy, Name: "exotic", Loaded: true},
	}) {
		got[s.Name+" "+s.Kind] += s.Form + "."
	}
	want := map[string]string{
		"mine driver": "wasm dropped-in.", "none driver": "wasm dropped-in.native.", "exotic policy": ".", "generic driver": "native.", "exotic driver": "plug-in.",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if form := d.Form("generic"); form != dropin.FormNative {
		t.Errorf("generic is %q", form)
	}
}
