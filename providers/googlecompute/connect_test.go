package main

import (
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakegce"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

// keysOf returns the lines of ssh-keys of a VM, and how many entries its metadata has.
func keysOf(t *testing.T, c *fakegce.Cloud, vm string) (lines []string, entries int) {
	t.Helper()
	metadata, _ := c.Instances(testProject)[vm]["metadata"].(map[string]any)
	items, _ := metadata["items"].([]any)
	for _, i := range items {
		if i := i.(map[string]any); i["key"] == keySSH {
			lines = strings.Split(i["value"].(string), "\n")
		}
	}
	return lines, len(items)
}

// withMetadata is a group whose template has these entries.
func withMetadata(entries ...string) func(*fakegce.Group) {
	return func(g *fakegce.Group) {
		var items []any
		for i := 0; i < len(entries); i += 2 {
			items = append(items, map[string]any{"key": entries[i], "value": entries[i+1]})
		}
		g.Size = 1
		g.Template = map[string]any{
			"disks": []any{map[string]any{"boot": true, "architecture": "ARM64"}}, "metadata": map[string]any{"items": items},
			"networkInterfaces": []any{map[string]any{"network": "n"}},
		}
	}
}

// TestConnect tells the addresses and lets the agent's key in, once, and leaves all other metadata as it is.
func TestConnect(t *testing.T) {
	t.Parallel()
	c := start(t, fakegce.Settings{}, func(g *fakegce.Group) { g.Size = 1 })
	o := options(c)
	vm := awaitRunning(t, o, 1)[0]
	got, err := googlecompute{}.Connect(request(o, vm))
	if err != nil || got.OS != "linux" || got.Arch != "amd64" || got.Protocol != "ssh" || got.Username != "runner" || !got.KeyAuthorized ||
		!strings.HasPrefix(got.InternalAddr, "10.") || !strings.HasPrefix(got.ExternalAddr, "203.0.113.") {
		t.Fatalf("%+v, %v", got, err)
	}
	_, entries := keysOf(t, c, vm)
	if lines, _ := keysOf(t, c, vm); len(lines) != 1 || lines[0] != "runner:"+testKey+" millwright" || entries != 4 {
		t.Errorf("%d entries, keys %q", entries, lines)
	}
	for range 2 {
		if again, err := (googlecompute{}).Connect(request(o, vm)); err != nil || again != got {
			t.Errorf("%+v, %v", again, err)
		}
	}
	if n := c.Record()["compute.instances.setMetadata"]; n != 1 {
		t.Errorf("the metadata was set %d times, want once", n)
	}
	other := request(o, vm)
	other.AuthorizedKey = "ssh-ed25519 ANOTHER"
	if _, err := (googlecompute{}).Connect(other); err != nil {
		t.Fatal(err)
	}
	if lines, n := keysOf(t, c, vm); len(lines) != 1 || !strings.Contains(lines[0], "ANOTHER") || n != entries {
		t.Errorf("%d entries, keys %q", n, lines)
	}
	if err := (googlecompute{}).Heartbeat(request(o, vm)); err != nil {
		t.Error(err)
	}
}

// TestConnectTemplates looks at what a template says of logins.
func TestConnectTemplates(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		group  func(*fakegce.Group)
		change func(*abi.ConnectRequest)
		want   abi.ConnectInfo // but for addresses
		says   string          // of an error
		keys   int
	}{
		"others' keys stay": {withMetadata(keySSH, "admin:ssh-rsa AAA admin@example.com\nrunner:ssh-rsa BBB me"), nil,
			abi.ConnectInfo{OS: "linux", Arch: "arm64", Protocol: "ssh", Username: "runner", KeyAuthorized: true}, "", 3},
		"no user name": {withMetadata(), func(r *abi.ConnectRequest) { r.Username = "" },
			abi.ConnectInfo{OS: "linux", Arch: "arm64", Protocol: "ssh", Username: defaultUser, KeyAuthorized: true}, "", 1},
		"own credentials": {withMetadata(keyOSLogin, "TRUE"), func(r *abi.ConnectRequest) { r.AuthorizedKey = "" },
			abi.ConnectInfo{OS: "linux", Arch: "arm64", Protocol: "ssh", Username: "runner"}, "", 0},
		"OS Login": {withMetadata(keyOSLogin, "TRUE"), nil, abi.ConnectInfo{}, "enable-oslogin=FALSE in the metadata of the group's template", 0},
		"root":     {withMetadata(), func(r *abi.ConnectRequest) { r.Username = "root" }, abi.ConnectInfo{}, "no login for root", 0},
		"Windows":  {windows(), nil, abi.ConnectInfo{OS: "windows", Arch: "amd64", Protocol: "winrm", Username: "runner"}, "", 0},
		"Windows with SSH": {windows(keyWindows, "TRUE"), nil,
			abi.ConnectInfo{OS: "windows", Arch: "amd64", Protocol: "ssh", Username: "runner", KeyAuthorized: true}, "", 1},
		"Windows, SSH by connector_config": {windows(), func(r *abi.ConnectRequest) { r.Protocol = "ssh" },
			abi.ConnectInfo{OS: "windows", Arch: "amd64", Protocol: "ssh", Username: "runner", KeyAuthorized: true}, "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := start(t, fakegce.Settings{}, tc.group)
			o := options(c)
			vm := awaitRunning(t, o, 1)[0]
			req := request(o, vm)
			if tc.change != nil {
				tc.change(&req)
			}
			got, err := googlecompute{}.Connect(req)
			if tc.says != "" {
				if !driver.Is(err, abi.Invalid) || !strings.Contains(err.Error(), tc.says) {
					t.Errorf("got %v, want %q", err, tc.says)
				}
			} else if got.InternalAddr, got.ExternalAddr = "", ""; err != nil || got != tc.want {
				t.Errorf("got %+v, %v\nwant %+v", got, err, tc.want)
			}
			if lines, _ := keysOf(t, c, vm); len(lines) != tc.keys {
				t.Errorf("keys %q, want %d", lines, tc.keys)
			}
		})
	}
}

