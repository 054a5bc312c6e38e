package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

func open(t *testing.T, dir string) *Journal {
	t.Helper()
	j, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func machine(name string) fleet.Machine {
	at := time.Date(2026, 8, 20, 10, 0, 0, 123456789, time.UTC)
	return fleet.Machine{
		Name: name, Runner: "demo/abcdefghi", Driver: "docker",
		Options: abi.Options{"docker-image": {"debian"}, "docker-token": {"s3cret"}, "engine-registry-mirror": {"http://mirror:5000"},
			"tls-san": {"ci.example.com"}},
		State: fleet.Used, CreatedAt: at, ReadyAt: at.Add(time.Minute), IdleSince: at.Add(time.Hour), StateSince: at.Add(time.Hour),
		Slots: 4, UsedCount: 3, JobID: 4711, OtherJobs: []int64{4713, 4712}, RemoveReason: "none", RemoveTries: 2, RemoveErr: "a disk is in use", SSHUser: "core",
		Cordoned: true, Hold: fleet.Hold{Until: at.Add(2 * time.Hour), Reason: "a look"},
		ExpiresAt: at.Add(48 * time.Hour),
		Instance: abi.Instance{Name: name, ID: "12345678901234567890", Status: abi.StatusRunning, Address: "10.0.0.7", SSHPort: 2222,
			State: abi.Raw(`{"volume":"v1"}`)},
	}
}

func mustLoad(t *testing.T, j *Journal) []fleet.Machine {
	t.Helper()
	machines, problems, err := j.Load()
	if err != nil || len(problems) > 0 {
		t.Fatalf("load: %v, problems %v", err, problems)
	}
	return machines
}

// plainState compares opaque driver state as JSON: the file is indented.
var plainState = cmp.Transformer("compact", func(r abi.Raw) string {
	var v any
	json.Unmarshal(r, &v)
	return fmt.Sprint(v)
})

func TestSaveLoad(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	full := machine("runner-abc-auto-1-00000001")
	intent := fleet.Machine{Name: "runner-abc-auto-2-00000002", Runner: "demo/abcdefghi", Driver: "docker", State: fleet.Creating}
	for _, m := range []fleet.Machine{full, intent} {
		if err := j.Save(m); err != nil {
			t.Fatal(err)
		}
	}
	want := []fleet.Machine{full, intent}
	if diff := cmp.Diff(want, mustLoad(t, j), plainState); diff != "" {
		t.Errorf("loaded (-want +got):\n%s", diff)
	}
	machines, _, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, machines, plainState); diff != "" {
		t.Errorf("read without the lock (-want +got):\n%s", diff)
	}

	full.State = fleet.Idle
	full.SetJobs(nil)
	if err := j.Save(full); err != nil {
		t.Fatal(err)
	}
	if got := mustLoad(t, j)[0].State; got != fleet.Idle {
		t.Errorf("state %q after the second save, want idle", got)
	}
}

