package migrate

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/driver/legacy"
	"github.com/millwright-ci/millwright/agent/driver/legacy/legacytest"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/journal"
	"github.com/millwright-ci/millwright/agent/provision"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

const (
	idleName  = "runner-abcdefghi-ci-1795277750-00000001"
	busyName  = "runner-abcdefghi-ci-1795277751-00000002"
	cutName   = "runner-abcdefghi-ci-1795277752-00000003"
	otherName = "runner-zyxwvutsr-ci-1795277753-00000004"
)

func importer(t *testing.T, d *theirs, j *journal.Journal) *Importer {
	t.Helper()
	return &Importer{
		Store: d.store, Journal: j, Jobs: provision.Jobs,
		Runners: []Runner{{
			Key: "build/Abcdefghi", Name: "build", ShortToken: "Abcdefghi", Driver: "none", MaxBuilds: 10,
			Options: abi.Options{"url": {"tcp://10.0.0.1:2376"}, "engine-label": {"of=%s"}},
		}},
		Plugin: func(name string) Plugin {
			p := legacy.New(legacy.Options{Name: name, Store: j.Store(), Find: func() (string, error) {
				if name != "none" {
					return "", legacy.ErrNone
				}
				return d.binary, nil
			}})
			t.Cleanup(p.Close)
			return p
		},
	}
}

// TestThereAndBack has a store that docker-machine wrote: what can be is taken over, serves, goes back, and docker-machine goes on with it.
func TestThereAndBack(t *testing.T) {
	d := newTheirs(t)
	idle, busy := legacytest.NewEngine(t), legacytest.NewEngine(t)
	d.must("create", "--driver", "none", "--url", idle.URL(), idleName)
	d.must("create", "--driver", "none", "--url", busy.URL(), busyName)
	d.must("create", "--driver", "none", "--url", idle.URL(), otherName)
	idle.Serve(t, filepath.Join(d.store, "certs"))
	busy.Serve(t, filepath.Join(d.store, "certs"))
	busy.Run("4711", false)
	cut := filepath.Join(d.store, "machines", cutName)
	if err := os.MkdirAll(cut, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(cut, "config.json"), []byte(`{"ConfigVersion": 3, "Dri`), 0o600); err != nil {
		t.Fatal(err)
	}
	state := t.TempDir()
	j := openJournal(t, state)
	i := importer(t, d, j)
	rows, got := plan(t, i)
	want := strings.Join([]string{
		idleName + " true serves jobs of the runner",
		busyName + " false busy: job 4711 of gitlab-runner runs on it",
		cutName + " false config.json can't be read, by docker-machine neither: unexpected end of JSON input; look at the provider for a machine of that name",
		otherName + " false its name is of none of the configuration's runners; --runner NAME gives it to one",
	}, "\n")
	if got != want {
		t.Fatalf("planned\n%s\nwant\n%s", got, want)
	}
	if machines, _, err := j.Load(); err != nil || len(machines) > 0 {
		t.Fatalf("the plan has changed the journal: %v %v", machines, err)
	}
	do(t, rows)
	machines, _, err := j.Load()
	if err != nil || len(machines) != 1 {
		t.Fatal(machines, err)
	}
	m := machines[0]
	if m.Name != idleName || m.State != fleet.Idle || m.Runner != "build/Abcdefghi" || m.UsedCount != 1 || !m.CreatedAt.Equal(time.Unix(1795277750, 0)) && m.CreatedAt.Before(time.Now()) {
		t.Errorf("machine %+v", m)
	}
	if m.Instance.Address != "127.0.0.1" || m.Instance.EnginePort != idle.Port() || m.Options.Get("engine-label") != "of="+idleName {
		t.Errorf("machine %+v", m)
	}
	if jobs, err := provision.Jobs(t.Context(), fleet.Endpoint{Host: idle.URL(), CertPath: j.Folder(idleName)}); err != nil || len(jobs) > 0 {
		t.Errorf("its engine, with the certificates in our store: %v %v", jobs, err)
	}
	if names := d.must("ls", "-q"); strings.Contains(names, idleName) || !strings.Contains(names, busyName) {
		t.Errorf("docker-machine has\n%s", names)
	}
	if _, again := plan(t, i); strings.Contains(again, "true") {
		t.Errorf("the next run would\n%s", again)
	}

	e := &Exporter{Store: d.store, Journal: j, Reveal: func(m fleet.Machine) (abi.Options, error) { return m.Options, nil }}
	rows, got = plan(t, e)
	if got != idleName+" true is docker-machine's" {
		t.Fatalf("planned %s", got)
	}
	do(t, rows)
	if machines, problems, err := j.Load(); len(machines)+len(problems) > 0 || err != nil || !j.Has(idleName) {
		t.Errorf("our store has %v %v %v, and knows of it: %t", machines, problems, err, j.Has(idleName))
	}
	if url, state := d.must("url", idleName), d.must("status", idleName); url != idle.URL() || state != "Running" {
		t.Errorf("docker-machine says %s, %s", url, state)
	}
	d.must("config", idleName) // speaks to the engine
	if dir := d.must("inspect", idleName, "-f", "{{.HostOptions.AuthOptions.StorePath}} {{.Driver.StorePath}}"); dir != filepath.Join(d.store, "machines", idleName)+" "+d.store {
		t.Errorf("its paths are %s", dir)
	}

	rows, got = plan(t, i)
	if !strings.HasPrefix(got, idleName+" true comes back: it was exported; serves jobs") {
		t.Errorf("planned\n%s", got)
	}
	do(t, rows)
	if machines, _, err := j.Load(); err != nil || len(machines) != 1 || machines[0].State != fleet.Idle || machines[0].UsedCount != 1 {
		t.Errorf("our store has %v %v", machines, err)
	}
	rows, _ = plan(t, e)
	do(t, rows)
	d.must("rm", "-y", idleName)
}

