package legacy_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/driver/legacy"
	"github.com/millwright-ci/millwright/agent/driver/legacy/legacytest"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestInDockerMachine has docker-machine itself on the PATH, and no plug-in beside it: it serves the drivers that it holds.
func TestInDockerMachine(t *testing.T) {
	binary := legacytest.DockerMachine(t)
	t.Setenv("PATH", filepath.Dir(binary))
	if path, err := legacy.Find("google"); err != nil || path != binary {
		t.Fatalf("google: %s %v", path, err)
	}
	if _, err := legacy.Find("hetzner"); !errors.Is(err, legacy.ErrNone) {
		t.Errorf("hetzner, which docker-machine does not hold: %v", err)
	}
	for name, option := range map[string]string{"google": "google-project", "amazonec2": "amazonec2-region", "digitalocean": "digitalocean-size", "generic": "generic-ip-address"} {
		d := legacy.New(legacy.Options{Name: name, Store: t.TempDir()})
		desc, err := d.Describe(t.Context())
		if err != nil || !slices.ContainsFunc(desc.Options, func(o abi.Option) bool { return o.Name == option }) {
			t.Errorf("%s: %v, options %v", name, err, desc.Options)
		}
		d.Close()
	}
	store := t.TempDir()
	d := legacy.New(legacy.Options{Name: "none", Store: store})
	defer d.Close()
	owner := abi.Owner{ID: "abcdefgh01234567"}
	if _, err := d.Create(t.Context(), abi.CreateRequest{Owner: owner, Name: "m1", Options: abi.Options{"url": {"tcp://127.0.0.1:4711"}}}); err != nil {
		t.Fatal(err)
	}
	var i abi.Instance
	for deadline := time.Now().Add(2 * time.Minute); i.Status != abi.StatusRunning; <-time.After(50 * time.Millisecond) {
		res, err := d.List(t.Context(), abi.ListRequest{Owner: owner})
		if err != nil || len(res.Instances) != 1 || time.Now().After(deadline) {
			t.Fatal(res, err)
		}
		i = res.Instances[0]
	}
	if i.Address != "127.0.0.1" || i.EnginePort != 4711 {
		t.Errorf("instance %+v", i)
	}
	if err := d.Remove(t.Context(), abi.RemoveRequest{Owner: owner, Name: "m1"}); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(store, "machines", "m1")); !os.IsNotExist(err) {
		t.Errorf("its folder is left: %v", err)
	}
}

// TestAsk has a machine that docker-machine's plug-in made earlier: it is asked about, and taken up with what it says.
func TestAsk(t *testing.T) {
	world := legacytest.Start(t)
	find := func() (string, error) { return world.Path, nil }
	if err := os.WriteFile(filepath.Join(world.Dir, "id-m1-1.machine"), []byte(`{"State":"Running"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	store := t.TempDir()
	d := legacy.New(legacy.Options{Name: legacytest.Name, Store: store, Find: find})
	defer d.Close()
	config := json.RawMessage(`{"MachineName":"m1","IPAddress":"10.0.0.9","SSHUser":"ci","SSHPort":2222,"SSHKeyPath":"/keys/m1","StorePath":"` + store +
		`","ID":"id-m1-1","Token":"tok-0123456789","Unknown":12345678901234567890}`)
	facts, err := d.Ask(t.Context(), "m1", config)
	if err != nil || !facts.Running || facts.SSHKey != "/keys/m1" {
		t.Fatalf("%+v %v", facts, err)
	}
	if err := world.Put("m1", "Stopped"); err != nil {
		t.Fatal(err)
	}
	if stopped, err := d.Ask(t.Context(), "m1", config); err != nil || stopped.Running || stopped.State != "Stopped" {
		t.Errorf("%+v %v", stopped, err)
	}
	owner := abi.Owner{ID: "abcdefgh01234567"}
	data, i, err := legacy.Adopted(legacytest.Name, owner.ID, config, facts, time.Now())
	if err != nil || i.Name != "m1" || i.Address != facts.Address || !strings.Contains(string(data), "12345678901234567890") {
		t.Fatalf("%+v %v %s", i, err, data)
	}
	dir := filepath.Join(store, "machines", "m1")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "driver.json"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	res, err := d.List(t.Context(), abi.ListRequest{Owner: owner})
	if err != nil || len(res.Instances) != 1 || res.Instances[0].ID != i.ID || res.Instances[0].Status != abi.StatusStopped {
		t.Errorf("listed %+v %v", res, err)
	}
	if err := d.Remove(t.Context(), abi.RemoveRequest{Owner: owner, Name: "m1", ID: i.ID}); err != nil || len(world.Machines()) > 0 {
		t.Errorf("%v, left %v", err, world.Machines())
	}
}