func windows(entries ...string) func(*fakegce.Group) {
	return func(g *fakegce.Group) {
		withMetadata(entries...)(g)
		g.Template["disks"] = []any{map[string]any{"boot": true, "architecture": "X86_64",
			"licenses": []any{"https://www.googleapis.com/compute/v1/projects/windows-cloud/global/licenses/windows-server-2022-dc"}}}
	}
}

// TestNotOfTheGroup touches nothing that the group did not make, whatever its name: neither a VM of another group in the zone nor one of nobody's.
func TestNotOfTheGroup(t *testing.T) {
	t.Parallel()
	c := start(t, fakegce.Settings{}, func(g *fakegce.Group) { g.Size = 1 })
	c.AddGroup(fakegce.Group{Project: testProject, Location: "zones/" + testZone, Name: "others", Size: 1})
	c.AddGroup(fakegce.Group{Project: testProject, Location: "regions/us-central1", Name: "regional", Size: 2})
	o := options(c)
	ours := awaitRunning(t, o, 1)
	inAll := options(c, optName, "regional", optZone, "", optRegion, "us-central1")
	regionals := awaitRunning(t, inAll, 2)
	theirs := awaitRunning(t, options(c, optName, "others"), 1)
	for _, o := range []abi.Options{o, inAll} {
		for _, vm := range []string{theirs[0], "nobody"} {
			if _, err := (googlecompute{}).Connect(request(o, vm)); !driver.Is(err, abi.NotFound) {
				t.Errorf("connect to %s: %v", vm, err)
			}
		}
		decrease(t, o, theirs[0], "nobody")
	}
	if _, err := (googlecompute{}).Connect(request(inAll, regionals[1])); err != nil {
		t.Error(err)
	}
	if lines, _ := keysOf(t, c, theirs[0]); len(lines) > 0 {
		t.Errorf("another group's VM has the keys %q", lines)
	}
	for location, want := range map[string]int{"zones/" + testZone: 1, "regions/us-central1": 2} {
		name := map[int]string{1: "others", 2: "regional"}[want]
		if members, target := c.Members(testProject, location, name); len(members) != want || target != want {
			t.Errorf("the group %s has %v, and is to have %d", name, members, target)
		}
	}
	if got := awaitRunning(t, o, 1); got[0] != ours[0] {
		t.Errorf("of %v there are left %v", ours, got)
	}
}

// TestNotRunning says what a VM that can't be connected to is.
func TestNotRunning(t *testing.T) {
	t.Parallel()
	c := start(t, fakegce.Settings{}, func(g *fakegce.Group) { g.Size = 1 })
	o := options(c)
	vm := awaitRunning(t, o, 1)[0]
	if err := c.Put(vm, "STAGING"); err != nil {
		t.Fatal(err)
	}
	if err := (googlecompute{}).Heartbeat(request(o, vm)); !driver.Is(err, abi.Transient) || !strings.Contains(err.Error(), "is STAGING") {
		t.Errorf("got %v", err)
	}
}