func TestRemove(t *testing.T) {
	j := open(t, t.TempDir())
	m := machine("gone")
	if err := j.Save(m); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(j.Store(), "machines", "gone", "id_ed25519")
	if err := os.WriteFile(key, []byte("key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if !j.Has("gone") {
		t.Error("Has is false for a saved machine")
	}
	for range 2 {
		if err := j.Remove("gone"); err != nil {
			t.Fatal(err)
		}
	}
	if j.Has("gone") || len(mustLoad(t, j)) != 0 {
		t.Error("the machine is still there")
	}
	if entries, _ := os.ReadDir(filepath.Join(j.Store(), "machines")); len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestNames(t *testing.T) {
	j := open(t, t.TempDir())
	outside := filepath.Join(j.Store(), "machines", "..", "certs")
	if err := os.MkdirAll(outside, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", ".", "..", "../certs", "a/b", `a\b`, ".hidden", "-x", "ü", strings.Repeat("x", 64)} {
		if err := j.Save(fleet.Machine{Name: name, Driver: "docker", State: fleet.Idle}); err == nil {
			t.Errorf("Save takes the name %q", name)
		}
		if err := j.Remove(name); err == nil {
			t.Errorf("Remove takes the name %q", name)
		}
		if j.Has(name) {
			t.Errorf("Has is true for %q", name)
		}
	}
	if _, err := os.Stat(outside); err != nil {
		t.Error(err)
	}
}

// TestProblems has folders that Load must report and leave alone.
func TestProblems(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	other, err := encodeRecord("zzzzzzzzzzzzzzzz", machine("other"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"corrupt/millwright.json":       `{"version": 1, "driver": "dock`,
		"empty-file/millwright.json":    ``,
		"newer/millwright.json":         `{"version": 9, "reads_as": 9, "driver": "docker", "state": "idle"}`,
		"strange-state/millwright.json": `{"version": 1, "owner": "` + j.Owner() + `", "driver": "docker", "state": "sleeping"}`,
		"other/millwright.json":         string(other),
		"foreign/config.json":           `{"ConfigVersion": 3}`,
		"phantom/id_rsa":                `key`,
		".hidden/millwright.json":       `nothing of ours`,
	}
	for name, content := range files {
		path := filepath.Join(j.machines(), name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Save(machine("good")); err != nil {
		t.Fatal(err)
	}
	j.Close()
	j = open(t, dir) // also after a restart

	machines, problems, err := j.Load()
	if err != nil || len(machines) != 1 || machines[0].Name != "good" {
		t.Errorf("machines %v, error %v; want the good one", machines, err)
	}
	want := map[string]error{
		"corrupt": ErrCorrupt, "empty-file": ErrCorrupt, "newer": ErrCorrupt, "strange-state": ErrCorrupt,
		"other": ErrOtherOwner, "foreign": ErrForeign, "phantom": ErrIncomplete,
	}
	for _, p := range problems {
		if !errors.Is(p.Err, want[p.Machine]) {
			t.Errorf("%s, want %v", p, want[p.Machine])
		}
		if !j.Has(p.Machine) {
			t.Errorf("Has(%s) is false: its instance would count as an orphan", p.Machine)
		}
		delete(want, p.Machine)
	}
	if len(want) > 0 {
		t.Errorf("not reported: %v", want)
	}
	for name, content := range files {
		if got, err := os.ReadFile(filepath.Join(j.machines(), name)); err != nil || string(got) != content {
			t.Errorf("%s: %v, changed: %t", name, err, string(got) != content)
		}
	}
}

func TestNewerVersionThatReadsAsOurs(t *testing.T) {
	m, _, err := decodeRecord("m", []byte(`{"version": 2, "reads_as": 1, "driver": "docker", "state": "idle", "new_field": {}}`))
	if err != nil || m.State != fleet.Idle {
		t.Errorf("%+v, %v", m, err)
	}
}

// TestCutOff has what a crash in the middle of a write or a removal leaves.
func TestCutOff(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	if err := j.Save(machine("kept")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"first-write/.tmp-millwright.json-1", "kept/.tmp-config.json-2", ".removed-old/millwright.json"} {
		path := filepath.Join(j.machines(), name)
		os.MkdirAll(filepath.Dir(path), 0o700)
		os.WriteFile(path, []byte("half"), 0o600)
	}
	if err := os.Mkdir(filepath.Join(j.machines(), "no-write"), 0o700); err != nil {
		t.Fatal(err)
	}
	j.Close()
	j = open(t, dir)
	if got := mustLoad(t, j); len(got) != 1 || got[0].Name != "kept" {
		t.Errorf("machines %v, want kept alone", got)
	}
	var left []string
	filepath.WalkDir(j.machines(), func(path string, d fs.DirEntry, err error) error {
		if !d.IsDir() {
			left = append(left, filepath.Base(path))
		}
		return err
	})
	if diff := cmp.Diff([]string{"config.json", "millwright.json"}, left); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// TestWatch has whoever watches told of each change before it is made.
func TestWatch(t *testing.T) {
	j := open(t, t.TempDir())
	var told []string
	j.Watch(func(machine, change string) { told = append(told, machine+" "+change) })
	m := machine("m")
	if err := errors.Join(j.Save(m), j.Save(m), j.Remove("m")); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"m save used: make folder", "m save used: write millwright.json", "m save used: put millwright.json",
		"m save used: write config.json", "m save used: put config.json",
		"m save used: make folder", "m save used: write millwright.json", "m save used: put millwright.json",
		"m remove: hide", "m remove: delete",
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

func TestModes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such modes")
	}
	dir := filepath.Join(t.TempDir(), "state")
	j := open(t, dir)
	if err := j.Save(machine("m")); err != nil {
		t.Fatal(err)
	}
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode().Perm(), want)
		}
		return nil
	})
}

// TestWriteFails has a folder that refuses writes: the error is clear and the old record stays.
func TestWriteFails(t *testing.T) {
	j := open(t, t.TempDir())
	m := machine("m")
	if err := j.Save(m); err != nil {
		t.Fatal(err)
	}
	// A folder in the place of the record cannot be replaced, also by root.
	record := filepath.Join(j.folder("m"), recordFile)
	good, _ := os.ReadFile(record)
	os.Remove(record)
	os.MkdirAll(filepath.Join(record, "x"), 0o700)
	m.State = fleet.Removing
	err := j.Save(m)
	if err == nil || !strings.HasPrefix(err.Error(), "machine m: journal: ") {
		t.Errorf("error %v; want one that names the machine", err)
	}
	entries, _ := os.ReadDir(j.folder("m"))
	for _, e := range entries {
		if isTemp(e.Name()) {
			t.Errorf("%s is left behind", e.Name())
		}
	}
	os.RemoveAll(record)
	os.WriteFile(record, good, 0o600)
	if got := mustLoad(t, j); got[0].State != fleet.Used {
		t.Errorf("state %q", got[0].State)
	}
}

func TestConfigJSON(t *testing.T) {
	j := open(t, t.TempDir())
	m := machine("m")
	if err := j.Save(m); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(j.folder("m"), configFile)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		ConfigVersion    int
		DriverName, Name string
		Driver           struct {
			IPAddress, MachineName, SSHUser, SSHKeyPath, StorePath string
			SSHPort                                                int
		}
		HostOptions struct {
			EngineOptions struct{ RegistryMirror []string }
			AuthOptions   struct {
				StorePath      string
				ServerCertSANs []string
			}
		}
	}
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	folder := j.folder("m")
	for _, tt := range []struct{ key, got, want string }{
		{"ConfigVersion", fmt.Sprint(c.ConfigVersion), "3"},
		{"DriverName", c.DriverName, "docker"},
		{"Name", c.Name, "m"},
		{"IPAddress", c.Driver.IPAddress, "10.0.0.7"},
		{"MachineName", c.Driver.MachineName, "m"},
		{"SSHUser", c.Driver.SSHUser, "core"},
		{"SSHPort", fmt.Sprint(c.Driver.SSHPort), "2222"},
		{"SSHKeyPath", c.Driver.SSHKeyPath, filepath.Join(folder, "id_ed25519")},
		{"StorePath", c.Driver.StorePath, j.Store()},
		{"RegistryMirror", fmt.Sprint(c.HostOptions.EngineOptions.RegistryMirror), "[http://mirror:5000]"},
		{"AuthOptions.StorePath", c.HostOptions.AuthOptions.StorePath, folder},
		{"ServerCertSANs", fmt.Sprint(c.HostOptions.AuthOptions.ServerCertSANs), "[ci.example.com]"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s is %s, want %s", tt.key, tt.got, tt.want)
		}
	}
	if strings.Contains(string(data), "s3cret") {
		t.Error("config.json holds a driver's secret")
	}
}

