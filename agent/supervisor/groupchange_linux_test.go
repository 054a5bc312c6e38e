package supervisor

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/internal/fakecloud"
	"github.com/millwright-ci/millwright/agent/module/dropin"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// oneInstance is a module that serves the group of the tests' plug-in, of which it knows one instance.
func oneInstance(version, id, address, login string) []byte {
	return moduletest.Tiny(map[string]string{
		abi.ExportDescribe: `{"abi":1,"kind":"driver","name":"mwtest","version":"` + version + `","group":true,"options":[
			{"name":"cloud","type":"string","help":"its URL"},{"name":"token","type":"string","help":"a secret"}]}`,
		abi.ExportValidate:    `{"ok":{"problems":[]}}`,
		abi.ExportGroupInfo:   `{"ok":{"id":"mwtest/by-module","max_size":1}}`,
		abi.ExportList:        `{"ok":{"instances":[{"name":"` + id + `","id":"` + id + `","status":"running"}],"complete":true}}`,
		abi.ExportIncrease:    `{"error":{"kind":"quota","message":"there is one instance"}}`,
		abi.ExportDecrease:    `{"error":{"kind":"transient","message":"it stays"}}`,
		abi.ExportConnectInfo: `{"ok":{"os":"linux","internal_addr":"` + address + `","username":"` + login + `","key_authorized":true}}`,
	})
}

// A group changes hands while a job runs on its instance: from the plug-in to a module that is dropped in, from that to another one in its place, and back
// to the plug-in by a reload. The instance stays, and what can't serve takes nobody's place.
func TestGroupChangesHands(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f := newFolder(t)
	p := w.plugged("hands", executorInstance)
	r, a := &p.runner, p.runner.Autoscaler
	a.CapacityPerInstance, a.MaxInstances = 2, 1
	a.ConnectorConfig.KeyPath = sshKey(t)
	w.config.Runners = []config.Runner{*r}
	g := newGate(w, p.Gateway, "one")
	w.startPlugged(f.operator)
	machine := w.untilReady(1)[0]
	const id = "hands-0001"
	for _, login := range []string{"mw", "second"} {
		if err := p.Authorize(id, fakecloud.UserData{SSHUser: login, AuthorizedKey: publicOf(t, a.ConnectorConfig.KeyPath)}); err != nil {
			t.Fatal(err)
		}
	}
	one := w.coordinator.Enqueue(g.held(executorInstance, "one"))
	g.wait(1)
	drop := func(data []byte, settled func(dropin.Status) bool) {
		t.Helper()
		f.drop("drivers.d/mwtest.wasm", data)
		w.until("the module is looked at", func() bool {
			var list ModuleList
			w.get("/v1/modules", &list)
			for _, m := range list.Modules {
				if m.Name == "mwtest" && settled(m) {
					return true
				}
			}
			return false
		})
	}
	loaded := func(version string) func(dropin.Status) bool {
		return func(m dropin.Status) bool { return m.Version == version && m.Refused == "" }
	}
	refused := func(why string) func(dropin.Status) bool {
		return func(m dropin.Status) bool { return m.Loaded && strings.Contains(m.Refused, why) }
	}
	runsAs := func(login string) {
		t.Helper()
		job := w.coordinator.Enqueue(shelled("job", "id -un"))
		w.succeeds(job)
		if on, _ := w.placed(job); on != machine.Name || !strings.Contains(w.trace(job), "\n"+login+"\n") {
			t.Errorf("the job ran elsewhere, or as another one than %s:\n%s", login, w.trace(job))
		}
	}
	handed := func(to string) {
		t.Helper()
		if said := w.log.wait("Group is served by another one from now on; its instances stay"); said["now"] != to {
			t.Errorf("the group is served by %s, want %s", said["now"], to)
		}
	}

	drop(oneInstance("1", id, machine.Address, "mw"), loaded("1"))
	handed("the module mwtest")
	w.until("the plug-in has ended", func() bool { return len(p.Calls("shutdown")) == 1 })
	asked := len(p.Calls("list"))
	runsAs("mw")
	drop(oneInstance("2", id, machine.Address, "second"), loaded("2"))
	runsAs("second")
	drop([]byte("no module"), refused("is not WebAssembly"))
	drop(tinyDriver("3"), refused("is no driver of groups"))
	runsAs("second")
	if n := len(p.Calls("list")) + len(p.Calls("init")); n != asked+1 {
		t.Errorf("the plug-in was asked %d times while the module served", n-asked-1)
	}

	another := *a
	another.Plugin = "mwtest:2"
	w.reload(func(c *config.Config) { c.Runners[0].Autoscaler = &another })
	handed("the plug-in")
	runsAs("mw")
	close(g.open["one"])
	w.succeeds(one)
	if on, _ := w.placed(one); on != machine.Name || fmt.Sprint(w.machineNames()) != fmt.Sprint([]string{machine.Name}) {
		t.Errorf("the job ran on %s, and there are %v", on, w.machineNames())
	}
	w.endPlugged(p)
}

// publicOf is the public half of a private key's file, as a line of authorized_keys.
func publicOf(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.ParsePrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(ssh.MarshalAuthorizedKey(key.PublicKey()))
}
