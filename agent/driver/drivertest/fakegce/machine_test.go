package fakegce_test

import (
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakegce"
	"github.com/millwright-ci/millwright/agent/driver/wasm"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/internal/fakecloud"
	"github.com/millwright-ci/millwright/agent/internal/need"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/agent/provision"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestMachinesAreProvisioned makes a VM with the driver as it ships, has the real provisioner log in to it, by the host key that it was given
// and with the login that google-username names, and asks its engine.
func TestMachinesAreProvisioned(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems have one address of loopback's")
	}
	need.Root(t)
	if l, err := net.Listen("tcp", "127.77.113.1:22"); err != nil {
		t.Skipf("port 22 is taken at every address: %v", err)
	} else {
		l.Close()
	}
	cloud, err := fakegce.Start(fakegce.Settings{OpTime: 20 * time.Millisecond, BootTime: 100 * time.Millisecond, Machines: true, Engine: fakecloud.Jobs()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cloud.Close(); err != nil {
			t.Error(err)
		}
		if wrong := cloud.Wrong(); len(wrong) > 0 {
			t.Error(wrong)
		}
	})
	m, err := moduletest.Host(t, module.Limits{}).Load(t.Context(), module.Source{Name: "google", Wasm: moduletest.Guest(t, "providers/google"), Builtin: true})
	if err != nil {
		t.Fatal(err)
	}
	plain, err := wasm.New(m)
	if err != nil {
		t.Fatal(err)
	}
	d := plain.With(wasm.Powers{Endpoint: cloud.URL(), Credentials: nobody()})
	p, err := provision.New(provision.Options{StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	bootstrap, err := p.Bootstrap(t.Context(), "m1")
	if err != nil {
		t.Fatal(err)
	}
	owner, options := abi.Owner{ID: "abcdefgh01234567"}, abi.Options{"google-project": {"p1"}, "google-username": {"builder"}}
	if _, err := d.Create(t.Context(), abi.CreateRequest{Owner: owner, Name: "m1", Options: options, Bootstrap: bootstrap}); err != nil {
		t.Fatal(err)
	}
	machine := fleet.Machine{Name: "m1", Driver: "google"}
	for deadline := time.Now().Add(time.Minute); machine.Instance.Status != abi.StatusRunning; <-time.After(20 * time.Millisecond) {
		res, err := d.List(t.Context(), abi.ListRequest{Owner: owner, Options: options})
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("%+v, %v", res, err)
		}
		if len(res.Instances) == 1 {
			machine.Instance = res.Instances[0]
		}
	}
	if machine.Instance.SSHUser != "builder" {
		t.Errorf("the login is %q", machine.Instance.SSHUser)
	}
	if _, err := p.Provision(t.Context(), machine, nil); err != nil {
		t.Fatal(err)
	}
	if err := p.Check(t.Context(), machine); err != nil {
		t.Error(err)
	}
	if err := d.Remove(t.Context(), abi.RemoveRequest{Owner: owner, Name: "m1", Options: options, State: machine.Instance.State}); err != nil {
		t.Error(err)
	}
}
