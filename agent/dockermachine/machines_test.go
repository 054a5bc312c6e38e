package dockermachine

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/journal"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

const many = 500

func manyMachines(t testing.TB) *world {
	t.Helper()
	w := newWorld(t)
	w.add(t, "machine-0")
	names := make([]string, 0, many-1)
	for n := range many - 1 {
		names = append(names, fmt.Sprintf("machine-%d", n+1))
	}
	w.copies(t, "machine-0", names)
	return w
}

// TestManyMachines asks the account once, whatever the number of machines, and each engine.
func TestManyMachines(t *testing.T) {
	w := manyMachines(t)
	if err := w.machines().Ls(t.Context(), Listing{Timeout: time.Minute}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(w.out.String()), "\n")
	if len(lines) != many+1 || w.lists != 1 {
		t.Errorf("%d lines, and %d calls of the provider", len(lines), w.lists)
	}
	if !strings.HasPrefix(lines[3], "machine-2 ") || strings.Count(w.out.String(), "v24.0.7") != many {
		t.Errorf("the list is\n%.400s", w.out.String())
	}
}

// BenchmarkLs is how long `docker-machine ls` takes with 500 machines, whose engines are asked too.
func BenchmarkLs(b *testing.B) {
	w := manyMachines(b)
	for b.Loop() {
		if err := w.machines().Ls(b.Context(), Listing{}); err != nil {
			b.Fatal(err)
		}
	}
}

func TestSilentProvider(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add(t, "m")
	w.silent = true
	if err := w.machines().Ls(t.Context(), Listing{Timeout: 100 * time.Millisecond, Format: "{{.Name}} {{.State}} {{.URL}} {{.DockerVersion}}"}); err != nil {
		t.Fatal(err)
	}
	if got := w.out.String(); got != "m Timeout  Unknown\n" {
		t.Errorf("ls: %q", got)
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add(t, "m")
	for _, tt := range []struct {
		status abi.Status
		want   string
		fails  bool
	}{
		{abi.StatusRunning, "Running", false}, {abi.StatusStopped, "Stopped", false}, {abi.StatusCreating, "Starting", false},
		{abi.StatusInterrupted, "Stopping", false}, {abi.StatusGone, "", false}, {abi.StatusUnknown, "Error", true},
	} {
		w.set("m", tt.status)
		err := w.machines().Status(t.Context(), []string{"m"})
		if got := strings.TrimSuffix(w.out.String(), "\n"); got != tt.want || (err != nil) != tt.fails {
			t.Errorf("%s: %q, %v", tt.status, got, err)
		}
	}
	w.fail(errors.New("the cloud is away"))
	if err := w.machines().Status(t.Context(), []string{"m"}); err == nil || !strings.Contains(w.err.String(), "the cloud is away") {
		t.Errorf("a provider that fails: %v, %q", err, w.err.String())
	}
}

// TestRemoveForce has a provider that does not remove a machine: what is forgotten all the same is told, with an exit code.
func TestRemoveForce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add(t, "m")
	w.fail(&driver.Error{Driver: "cloud", Op: "remove", Info: abi.Error{Kind: abi.Auth, Message: "the key is no good"}})
	err := w.machines().Remove(t.Context(), []string{"m"}, Removal{Yes: true})
	if err == nil || !strings.Contains(err.Error(), "the key is no good") {
		t.Errorf("a removal that fails: %v", err)
	}
	if _, err := w.store.Entry("m"); err != nil {
		t.Errorf("its entry: %v", err)
	}
	err = w.machines().Remove(t.Context(), []string{"m"}, Removal{Force: true})
	if err == nil || !strings.Contains(err.Error(), "the instance i-m of cloud may be left") || strings.Contains(w.out.String(), "Successfully") {
		t.Errorf("with force: %v\n%s", err, w.out.String())
	}
	if _, err := w.store.Entry("m"); !errors.Is(err, journal.ErrNoMachine) {
		t.Errorf("its entry after force: %v", err)
	}
}

// TestCreateFails has providers that refuse: before, and when they are asked.
func TestCreateFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fail(errors.New("no way in"))
	err := w.machines().Create(t.Context(), "cloud", "m", nil)
	var exit *ExitError
	if !errors.As(err, &exit) || exit.Code != 3 || !strings.Contains(err.Error(), "pre-create check: no way in") {
		t.Errorf("a provider that does not answer: %v", err)
	}
	if names, _ := w.store.Names(); len(names) > 0 {
		t.Errorf("left in the store: %v", names)
	}
	w.fail(nil)
	w.add(t, "m")
	if err := w.machines().Create(t.Context(), "cloud", "m", nil); err == nil || err.Error() != `Docker machine "m" already exists` {
		t.Errorf("again: %v", err)
	}
	w.set("lost", abi.StatusRunning)
	if err := w.machines().Create(t.Context(), "cloud", "lost", nil); err == nil || !strings.Contains(err.Error(), "of that name already") {
		t.Errorf("an instance that is there: %v", err)
	}
}

