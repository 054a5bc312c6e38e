package migrate

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/driver/legacy"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/journal"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// running is a provider where all machines run.
type running struct{}

func (running) Ask(_ context.Context, name string, config json.RawMessage) (legacy.Facts, error) {
	var b base
	err := json.Unmarshal(config, &b)
	return legacy.Facts{State: "Running", Running: true, Address: b.IPAddress, SSHUser: "ubuntu", SSHKey: b.SSHKeyPath, SSHPort: 22}, err
}

// written is config.json of a machine of docker-machine's google, in a store that was moved since.
const written = `{"ConfigVersion": 3, "DriverName": "google", "Name": "m", "Extra": [1],
	"Driver": {"IPAddress": "10.0.0.7", "MachineName": "%[1]s", "SSHUser": "ubuntu", "SSHPort": 22, "SSHKeyPath": "/old/machines/%[1]s/id_rsa",
		"StorePath": "/old", "Zone": "europe-west1-b", "Project": "p", "MachineType": "n2-standard-4", "NewField": 12345678901234567890},
	"HostOptions": {"EngineOptions": {"RegistryMirror": ["https://mirror.gcr.io"]}, "AuthOptions": {"StorePath": "/old/machines/%[1]s"}}}`

// writeStore writes a store with one machine.
func writeStore(t *testing.T) string {
	t.Helper()
	store := t.TempDir()
	dir := filepath.Join(store, "machines", idleName)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"config.json": fmt.Sprintf(written, idleName), "config.json.tmp123": "{", "id_rsa": "key", "ca.pem": "ca", "cert.pem": "cert", "key.pem": "key", "server.pem": "server",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return store
}

func googleImporter(store string, j *journal.Journal) *Importer {
	return &Importer{
		Store: store, Journal: j, Jobs: func(context.Context, fleet.Endpoint) ([]string, error) { return nil, nil },
		Runners: []Runner{{Key: "build/Abcdefghi", Name: "build", ShortToken: "Abcdefghi", Driver: "google", MaxBuilds: 1, Options: abi.Options{"google-zone": {"us-central1-a"}}}},
		Plugin:  func(string) Plugin { return running{} },
	}
}

func exporter(store string, j *journal.Journal) *Exporter {
	return &Exporter{Store: store, Journal: j, Reveal: func(m fleet.Machine) (abi.Options, error) { return m.Options, nil }}
}

// whole does all of an import or an export, as the command line does.
func whole(ctx context.Context, m interface {
	Recover() error
	Plan(context.Context) ([]Row, error)
}) error {
	if err := m.Recover(); err != nil {
		return err
	}
	rows, err := m.Plan(ctx)
	for _, r := range rows {
		if err == nil && r.Take {
			err = r.Do(ctx)
		}
	}
	return err
}

// TestTakenOver has what becomes of config.json: paths of the store that it is in, and each field that nobody here knows.
func TestTakenOver(t *testing.T) {
	store := writeStore(t)
	j := openJournal(t, t.TempDir())
	if err := whole(t.Context(), googleImporter(store, j)); err != nil {
		t.Fatal(err)
	}
	machines, _, err := j.Load()
	if err != nil || len(machines) != 1 {
		t.Fatal(machines, err)
	}
	m := machines[0]
	if target := fleet.TargetOf(m.Driver, m.Options); target.Zone != "europe-west1-b" || target.Project != "p" || target.MachineType != "n2-standard-4" {
		t.Errorf("it is at %+v", target)
	}
	if m.UsedCount != 0 || m.Options.Get("engine-registry-mirror") != "https://mirror.gcr.io" {
		t.Errorf("machine %+v", m)
	}
	folder := j.Folder(idleName)
	if err := j.Save(m); err != nil { // as the agent does at its start
		t.Fatal(err)
	}
	for file, wants := range map[string][]string{
		"config.json": {`"NewField": 12345678901234567890`, `"Extra": [`, `"SSHKeyPath": "` + folder + `/id_rsa"`, `"StorePath": "` + j.Store() + `"`, `"StorePath": "` + folder + `"`},
		"driver.json": {`"NewField": 12345678901234567890`, `"ssh_key": "` + folder + `/id_rsa"`, `"StorePath": "` + j.Store() + `"`},
		"id_rsa":      {"key"},
		"server.pem":  {"server"},
	} {
		data, err := os.ReadFile(filepath.Join(folder, file))
		for _, want := range wants {
			if err != nil || !strings.Contains(string(data), want) {
				t.Errorf("%s lacks %s: %v\n%s", file, want, err, data)
			}
		}
	}
	if left, _ := filepath.Glob(filepath.Join(store, "machines", "*")); len(left) > 0 || fileExists(filepath.Join(folder, "config.json.tmp123")) {
		t.Errorf("left: %v", left)
	}
}

