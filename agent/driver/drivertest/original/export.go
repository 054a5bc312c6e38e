package original

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/driver/legacy/legacytest"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/journal"
	"github.com/millwright-ci/millwright/agent/migrate"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Exported gives a machine that our driver made to docker-machine, in a store of its own, and has that show it running, at its address, and remove
// it. Of what it was given it must know each field that its version has as it is. env is its environment besides.
func Exported(t testing.TB, driver string, i abi.Instance, o abi.Options, env ...string) {
	t.Helper()
	run := loaded(t, driver, 15, i, o, env...)
	if state := run("status", i.Name); state != "Running" {
		t.Errorf("docker-machine says that it is %s", state)
	}
	if ip := run("ip", i.Name); ip != i.Address {
		t.Errorf("docker-machine has it at %s, want %s", ip, i.Address)
	}
	run("rm", "-y", i.Name)
}

// Loaded gives a machine to docker-machine as Exported does, and has that read it alone: no provider is asked. docker-machine must know that many of
// the fields at least.
func Loaded(t testing.TB, driver string, least int, i abi.Instance, o abi.Options) {
	t.Helper()
	run := loaded(t, driver, least, i, o)
	if names := run("ls", "-q"); names != i.Name {
		t.Errorf("docker-machine has %q", names)
	}
}

// loaded returns docker-machine's command line over the store that the machine was given to.
func loaded(t testing.TB, driver string, least int, i abi.Instance, o abi.Options, env ...string) func(args ...string) string {
	t.Helper()
	store := t.TempDir()
	given := export(t, store, driver, i, o)
	binary := legacytest.DockerMachine(t)
	run := func(args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		c := exec.CommandContext(ctx, binary, args...)
		c.Env = append(os.Environ(), "MACHINE_STORAGE_PATH="+store, "PATH="+filepath.Dir(binary)+string(os.PathListSeparator)+os.Getenv("PATH"))
		c.Env = append(c.Env, env...)
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("docker-machine %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out))
	}
	var known map[string]any
	if err := json.Unmarshal([]byte(run("inspect", i.Name, "-f", "{{json .Driver}}")), &known); err != nil {
		t.Fatal(err)
	}
	same := 0
	for name, value := range given {
		theirs, ok := known[name]
		if !ok {
			continue // of GitLab's versions
		}
		if same++; !reflect.DeepEqual(value, theirs) {
			t.Errorf("%s: docker-machine reads %v as %v", name, value, theirs)
		}
	}
	if same < least {
		t.Errorf("docker-machine knows %d of the fields %v", same, given)
	}
	return run
}

// export writes the store and returns the driver's part of config.json.
func export(t testing.TB, store, driver string, i abi.Instance, o abi.Options) map[string]any {
	t.Helper()
	j, err := journal.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	m := fleet.Machine{Name: i.Name, Runner: "build/abc", Driver: driver, Options: o, State: fleet.Idle, CreatedAt: time.Now(), SSHUser: "root", Instance: i}
	if err := j.Save(m); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(j.Folder(i.Name), "id_ed25519"), []byte("key"), 0o600); err != nil {
		t.Fatal(err)
	}
	e := &migrate.Exporter{Store: store, Journal: j, Reveal: func(m fleet.Machine) (abi.Options, error) { return m.Options, nil }}
	rows, err := e.Plan(t.Context())
	if err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	if err := rows[0].Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(store, "machines", i.Name, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var config struct{ Driver map[string]any }
	if err := json.Unmarshal(data, &config); err != nil {
		t.Fatal(err)
	}
	return config.Driver
}