func TestEnv(t *testing.T) {
	w := newWorld(t)
	w.add(t, "m")
	t.Setenv("SHELL", "/bin/sh")
	t.Setenv("no_proxy", "10.0.0.1,127.0.0.1")
	dir, host := w.store.Dir("m"), fmt.Sprintf("tcp://127.0.0.1:%d", w.port)
	for shell, want := range map[string]string{
		"": "export DOCKER_TLS_VERIFY=\"1\"\nexport DOCKER_HOST=\"" + host + "\"\nexport DOCKER_CERT_PATH=\"" + dir + "\"\nexport DOCKER_MACHINE_NAME=\"m\"\n" +
			"export no_proxy=\"10.0.0.1,127.0.0.1\"\n# Run this command to configure your shell: \n# eval $(docker-machine env m)\n",
		"fish": "set -gx DOCKER_TLS_VERIFY \"1\";\nset -gx DOCKER_HOST \"" + host + "\";\nset -gx DOCKER_CERT_PATH \"" + dir + "\";\nset -gx DOCKER_MACHINE_NAME \"m\";\n" +
			"set -gx no_proxy \"10.0.0.1,127.0.0.1\";\n# Run this command to configure your shell: \n# eval (docker-machine env m)\n",
		"cmd": "SET DOCKER_TLS_VERIFY=1\nSET DOCKER_HOST=" + host + "\nSET DOCKER_CERT_PATH=" + dir + "\nSET DOCKER_MACHINE_NAME=m\n" +
			"SET no_proxy=10.0.0.1,127.0.0.1\nREM Run this command to configure your shell: \nREM \t@FOR /f \"tokens=*\" %i IN ('docker-machine env m') DO @%i\n",
		"powershell": "$Env:DOCKER_TLS_VERIFY = \"1\"\n$Env:DOCKER_HOST = \"" + host + "\"\n$Env:DOCKER_CERT_PATH = \"" + dir + "\"\n$Env:DOCKER_MACHINE_NAME = \"m\"\n" +
			"$Env:no_proxy = \"10.0.0.1,127.0.0.1\"\n# Run this command to configure your shell: \n# & docker-machine env m | Invoke-Expression\n",
		"tcsh": "setenv DOCKER_TLS_VERIFY \"1\";\nsetenv DOCKER_HOST \"" + host + "\";\nsetenv DOCKER_CERT_PATH \"" + dir + "\";\nsetenv DOCKER_MACHINE_NAME \"m\";\n" +
			"setenv no_proxy \"10.0.0.1,127.0.0.1\";\n: Run this command to configure your shell: \n: eval `docker-machine env m`\n",
		"emacs": "(setenv \"DOCKER_TLS_VERIFY\" \"1\")\n(setenv \"DOCKER_HOST\" \"" + host + "\")\n(setenv \"DOCKER_CERT_PATH\" \"" + dir + "\")\n(setenv \"DOCKER_MACHINE_NAME\" \"m\")\n" +
			"(setenv \"no_proxy\" \"10.0.0.1,127.0.0.1\")\n;; Run this command to configure your shell: \n;; (with-temp-buffer (shell-command \"docker-machine env m\" (current-buffer)) (eval-buffer))\n",
	} {
		if err := w.machines().Env(t.Context(), []string{"m"}, Environment{Shell: shell, NoProxy: true}); err != nil {
			t.Errorf("%s: %v", shell, err)
		} else if got := w.out.String(); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", shell, got, want)
		}
	}
}

// TestInspect has numbers that a float would round, and credentials, which are left out.
func TestInspect(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dir := w.store.Dir("old")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	text := `{"DriverName":"digitalocean","Driver":{"DropletID":412345678901234,"IPAddress":"192.0.2.1","AccessToken":"t0ken","RootPassword":"t0ken","SecretKey":"t0ken"}}`
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for format, want := range map[string]string{
		"{{.Driver.DropletID}} {{.Driver.None}}": "412345678901234 <no value>\n", "{{json .Driver.IPAddress}}": "\"192.0.2.1\"\n",
		"{{prettyjson .Driver}}": "{\n    \"DropletID\": 412345678901234,\n    \"IPAddress\": \"192.0.2.1\"\n}\n",
	} {
		if err := w.machines().Inspect([]string{"old"}, format); err != nil || w.out.String() != want {
			t.Errorf("%s: %q, %v", format, w.out.String(), err)
		}
	}
	if err := w.machines().Inspect([]string{"old"}, "{{.Driver"); err == nil || !strings.HasPrefix(err.Error(), "Template parsing error: ") {
		t.Errorf("a bad template: %v", err)
	}
}

