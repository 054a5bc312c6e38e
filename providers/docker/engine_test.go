package main

import (
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	hostside "github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/drivertest"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/native"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestEngine runs the driver against a real engine, with an image whose only program says a word and waits for its end: natively, by a front that can
// fail, and as the module that ships, by one that wants a certificate.
func TestEngine(t *testing.T) {
	w, heard := newWorld(t), drivertest.Listen(t)
	subject := func(t *testing.T, f *front, d hostside.Driver) drivertest.Subject {
		o := w.options(t)
		o[optHost] = []string{f.URL}
		return drivertest.Subject{
			Driver: d, Options: o, Leftovers: func(owner abi.Owner) []string { return w.leftovers(t, owner) },
			Invalid:  abi.Options{optHost: o[optHost], optNetwork: o[optNetwork], optImage: {"millwright-test/no-such-image"}},
			Switches: true, Console: said, Checks: true, Heard: heard,
		}
	}
	t.Run("suite natively", func(t *testing.T) {
		t.Parallel() // most of the time the engine is waited for
		f := w.newFront(t, (*httptest.Server).Start)
		drivertest.Run(t, func(t *testing.T) drivertest.Subject {
			s := subject(t, f, native.Driver("docker"))
			s.Calls, s.Inject, s.Faults = f.Calls, f.Fail, []drivertest.Fault{drivertest.LostRemove, drivertest.HalfMade, drivertest.Junk, drivertest.Silent}
			s.Says = drivertest.Sayings(func(fault string) (code, words string) {
				no := failures[drivertest.Fault(fault)]
				return strconv.Itoa(no.status), no.message
			})
			s.Put, s.States = f.Put, []abi.Status{abi.StatusStopped, abi.StatusGone}
			return s
		})
	})
	t.Run("suite as Wasm", func(t *testing.T) {
		t.Parallel()
		f, d := newGuarded(t, w)
		drivertest.Run(t, func(t *testing.T) drivertest.Subject { return subject(t, f, d) })
	})
	for name, test := range map[string]func(*testing.T, *world, machine){
		"the bootstrap data are there before the start": bootstrapArrives,
		"without privileges":                            withoutPrivileges,
		"options reach the container":                   optionsArrive,
		"published ports":                               published,
		"a container that was never started":            heals,
		"a volume without a container":                  volumeOnly,
		"a network that went":                           networkGone,
		"somebody's network stays":                      foreignNetwork,
		"somebody's container stays":                    foreignContainer,
		"off and on again":                              switched,
		"what the engine must let through":              permissions,
	} {
		t.Run(name, func(t *testing.T) { test(t, w, w.machine(t)) })
	}
}

func bootstrapArrives(t *testing.T, w *world, m machine) {
	made := m.create(t)
	got := w.files(t, made.ID, "/etc/millwright")
	for name, want := range map[string]string{
		"millwright/":                         "40700 ",
		"millwright/authorized_keys":          "100600 ssh-ed25519 KEY\n",
		"millwright/ssh_user":                 "100644 builder\n",
		"millwright/ssh_host_ed25519_key":     "100600 PRIVATE\nEND\n",
		"millwright/ssh_host_ed25519_key.pub": "100644 ssh-ed25519 HOST\n",
	} {
		if got[name] != want {
			t.Errorf("%s: %q, want %q", name, got[name], want)
		}
	}
}

func withoutPrivileges(t *testing.T, w *world, m machine) {
	m.options[optPrivileged] = []string{"false"}
	var c struct{ HostConfig hostConfig }
	w.inspect(t, m.create(t).ID, &c)
	h := c.HostConfig
	if h.Privileged || len(h.CapAdd) != 1 || len(h.CapDrop) != 1 || !h.Init || h.CgroupnsMode != "private" || len(h.DeviceCgroupRules) != 1 {
		t.Errorf("the container has %+v", h)
	}
	if h.MaskedPaths == nil || len(*h.MaskedPaths) != 0 {
		t.Errorf("masked paths: %v, want none", h.MaskedPaths)
	}
}

func optionsArrive(t *testing.T, w *world, m machine) {
	for name, value := range map[string]string{optCPUs: "0.5", optMemory: "64m", optDNS: "192.0.2.53", optLabel: "team=ci", optVolume: "/tmp:/host-tmp:ro"} {
		m.options[name] = []string{value}
	}
	made := m.create(t)
	var c struct {
		Config     struct{ Labels map[string]string }
		HostConfig hostConfig
	}
	w.inspect(t, made.ID, &c)
	h := c.HostConfig
	if h.NanoCPUs != 5e8 || h.Memory != 64<<20 || len(h.DNS) != 1 || len(h.Binds) != 1 || c.Config.Labels["team"] != "ci" {
		t.Errorf("the container has %+v, labels %v", h, c.Config.Labels)
	}
	if got := w.files(t, made.ID, "/etc/millwright")["millwright/resolv.conf"]; got != "100644 nameserver 192.0.2.53\n" {
		t.Errorf("resolv.conf: %q", got)
	}
}

func published(t *testing.T, _ *world, m machine) {
	m.options[optPublish] = []string{"true"}
	made := m.create(t)
	if made.Address != "127.0.0.1" || made.SSHPort == 0 || made.EnginePort == 0 {
		t.Errorf("create gave %+v", made)
	}
	all := m.list(t)
	if len(all) != 1 || all[0].SSHPort != made.SSHPort || all[0].EnginePort != made.EnginePort || all[0].Address != made.Address || all[0].CreatedAt != made.CreatedAt {
		t.Errorf("list gives %+v, create gave %+v", all, made)
	}
}

func heals(t *testing.T, _ *world, m machine) {
	e := m.engine(t)
	if err := e.make(m.request()); err != nil {
		t.Fatal(err)
	}
	if all := m.list(t); len(all) != 1 || all[0].Status != abi.StatusCreating {
		t.Errorf("before: %+v", all)
	}
	if made := m.create(t); made.Status != abi.StatusRunning {
		t.Errorf("create left it %+v", made)
	}
}

func volumeOnly(t *testing.T, _ *world, m machine) {
	if err := m.engine(t).ensureVolume(m.request()); err != nil {
		t.Fatal(err)
	}
	if all := m.list(t); len(all) != 1 || all[0].Name != m.name || all[0].Status != abi.StatusCreating || !strings.Contains(all[0].Message, "only its volume") {
		t.Errorf("list gives %+v", all)
	}
	m.remove(t)
	if all := m.list(t); len(all) != 0 {
		t.Errorf("after remove: %+v", all)
	}
}

func networkGone(t *testing.T, _ *world, m machine) {
	e := m.engine(t)
	if err := e.make(m.request()); err != nil {
		t.Fatal(err)
	}
	if err := e.call("DELETE", "/networks/"+e.network, nil, nil, nil); err != nil {
		t.Fatal(err)
	}
	if made := m.create(t); made.Status != abi.StatusRunning || made.Address == "" {
		t.Errorf("create gave %+v", made)
	}
}

func foreignNetwork(t *testing.T, w *world, m machine) {
	e := m.engine(t)
	if err := e.call("POST", "/networks/create", nil, map[string]any{"Name": e.network}, nil); err != nil {
		t.Fatal(err)
	}
	m.create(t)
	m.remove(t)
	if err := e.call("GET", "/networks/"+e.network, nil, nil, nil); err != nil {
		t.Errorf("somebody's network: %v", err)
	}
	if err := e.call("DELETE", "/networks/"+e.network, nil, nil, nil); err != nil {
		t.Error(err)
	}
}

func foreignContainer(t *testing.T, _ *world, m machine) {
	e := m.engine(t)
	if err := e.call("POST", "/containers/create", url.Values{"name": {m.name}}, map[string]any{"Image": e.image}, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.call("DELETE", "/containers/"+m.name, url.Values{"force": {"1"}}, nil, nil) })
	_, err := dockerDriver{}.Create(m.request())
	checkKind(t, err, abi.Conflict, "that this agent did not make")
	m.remove(t)
	if err := e.call("GET", "/containers/"+m.name+"/json", nil, nil, nil); err != nil {
		t.Errorf("somebody's container: %v", err)
	}
}

func switched(t *testing.T, w *world, m machine) {
	m.create(t)
	for _, step := range []struct {
		export string
		want   abi.Status
	}{
		{abi.ExportStop, abi.StatusStopped}, {abi.ExportStop, abi.StatusStopped}, {abi.ExportKill, abi.StatusStopped}, {abi.ExportStart, abi.StatusRunning},
		{abi.ExportStart, abi.StatusRunning}, {abi.ExportKill, abi.StatusStopped}, {abi.ExportRestart, abi.StatusRunning},
	} {
		req := m.request()
		err := dockerDriver{}.Switch(step.export, abi.SwitchRequest{Owner: req.Owner, Name: req.Name, Options: req.Options})
		if all := m.list(t); err != nil || len(all) != 1 || all[0].Status != step.want {
			t.Fatalf("%s: %v, and then %+v; want %s", step.export, err, all, step.want)
		}
	}
	other := m.request()
	other.Owner.ID = "somebodyelse0000"
	err := dockerDriver{}.Switch(abi.ExportStop, abi.SwitchRequest{Owner: other.Owner, Name: other.Name, Options: other.Options})
	if err == nil || !strings.Contains(err.Error(), string(abi.NotFound)) {
		t.Errorf("another owner's machine: %v", err)
	}
}
