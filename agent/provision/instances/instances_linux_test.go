package instances_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/client"
	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/driver/group"
	"github.com/millwright-ci/millwright/agent/executor/connect"
	"github.com/millwright-ci/millwright/agent/executor/nesting"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/internal/need"
	"github.com/millwright-ci/millwright/agent/internal/nestd"
	"github.com/millwright-ci/millwright/agent/internal/sshd"
	"github.com/millwright-ci/millwright/agent/provision"
	"github.com/millwright-ci/millwright/agent/provision/instances"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

func TestMain(m *testing.M) {
	nestd.Main()
	goleak.VerifyTestMain(m)
}

// bench is a host that stands for an instance of a group.
type bench struct {
	*sshd.Host
	pin    string // the file of its host key
	wishes instances.Wishes
	p      *instances.Provisioner
	m      fleet.Machine
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{Host: sshd.Start(t), pin: filepath.Join(t.TempDir(), "machine", "host_key.pub")}
	machines, err := provision.New(provision.Options{StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	b.m = fleet.Machine{Name: "m-1", Instance: abi.Instance{ID: "i-1", Address: b.Address}}
	b.p = instances.New(instances.Options{Machines: machines,
		Target: func(context.Context, fleet.Machine) (*connect.Target, error) { return b.target() },
		Wishes: func(fleet.Machine) instances.Wishes { return b.wishes },
	})
	t.Cleanup(b.p.Close)
	return b
}

func (b *bench) target() (*connect.Target, error) {
	key, err := os.ReadFile(b.Identity)
	if err != nil {
		return nil, err
	}
	return connect.New(connect.Options{
		Connector:  config.Connector{Username: b.User, ProtocolPort: b.Port, Timeout: config.Duration(time.Minute)},
		Connection: group.Connection{InternalAddr: b.Address, Key: config.Secret(key)}, PinFile: b.pin,
	})
}

// provision tells the phases, too.
func (b *bench) provision(t *testing.T) (phases string, err error) {
	t.Helper()
	var all []string
	_, err = b.p.Provision(t.Context(), b.m, func(phase string) { all = append(all, phase) })
	return strings.Join(all, " "), err
}

func TestReadyCommand(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.wishes.ReadyCommand = "echo it is >$HOME/ready"
	if phases, err := b.provision(t); err != nil || phases != "ssh ready" {
		t.Errorf("%s, %v", phases, err)
	}
	if text, err := os.ReadFile(filepath.Join(b.Home, "ready")); string(text) != "it is\n" {
		t.Errorf("the command left %q, %v", text, err)
	}
	b.wishes.ReadyCommand = "seq 3000; echo the disk is full >&2; exit 7"
	_, err := b.provision(t)
	if err == nil || !strings.HasPrefix(err.Error(), "machine m-1: ready: instance_ready_command: exit code 7; its output ended: ...") ||
		!strings.HasSuffix(err.Error(), "the disk is full") || len(err.Error()) > 3000 {
		t.Errorf("a command that fails: %v", err)
	}
	if err := b.p.Check(t.Context(), b.m); err != nil {
		t.Errorf("the probe: %v", err)
	}
}

// The first host key that an instance shows is noted, and no other is taken from then on.
func TestPinnedHostKey(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if _, err := b.provision(t); err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(b.pin)
	if err != nil || !strings.HasPrefix(string(first), "ssh-ed25519 ") {
		t.Fatalf("the key that is noted: %q, %v", first, err)
	}
	if _, err := b.provision(t); err != nil {
		t.Errorf("the same host once more: %v", err)
	}
	b.Host = sshd.Start(t) // another one at its address
	_, err = b.provision(t)
	if err == nil || !strings.Contains(err.Error(), connect.ErrHostKey.Error()) {
		t.Errorf("another host: %v", err)
	}
	if now, _ := os.ReadFile(b.pin); string(now) != string(first) {
		t.Error("the file has another key now")
	}
}

// The engine is reached through the instance's sshd, also after the connection was lost.
func TestEngineThroughSSH(t *testing.T) {
	t.Parallel()
	engine := need.Docker(t)
	b := newBench(t)
	b.wishes = instances.Wishes{Engine: instances.Tunnel, EngineHost: engine, Way: connect.Forward, CheckTime: time.Minute}
	if phases, err := b.provision(t); err != nil || phases != "ssh engine image" {
		t.Fatalf("%s, %v", phases, err)
	}
	if err := b.p.Check(t.Context(), b.m); err != nil {
		t.Errorf("the probe: %v", err)
	}
	_, dial, err := b.p.Reach(t.Context(), b.m)
	if err != nil {
		t.Fatal(err)
	}
	api, err := client.NewClientWithOpts(client.WithHost("tcp://engine"), client.WithDialContext(dial), client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	if _, err := api.Info(t.Context()); err != nil {
		t.Error(err)
	}
	b.Cut()
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		_, err := api.Info(t.Context())
		if err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the engine after the connection was lost: %v", err)
		}
	}
	b.wishes.EngineHost = "npipe:////./pipe/docker_engine"
	if err := b.p.Check(t.Context(), b.m); err == nil || !strings.Contains(err.Error(), "give unix://PATH or tcp://HOST:PORT") {
		t.Errorf("an address of nothing: %v", err)
	}
}

// An instance of jobs in virtual machines is ready when its daemon answers, and has none that an agent before left.
func TestNesting(t *testing.T) {
	t.Parallel()
	b, nest := newBench(t), nestd.Start(t, 2)
	o := nesting.Options{Host: "unix://" + nest.Socket, Config: map[string]any{"password": nestd.Password}}
	b.wishes.Nest = &o
	leave := func() {
		t.Helper()
		target, err := b.target()
		if err != nil {
			t.Fatal(err)
		}
		d, err := nesting.Open(t.Context(), o, func(ctx context.Context) (*ssh.Client, error) { return target.Dial(ctx) })
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if _, _, err := d.Create(t.Context(), "left", 1); err != nil {
			t.Fatal(err)
		}
	}
	leave()
	if phases, err := b.provision(t); err != nil || phases != "ssh nesting" || len(nest.VMs(t)) != 0 {
		t.Errorf("%s, %v; left are %v", phases, err, nest.VMs(t))
	}
	leave()
	if err := b.p.Check(t.Context(), b.m); err != nil || len(nest.VMs(t)) != 1 {
		t.Errorf("the probe: %v; there are %v", err, nest.VMs(t))
	}
	if err := b.p.Clean(t.Context(), b.m); err != nil || len(nest.VMs(t)) != 0 {
		t.Errorf("clean: %v; left are %v", err, nest.VMs(t))
	}
	o.Config = nil
	nest.Restart(t)
	if _, err := b.provision(t); err == nil || !strings.Contains(err.Error(), "machine m-1: nesting: nesting daemon: list: set it up with nesting_config: ") {
		t.Errorf("a daemon that refuses its set-up: %v", err)
	}
}
