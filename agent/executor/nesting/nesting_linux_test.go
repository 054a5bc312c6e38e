package nesting_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"

	"github.com/millwright-ci/millwright/agent/executor/nesting"
	"github.com/millwright-ci/millwright/agent/internal/nestd"
	"github.com/millwright-ci/millwright/agent/internal/sshd"
)

func TestMain(m *testing.M) {
	nestd.Main()
	goleak.VerifyTestMain(m)
}

// login is a connection to the instance.
func login(t *testing.T, h *sshd.Host) nesting.Client {
	t.Helper()
	key, err := os.ReadFile(h.Identity)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	client, err := ssh.Dial("tcp", net.JoinHostPort(h.Address, h.PortText()), &ssh.ClientConfig{
		User: h.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return func(context.Context) (*ssh.Client, error) { return client, nil }
}

var settings = map[string]any{"password": nestd.Password}

func open(t *testing.T, h *sshd.Host, host string) *nesting.Daemon {
	t.Helper()
	d, err := nesting.Open(t.Context(), nesting.Options{Host: host, Config: settings}, login(t, h))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// ids are those of the virtual machines that the daemon tells of.
func ids(t *testing.T, d *nesting.Daemon) []string {
	t.Helper()
	list, err := d.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, vm := range list {
		out = append(out, vm.ID)
	}
	return out
}

// A daemon that nobody has set up is; a slot holds one virtual machine; what is gone is deleted.
func TestDaemon(t *testing.T) {
	t.Parallel()
	there, nest := sshd.Start(t), nestd.Start(t, 3)
	d := open(t, there, "unix://"+nest.Socket)
	if got := ids(t, d); len(got) != 0 {
		t.Errorf("at first there are %v", got)
	}
	first, stomped, err := d.Create(t.Context(), "macos-15", 0)
	if err != nil || stomped != "" || first.ID == "" || first.Addr == "" || first.Name != "macos-15" {
		t.Fatalf("%+v, %q, %v", first, stomped, err)
	}
	other, stomped, err := d.Create(t.Context(), "macos-15", 1)
	if err != nil || stomped != "" {
		t.Fatalf("another slot: %+v, %q, %v", other, stomped, err)
	}
	second, stomped, err := d.Create(t.Context(), "macos-15", 0)
	if err != nil || stomped != first.ID {
		t.Fatalf("the same slot: %+v, %q, %v; want that %s is deleted", second, stomped, err, first.ID)
	}
	for range 2 { // once more is as well
		if err := d.Delete(t.Context(), second.ID); err != nil {
			t.Error(err)
		}
	}
	if got := ids(t, d); len(got) != 1 || got[0] != other.ID {
		t.Errorf("there are %v, want %s alone", got, other.ID)
	}
	nest.Restart(t) // it keeps neither set-up nor slots
	if _, stomped, err := d.Create(t.Context(), "macos-15", 1); err != nil || stomped != "" {
		t.Errorf("after a restart: %q, %v", stomped, err)
	}
	if err := d.Clear(t.Context()); err != nil || len(nest.VMs(t)) != 0 {
		t.Errorf("%v; left are %v", err, nest.VMs(t))
	}
}

// The daemon is found where it listens by itself, and where it is told to by blanks that are written or not.
func TestPlaces(t *testing.T) {
	t.Parallel()
	there, nest := sshd.Start(t), nestd.Start(t, 1)
	for _, host := range []string{"unix://" + strings.ReplaceAll(nest.Socket, " ", "%20"), "unix:" + nest.Socket} {
		if got := ids(t, open(t, there, host)); len(got) != 0 {
			t.Errorf("%s: %v", host, got)
		}
	}
	_, err := nesting.Open(t.Context(), nesting.Options{}, login(t, there))
	if err == nil || !nesting.Unreachable(err) || !strings.Contains(err.Error(), "nesting_host") {
		t.Errorf("without a daemon at its usual places: %v", err)
	}
	usual := filepath.Join(there.Home, "Library", "Application Support")
	if err := os.MkdirAll(usual, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(nest.Socket, filepath.Join(usual, "nesting.sock")); err != nil {
		t.Fatal(err)
	}
	if got := ids(t, open(t, there, "")); len(got) != 0 {
		t.Errorf("at its usual place: %v", got)
	}
}

// What the daemon says is said, and silence is told apart from it.
func TestErrors(t *testing.T) {
	t.Parallel()
	there, nest := sshd.Start(t), nestd.Start(t, 1)
	d := open(t, there, "unix://"+nest.Socket)
	_, _, err := d.Create(t.Context(), nestd.Broken, 0)
	if err == nil || err.Error() != `nesting daemon: create a virtual machine of "broken": no image "broken"` || nesting.Unreachable(err) {
		t.Errorf("an image that is not there: %v", err)
	}
	_, err = open(t, there, "unix:///nowhere/nesting.sock").List(t.Context())
	if err == nil || !nesting.Unreachable(err) {
		t.Errorf("no daemon: %v", err)
	}
	bare, err := nesting.Open(t.Context(), nesting.Options{Host: "unix://" + nestd.Start(t, 1).Socket}, login(t, there))
	if err != nil {
		t.Fatal(err)
	}
	defer bare.Close()
	if _, err := bare.List(t.Context()); err == nil || !strings.Contains(err.Error(), "nesting_config has no password") {
		t.Errorf("a set-up that it refuses: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(os.ErrDeadlineExceeded)
	if _, _, err := d.Create(ctx, "macos-15", 0); err == nil || !strings.Contains(err.Error(), os.ErrDeadlineExceeded.Error()) {
		t.Errorf("a call that is over: %v", err)
	}
	for _, host := range []string{"nesting.sock", "unix://nesting.sock", "unix:nesting.sock", "tcp://host", "tcp:host:1", "http://host:1", "/run/nesting.sock"} {
		if _, err := nesting.Open(t.Context(), nesting.Options{Host: host}, nil); err == nil || !strings.Contains(err.Error(), "unix:///PATH") {
			t.Errorf("%s: %v", host, err)
		}
	}
}