// TestJobComesMeanwhile has gitlab-runner take the machine for a job while it is taken over: it stays gitlab-runner's.
func TestJobComesMeanwhile(t *testing.T) {
	d := newTheirs(t)
	e := legacytest.NewEngine(t)
	d.must("create", "--driver", "none", "--url", e.URL(), idleName)
	e.Serve(t, filepath.Join(d.store, "certs"))
	e.Run("4712", true)
	j := openJournal(t, t.TempDir())
	rows, _ := plan(t, importer(t, d, j))
	if err := rows[0].Do(t.Context()); !errors.Is(err, ErrBusy) {
		t.Fatalf("error %v", err)
	}
	if machines, problems, err := j.Load(); len(machines)+len(problems) > 0 || err != nil {
		t.Errorf("our store has %v %v %v", machines, problems, err)
	}
	if got := d.must("url", idleName); got != e.URL() {
		t.Errorf("docker-machine has it at %s", got)
	}
	if left, _ := filepath.Glob(filepath.Join(j.Store(), "machines", ".*")); len(left) > 0 {
		t.Errorf("left in our store: %v", left)
	}
}

// TestNotTaken has what an import leaves alone, and what becomes of machines that are to be drained.
func TestNotTaken(t *testing.T) {
	d := newTheirs(t)
	e := legacytest.NewEngine(t)
	d.must("create", "--driver", "none", "--url", e.URL(), idleName)
	e.Serve(t, filepath.Join(d.store, "certs"))
	path := filepath.Join(d.store, "machines", idleName, "config.json")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		set  func(i *Importer)
		from string // in config.json
		to   string
		want string
	}{
		{"another driver than the runner's", func(i *Importer) { i.Runners[0].Driver = "google" }, "", "", "false the runner's MachineDriver is google"},
		{"the same, to be drained", func(i *Importer) { i.Runners[0].Driver, i.Drain = "google", true }, "", "", "true is removed by the agent"},
		{"nothing that has the driver", nil, `"DriverName": "none"`, `"DriverName": "linode"`, "the runner's MachineDriver is none"},
		{"the same, to be drained", func(i *Importer) { i.Drain = true }, `"DriverName": "none"`, `"DriverName": "linode"`, "no docker-machine that has it"},
		{"options that are wrong", func(i *Importer) { i.Runners[0].Err = errors.New("runner build: wrong") }, "", "", "false runner build: wrong"},
		{"an engine that is gone", nil, e.URL(), "tcp://127.0.0.1:1", "whether a job runs on it can't be known"},
		{"a version to come", nil, `"ConfigVersion": 3`, `"ConfigVersion": 4`, "config.json has version 4"},
		{"made by hand", func(*Importer) {
			if err := os.WriteFile(filepath.Join(filepath.Dir(path), handFile), []byte("{}"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "", "", "stays his"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			config := string(good)
			if tt.from != "" {
				if config = strings.ReplaceAll(config, tt.from, tt.to); config == string(good) {
					t.Fatalf("config.json has no %s:\n%s", tt.from, good)
				}
			}
			if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
				t.Fatal(err)
			}
			i := importer(t, d, openJournal(t, t.TempDir()))
			if tt.set != nil {
				tt.set(i)
			}
			if _, got := plan(t, i); !strings.Contains(got, tt.want) {
				t.Errorf("planned %s\nwant %s", got, tt.want)
			}
		})
	}
	i := importer(t, d, openJournal(t, t.TempDir()))
	i.Only = "nobody"
	if _, err := i.Plan(t.Context()); err == nil {
		t.Error("a runner that there is not")
	}
	i.Only, i.Store = "", i.Journal.Store()
	if _, err := i.Plan(t.Context()); err == nil {
		t.Error("the state directory's own store is imported")
	}
}