// TestConfigJSONKeepsUnknownKeys has a file of docker-machine's, whose driver fields a way back needs.
func TestConfigJSONKeepsUnknownKeys(t *testing.T) {
	j := open(t, t.TempDir())
	path := filepath.Join(j.folder("m"), configFile)
	os.MkdirAll(filepath.Dir(path), 0o700)
	os.WriteFile(path, []byte(`{"ConfigVersion": 3, "Driver": {"IPAddress": "1.1.1.1", "DropletID": 12345678901234567890}, "Extra": [1]}`), 0o600)
	if err := j.Save(machine("m")); err != nil {
		t.Fatal(err)
	}
	data, _ := os.ReadFile(path)
	for _, want := range []string{`"DropletID": 12345678901234567890`, `"IPAddress": "10.0.0.7"`, `"Extra": [`} {
		if !strings.Contains(string(data), want) {
			t.Errorf("config.json lacks %s:\n%s", want, data)
		}
	}
	before, _ := os.Stat(path)
	m := machine("m")
	m.UsedCount++ // nothing that config.json shows
	if err := j.Save(m); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.Stat(path); !os.SameFile(before, after) {
		t.Error("config.json was written again without a change")
	}
}

// TestPluginConfig has a docker-machine plug-in's machine: config.json has what the plug-in knows, for docker-machine to go on with.
func TestPluginConfig(t *testing.T) {
	j := open(t, t.TempDir())
	m := machine("m")
	if err := j.Save(m); err != nil {
		t.Fatal(err)
	}
	record := `{"driver": "hetzner", "config": {"ServerID": 12345678901234567890, "SSHUser": "core", "SSHKeyPath": "/key", "IPAddress": ""}}`
	if err := os.WriteFile(filepath.Join(j.folder("m"), driverFile), []byte(record), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := j.Save(m); err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile(filepath.Join(j.folder("m"), configFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"ServerID": 12345678901234567890`, `"SSHUser": "core"`, `"SSHKeyPath": "/key"`, `"IPAddress": "10.0.0.7"`, `"MachineName": "m"`} {
		if !strings.Contains(string(config), want) {
			t.Errorf("config.json lacks %s:\n%s", want, config)
		}
	}
}