// holders says which of the two stores hold the machine.
func holders(t *testing.T, store string, j *journal.Journal) string {
	t.Helper()
	var out []string
	if fileExists(filepath.Join(store, "machines", idleName, "config.json")) {
		out = append(out, "theirs")
	}
	if machines, _, err := j.Load(); err != nil {
		t.Fatal(err)
	} else if len(machines) > 0 {
		out = append(out, "ours")
	}
	return strings.Join(out, " and ")
}

// TestCutOff cuts an import and an export off before each change of the agent's store: never do both programs hold the machine, and the next run
// ends it, with nothing left over.
func TestCutOff(t *testing.T) {
	for at := 0; ; at++ {
		store, state := writeStore(t), t.TempDir()
		steps := 0
		cutOff := func(run func(j *journal.Journal) error) (cut bool) {
			j, err := journal.Open(state)
			if err != nil {
				t.Fatal(err)
			}
			defer j.Close()
			defer func() {
				if recover() != nil {
					cut = true
				}
			}()
			j.Watch(func(string, string) {
				if steps++; steps == at+1 {
					panic("cut off")
				}
			})
			if err := run(j); err != nil {
				t.Fatal(err)
			}
			return false
		}
		moves := []struct {
			what string
			run  func(*journal.Journal) error
			ends string
		}{
			{"import", func(j *journal.Journal) error { return whole(t.Context(), googleImporter(store, j)) }, "ours"},
			{"export", func(j *journal.Journal) error { return whole(t.Context(), exporter(store, j)) }, "theirs"},
			{"import again", func(j *journal.Journal) error { return whole(t.Context(), googleImporter(store, j)) }, "ours"},
		}
		cut := false
		for _, m := range moves {
			if cutOff(m.run) {
				cut = true
				j := openJournal(t, state)
				if held := holders(t, store, j); held != "theirs" && held != "ours" && held != "" {
					t.Fatalf("%s, cut off at step %d: held by %s", m.what, at, held)
				}
				if err := m.run(j); err != nil {
					t.Fatalf("%s, cut off at step %d: the next run: %v", m.what, at, err)
				}
				j.Close()
			}
			j := openJournal(t, state)
			if held := holders(t, store, j); held != m.ends {
				t.Fatalf("%s, cut off at step %d: held by %q, want %s", m.what, at, held, m.ends)
			}
			for _, pattern := range []string{filepath.Join(store, "machines", ".*"), filepath.Join(j.Store(), "machines", stagedGlob)} {
				if left, _ := filepath.Glob(pattern); len(left) > 0 {
					t.Fatalf("%s, cut off at step %d: left: %v", m.what, at, left)
				}
			}
			j.Close()
		}
		if !cut {
			if at < 10 {
				t.Errorf("only %d steps were seen", at)
			}
			return
		}
	}
}

const stagedGlob = ".importing-*"

// TestDrain has machines taken over to be removed: that is what the agent does with them when it starts.
func TestDrain(t *testing.T) {
	j := openJournal(t, t.TempDir())
	i := googleImporter(writeStore(t), j)
	i.Drain = true
	if err := whole(t.Context(), i); err != nil {
		t.Fatal(err)
	}
	machines, _, err := j.Load()
	if err != nil || len(machines) != 1 || machines[0].State != fleet.Removing || machines[0].RemoveReason != drained {
		t.Errorf("taken over %+v %v", machines, err)
	}
}

// TestNotGiven has machines that docker-machine can't go on with, or that must not be moved now.
func TestNotGiven(t *testing.T) {
	j := openJournal(t, t.TempDir())
	instance := func(id string) abi.Instance {
		return abi.Instance{ID: id, Address: "10.0.0.7", Status: abi.StatusRunning}
	}
	for _, m := range []fleet.Machine{
		{Name: "busy", Driver: "google", State: fleet.Used, JobID: 4711},
		{Name: "coming", Driver: "google", State: fleet.Creating},
		{Name: "going", Driver: "google", State: fleet.Removing},
		{Name: "no-droplet", Driver: "digitalocean", State: fleet.Idle, Instance: instance("key-7")},
		{Name: "no-instance", Driver: "amazonec2", State: fleet.Idle, Instance: instance("key-7")},
		{Name: "no-token", Driver: "hetzner", State: fleet.Idle, Instance: instance("7")},
		{Name: "no-zone", Driver: "google", State: fleet.Idle, Instance: instance("7")},
		{Name: "ours-alone", Driver: "docker", State: fleet.Idle, Instance: instance("7")},
	} {
		if err := j.Save(m); err != nil {
			t.Fatal(err)
		}
	}
	_, got := plan(t, exporter(t.TempDir(), j))
	for n, want := range []string{
		"busy false busy: job 4711", "coming false it is half made", "going false it is being removed", `no-droplet false its instance is "key-7"`,
		`no-instance false its instance is "key-7"`, "no-token false docker-machine needs hetzner-api-token", "no-zone false its project or zone",
		"ours-alone false docker-machine has no driver docker; it has amazonec2, azure",
	} {
		if line := strings.Split(got, "\n")[n]; !strings.HasPrefix(line, want) {
			t.Errorf("planned %s\nwant %s", line, want)
		}
	}
}
