package instances_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/driver/group"
	"github.com/millwright-ci/millwright/agent/executor/connect"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/internal/winrmd"
	"github.com/millwright-ci/millwright/agent/provision"
	"github.com/millwright-ci/millwright/agent/provision/instances"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// newWindows is a bench whose instance is reached over WinRM.
func newWindows(t *testing.T, there *winrmd.Host) *bench {
	t.Helper()
	b := &bench{pin: filepath.Join(t.TempDir(), "machine", "host_key.pub"), m: fleet.Machine{Name: "m-1", Instance: abi.Instance{ID: "i-1", Address: "127.0.0.1"}}}
	machines, err := provision.New(provision.Options{StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	b.p = instances.New(instances.Options{
		Machines: machines,
		Target: func(context.Context, fleet.Machine) (*connect.Target, error) {
			return connect.New(connect.Options{
				Connector:  config.Connector{Protocol: connect.WinRMHTTPS, ProtocolPort: there.Port, Username: winrmd.User, Password: winrmd.Password, Timeout: config.Duration(time.Minute)},
				Connection: group.Connection{InternalAddr: there.Address}, PinFile: b.pin,
			})
		},
		Wishes: func(fleet.Machine) instances.Wishes { return b.wishes },
	})
	t.Cleanup(b.p.Close)
	return b
}

// A Windows host is ready when its command has succeeded, and shows one certificate for ever.
func TestWindows(t *testing.T) {
	t.Parallel()
	there := winrmd.Start(t, true)
	b := newWindows(t, there)
	b.wishes.ReadyCommand = "echo it is >ready"
	if phases, err := b.provision(t); err != nil || phases != "ssh ready" {
		t.Errorf("%s, %v", phases, err)
	}
	if text, err := os.ReadFile(filepath.Join(there.Home, "ready")); string(text) != "it is\n" {
		t.Errorf("the command left %q, %v", text, err)
	}
	b.wishes.ReadyCommand = "echo the disk is full >&2; exit 7"
	if _, err := b.provision(t); err == nil || err.Error() != "machine m-1: ready: instance_ready_command: exit code 7; its output: the disk is full" {
		t.Errorf("a command that fails: %v", err)
	}
	b.wishes.CheckTime = time.Minute
	if err := b.p.Check(t.Context(), b.m); err != nil {
		t.Errorf("the probe: %v", err)
	}

	file := filepath.Join(filepath.Dir(b.pin), "host_certificate.sha256")
	if err := os.WriteFile(file, []byte(strings.Repeat("0", 64)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.p.Check(t.Context(), b.m); err == nil || !strings.Contains(err.Error(), connect.ErrCertificate.Error()) {
		t.Errorf("another certificate: %v", err)
	}
}
