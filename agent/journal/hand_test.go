package journal

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

func byHand(t *testing.T, root string) *Hand {
	t.Helper()
	h, err := OpenHand(root)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func handEntry(t *testing.T, h *Hand, name string) Entry {
	t.Helper()
	owner, err := h.Owner()
	if err != nil {
		t.Fatal(err)
	}
	return Entry{
		Kind: KindByHand, Owner: owner, Secrets: map[string]string{"secret": "s3cret"}, Written: true,
		Machine: fleet.Machine{
			Name: name, Driver: "docker", Options: abi.Options{"docker-image": {"debian"}, "engine-label": {"a=b"}}, State: fleet.Creating,
			CreatedAt: time.Date(2026, 8, 20, 10, 0, 0, 0, time.UTC), SSHUser: "root",
			Instance: abi.Instance{Name: name, ID: "i-1", Status: abi.StatusRunning, Address: "10.0.0.7"},
		},
	}
}

// TestHandIsNoAgents has a machine made by hand in the store of an agent, which must know nothing of it but its name.
func TestHandIsNoAgents(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	h := byHand(t, j.Store())
	e := handEntry(t, h, "mine")
	if err := h.Add(e); err != nil {
		t.Fatal(err)
	}
	if err := j.Save(machine("auto-1")); err != nil {
		t.Fatal(err)
	}
	if e.Owner == j.Owner() {
		t.Error("the agent's owner tag is on a machine made by hand")
	}
	machines, problems, err := j.Load()
	if err != nil || len(machines) != 1 || machines[0].Name != "auto-1" {
		t.Errorf("the agent loads %v, %v", machines, err)
	}
	if len(problems) != 1 || problems[0].Machine != "mine" || !errors.Is(problems[0].Err, ErrByHand) {
		t.Errorf("problems %v", problems)
	}
	if !j.Has("mine") {
		t.Error("a machine made by hand could be taken for an orphan")
	}
	j.Close()
	if err := os.Remove(filepath.Join(dir, "owner")); err != nil { // it is found again in the agent's records alone
		t.Fatal(err)
	}
	if again := open(t, dir); again.Owner() != j.Owner() {
		t.Errorf("owner %s, was %s", again.Owner(), j.Owner())
	}
	got, err := h.Entry("mine")
	if diff := cmp.Diff(e, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	agents, err := h.Entry("auto-1")
	if err != nil || agents.Kind != KindAgent || agents.Owner != j.Owner() || agents.Machine.JobID != 4711 {
		t.Errorf("entry of the agent's machine: %+v, %v", agents, err)
	}
	if err := h.Remove("auto-1"); err == nil {
		t.Error("the agent's machine was forgotten")
	}
	if err := h.Save(agents); !errors.Is(err, ErrNoMachine) {
		t.Errorf("the agent's machine was changed: %v", err)
	}
	if err := h.Remove("mine"); err != nil || j.Has("mine") {
		t.Errorf("remove: %v", err)
	}
	if _, err := h.Entry("mine"); !errors.Is(err, ErrNoMachine) {
		t.Errorf("entry of what was removed: %v", err)
	}
}

func TestHandAtOnce(t *testing.T) {
	root := filepath.Join(t.TempDir(), "store")
	var mu sync.Mutex
	owners, added := map[string]bool{}, 0
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			h := byHand(t, root)
			owner, err := h.Owner()
			if err != nil {
				t.Error(err)
				return
			}
			err = h.Add(Entry{Owner: owner, Machine: fleet.Machine{Name: "m", Driver: "docker", State: fleet.Creating}})
			if err != nil && !errors.Is(err, ErrExists) {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			owners[owner] = true
			if err == nil {
				added++
			}
		})
	}
	wg.Wait()
	if len(owners) != 1 || added != 1 {
		t.Errorf("%d owner ids and %d machines; want one of each", len(owners), added)
	}
	names, err := byHand(t, root).Names()
	if err != nil || len(names) != 1 {
		t.Errorf("names %v, %v", names, err)
	}
}

func TestHandLock(t *testing.T) {
	h := byHand(t, t.TempDir())
	if err := h.Add(handEntry(t, h, "m")); err != nil {
		t.Fatal(err)
	}
	release, err := h.Lock(t.Context(), "m")
	if err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Lock(over, "m"); err == nil || !strings.Contains(err.Error(), "another command is at it (process id ") {
		t.Errorf("a second lock: %v", err)
	}
	release()
	if release, err = h.Lock(t.Context(), "m"); err != nil {
		t.Fatal(err)
	}
	release()
	if _, err := h.Lock(t.Context(), "none"); !errors.Is(err, ErrNoMachine) {
		t.Errorf("lock of none: %v", err)
	}
}

func TestHandReads(t *testing.T) {
	h := byHand(t, t.TempDir())
	put := func(name, file, text string) {
		t.Helper()
		if err := os.MkdirAll(h.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(h.Dir(name), file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("old", configFile, `{"ConfigVersion":3,"DriverName":"google","Driver":{"IPAddress":"10.1.2.3","SSHUser":"ubuntu","SSHPort":2222,"SSHKeyPath":"/k","Zone":"z"}}`)
	put("cut", configFile, `{"ConfigVersion"`)
	put("newer", handFile, `{"version":9,"reads_as":9,"driver":"docker"}`)
	put("empty", handFile, `{"version":1,"reads_as":1}`)
	for name, want := range map[string]struct {
		kind Kind
		text string
	}{"old": {KindForeign, ""}, "cut": {KindForeign, "unreadable record config.json"}, "newer": {KindByHand, "version 9"}, "empty": {KindByHand, "lacks a driver"}} {
		e, err := h.Entry(name)
		if err != nil || e.Kind != want.kind || (e.Err == nil) != (want.text == "") || e.Err != nil && !strings.Contains(e.Err.Error(), want.text) {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
	old, _ := h.Entry("old")
	if i := old.Machine.Instance; old.Machine.Driver != "google" || i.Address != "10.1.2.3" || i.SSHPort != 2222 || i.SSHUser != "ubuntu" || old.KeyFile != "/k" {
		t.Errorf("docker-machine's: %+v", old)
	}
	for _, name := range []string{"", "..", "a/b", "none"} {
		if _, err := h.Entry(name); !errors.Is(err, ErrNoMachine) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestHandConfig reads what gitlab-runner reads by itself.
func TestHandConfig(t *testing.T) {
	h := byHand(t, t.TempDir())
	if err := h.Add(handEntry(t, h, "m")); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(h.Dir("m"), configFile))
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		DriverName  string
		Driver      struct{ StorePath, SSHKeyPath string }
		HostOptions struct{ AuthOptions struct{ StorePath string } }
	}
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	if c.DriverName != "docker" || c.Driver.StorePath != h.Root() || c.HostOptions.AuthOptions.StorePath != h.Dir("m") || c.Driver.SSHKeyPath != filepath.Join(h.Dir("m"), "id_ed25519") {
		t.Errorf("config.json: %+v", c)
	}
	if strings.Contains(string(data), "s3cret") {
		t.Error("config.json holds a secret")
	}
}