// TestInspectOurs has a machine of a driver of ours: docker-machine's driver keeps more in config.json, which scripts read.
func TestInspectOurs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner, err := w.store.Owner()
	if err != nil {
		t.Fatal(err)
	}
	for name, m := range map[string]fleet.Machine{
		"g": {Driver: "google", Instance: abi.Instance{Name: "g", ID: "4711", Address: "192.0.2.1", State: abi.Raw(`{"zone":"europe-west1-c"}`)}, Options: abi.Options{
			"google-project": {"p"}, "google-zone": {"europe-west1-b"}, "google-machine-type": {"n2-standard-2"}, "google-disk-size": {"20"}, "google-preemptible": {"true"},
		}},
		"a": {Driver: "amazonec2", Instance: abi.Instance{Name: "a", ID: "i-0123", Address: "192.0.2.2", SSHPort: 2222}, Options: abi.Options{
			"amazonec2-region": {"eu-west-1"}, "amazonec2-zone": {"b"}, "amazonec2-secret-key": {"given"}, "amazonec2-access-key": {"given"},
		}},
		"d": {Driver: "digitalocean", Instance: abi.Instance{Name: "d", ID: "33"}, Options: abi.Options{"digitalocean-access-token": {"given"}, "digitalocean-region": {"fra1"}}},
		"h": {Driver: "hetzner", Instance: abi.Instance{Name: "h", ID: "44"}, Options: abi.Options{"hetzner-server-type": {"cx23"}}},
		"z": {Driver: "azure", Options: abi.Options{"azure-location": {"westeurope"}, "azure-client-secret": {"given"}}},
	} {
		m.Name, m.State, m.SSHUser = name, fleet.Idle, "ubuntu"
		if err := w.store.Add(journal.Entry{Owner: owner, Machine: m}); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ name, format, want string }{
		{"g", "{{.Driver.Zone}} {{.Driver.Project}} {{.Driver.MachineType}} {{.Driver.DiskSize}} {{.Driver.Preemptible}}", "europe-west1-c p n2-standard-2 20 true"},
		{"g", "{{.Driver.IPAddress}} {{.Driver.MachineName}} {{.Driver.SSHUser}} {{.Driver.SSHPort}} {{.DriverName}}", "192.0.2.1 g ubuntu 22 google"},
		{"g", "{{.Driver.SSHKeyPath}} {{.Driver.StorePath}}", filepath.Join(w.store.Dir("g"), "id_ed25519") + " " + w.store.Root()},
		{"a", "{{.Driver.InstanceId}} {{.Driver.Region}}{{.Driver.Zone}} {{.Driver.IPAddress}}:{{.Driver.SSHPort}} {{.Driver.KeyName}}", "i-0123 eu-west-1b 192.0.2.2:2222 a"},
		{"a", "{{.Driver.SecretKey}} {{.Driver.AccessKey}}", "<no value> <no value>"},
		{"d", "{{.Driver.DropletID}} {{.Driver.Region}} {{.Driver.AccessToken}}", "33 fra1 <no value>"},
		{"h", "{{.Driver.ServerID}} {{.Driver.Type}} {{.Driver.AccessToken}}", "44 cx23 <no value>"},
		{"z", "{{.Driver.Location}} {{.Driver.ClientSecret}}", "westeurope <no value>"},
	} {
		if err := w.machines().Inspect([]string{tt.name}, tt.format); err != nil || w.out.String() != tt.want+"\n" {
			t.Errorf("%s of %s: %q, %v; want %q", tt.format, tt.name, w.out.String(), err, tt.want)
		}
	}
}

func TestNatural(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ less, more string }{{"m2", "m10"}, {"m", "m1"}, {"a10b2", "a10b10"}, {"m02", "m3"}, {"m1", "m01"}, {"a", "b"}} {
		if natural(tt.less, tt.more) >= 0 || natural(tt.more, tt.less) <= 0 || natural(tt.less, tt.less) != 0 {
			t.Errorf("%s does not come before %s", tt.less, tt.more)
		}
	}
}

// TestPlainProgress has the phases of a creation, with the times that a clock gives.
func TestPlainProgress(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	now := time.Unix(0, 0)
	p := &plain{w: &out, now: func() time.Time { now = now.Add(1500 * time.Millisecond); return now }}
	p.Phase("insert")
	p.Phase("boot")
	p.End(errors.New("no"))
	if want := "insert     1.5 s\nboot       1.5 s failed\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}
