package connect_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/driver/group"
	"github.com/millwright-ci/millwright/agent/executor/connect"
	"github.com/millwright-ci/millwright/agent/internal/sshd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What config.toml says of the way to an instance wins over what its group says.
func TestTarget(t *testing.T) {
	both := group.Connection{InternalAddr: "10.0.0.7", ExternalAddr: "198.51.100.7", Username: "ec2-user", Password: "x"}
	of := func(change func(*group.Connection)) group.Connection {
		g := both
		change(&g)
		return g
	}
	type want struct {
		address, user      string
		keepalive, timeout time.Duration
	}
	for name, tc := range map[string]struct {
		c    config.Connector
		g    group.Connection
		want want
	}{
		"nothing said":                 {config.Connector{}, both, want{"10.0.0.7:22", "ec2-user", 30 * time.Second, 10 * time.Minute}},
		"use_external_addr":            {config.Connector{UseExternalAddr: true}, both, want{"198.51.100.7:22", "ec2-user", 30 * time.Second, 10 * time.Minute}},
		"there is the other alone":     {config.Connector{}, of(func(g *group.Connection) { g.InternalAddr = "" }), want{"198.51.100.7:22", "ec2-user", 30 * time.Second, 10 * time.Minute}},
		"it has none outside":          {config.Connector{UseExternalAddr: true}, of(func(g *group.Connection) { g.ExternalAddr = "" }), want{"10.0.0.7:22", "ec2-user", 30 * time.Second, 10 * time.Minute}},
		"an address with a port":       {config.Connector{}, of(func(g *group.Connection) { g.InternalAddr = "10.0.0.7:2222" }), want{"10.0.0.7:2222", "ec2-user", 30 * time.Second, 10 * time.Minute}},
		"protocol_port":                {config.Connector{ProtocolPort: 2022}, of(func(g *group.Connection) { g.InternalAddr, g.Port = "10.0.0.7:2222", 23 }), want{"10.0.0.7:2022", "ec2-user", 30 * time.Second, 10 * time.Minute}},
		"keepalive, timeout, username": {config.Connector{Username: "ci", Keepalive: config.Duration(time.Minute), Timeout: config.Duration(time.Hour)}, of(func(g *group.Connection) { g.Keepalive, g.Timeout = time.Second, time.Second }), want{"10.0.0.7:22", "ci", time.Minute, time.Hour}},
		"the group's own":              {config.Connector{}, of(func(g *group.Connection) { g.Keepalive, g.Timeout = 5*time.Second, time.Minute }), want{"10.0.0.7:22", "ec2-user", 5 * time.Second, time.Minute}},
		"Windows":                      {config.Connector{Protocol: "winrm+https"}, of(func(g *group.Connection) { g.Username = "" }), want{"10.0.0.7:5986", "Administrator", 30 * time.Second, 10 * time.Minute}},
	} {
		got, err := connect.New(connect.Options{Connector: tc.c, Connection: tc.g, PinFile: filepath.Join(t.TempDir(), "host_key.pub")})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if now := (want{got.Address, got.User, got.Keepalive, got.Timeout}); now != tc.want {
			t.Errorf("%s: %+v, want %+v", name, now, tc.want)
		}
	}
	if _, err := connect.New(connect.Options{Connection: group.Connection{Password: "x"}}); err == nil || !strings.Contains(err.Error(), "no address yet") {
		t.Errorf("an instance without an address: %v", err)
	}
}

// The operator's credentials are tried first, and with use_static_credentials they are all that is.
func TestCredentials(t *testing.T) {
	there := sshd.Start(t)
	text, err := os.ReadFile(there.Identity)
	if err != nil {
		t.Fatal(err)
	}
	right, wrong := config.Secret(text), config.Secret(newKey(t))
	wrongFile := filepath.Join(t.TempDir(), "wrong")
	if err := os.WriteFile(wrongFile, []byte(wrong.Reveal()), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		c    config.Connector
		key  config.Secret // the group's
		want string        // in the error; "": the login works
	}{
		"the group's key":                                {config.Connector{}, right, ""},
		"the group's, after key_path":                    {config.Connector{KeyPath: wrongFile}, right, ""},
		"key_path, before the group's":                   {config.Connector{KeyPath: there.Identity}, wrong, ""},
		"use_static_credentials":                         {config.Connector{KeyPath: there.Identity, UseStaticCredentials: true}, wrong, ""},
		"use_static_credentials, the wrong key_path":     {config.Connector{KeyPath: wrongFile, UseStaticCredentials: true}, right, "unable to authenticate"},
		"use_static_credentials without any":             {config.Connector{UseStaticCredentials: true}, right, "there are no credentials for the instance"},
		"key_path that is not there":                     {config.Connector{KeyPath: wrongFile + "x"}, right, "connector_config: key_path: "},
		"a group's key that can't be read, and no other": {config.Connector{}, "no key", "there are no credentials for the instance"},
	} {
		c := tc.c
		c.ProtocolPort = there.Port
		target, err := connect.New(connect.Options{
			Connector: c, Connection: group.Connection{InternalAddr: there.Address, Username: there.User, Key: tc.key}, PinFile: filepath.Join(t.TempDir(), "host_key.pub"),
		})
		if err == nil {
			err = dial(t, target)
		}
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

// A login of a machine's that has no credentials is tried, too: hosts may ask for none, and this one says that it lets nobody in.
func TestLoginWithoutCredentials(t *testing.T) {
	there := sshd.Start(t)
	target, err := connect.New(connect.Options{
		Connector: config.Connector{ProtocolPort: there.Port}, Connection: group.Connection{InternalAddr: there.Address},
		Login: &ssh.ClientConfig{User: there.User, HostKeyCallback: ssh.InsecureIgnoreHostKey()},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := dial(t, target); err == nil || !strings.Contains(err.Error(), "unable to authenticate") {
		t.Errorf("it is let in, or nobody says why not: %v", err)
	}
}

// Credentials that end are asked for anew before they do; those that last are not.
func TestRenewed(t *testing.T) {
	there := sshd.Start(t)
	text, err := os.ReadFile(there.Identity)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		expires time.Time
		asked   int
	}{"ended": {time.Now().Add(-time.Second), 1}, "lasts": {time.Now().Add(24 * time.Hour), 0}, "without end": {time.Time{}, 0}} {
		asked := 0
		c := group.Connection{InternalAddr: there.Address, Username: there.User, Key: config.Secret(text), Expires: tc.expires}
		target, err := connect.New(connect.Options{
			Connector: config.Connector{ProtocolPort: there.Port}, Connection: c, PinFile: filepath.Join(t.TempDir(), "host_key.pub"),
			Renew: func(context.Context) (group.Connection, error) {
				asked++
				c.Expires = time.Now().Add(time.Minute)
				return c, nil
			},
		})
		if err == nil {
			err = dial(t, target)
		}
		if err != nil || asked != tc.asked {
			t.Errorf("%s: asked for %d times, %v; want %d", name, asked, err, tc.asked)
		}
	}
}

// A host that falls silent, with its connection open, is noticed by keepalive, and the next one who needs it dials anew.
func TestKeepalive(t *testing.T) {
	there := sshd.Start(t)
	var mu sync.Mutex // guards wires
	var wires []*wire
	target, err := connect.New(connect.Options{
		Connector:  config.Connector{ProtocolPort: there.Port, KeyPath: there.Identity, Keepalive: config.Duration(300 * time.Millisecond)},
		Connection: group.Connection{InternalAddr: there.Address, Username: there.User},
		PinFile:    filepath.Join(t.TempDir(), "host_key.pub"),
		Through: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			w := &wire{Conn: conn, closed: make(chan struct{})}
			mu.Lock()
			defer mu.Unlock()
			wires = append(wires, w)
			return w, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	line := connect.NewLine(target)
	defer line.Close()
	first, err := line.Client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	for _, w := range wires {
		w.freeze()
	}
	mu.Unlock()
	ended := make(chan struct{})
	go func() {
		_ = first.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatal("a silent host keeps its connection")
	}
	for deadline := time.Now().Add(time.Minute); ; <-time.After(10 * time.Millisecond) { // the line learns of it a moment later
		second, err := line.Client(t.Context())
		if err == nil && second != first && connect.Alive(t.Context(), second, time.Minute) == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no new connection: %v", err)
		}
	}
}

// wire is a connection that may freeze: nothing comes any more, and nobody says so.
type wire struct {
	net.Conn
	once   sync.Once
	closed chan struct{}

	mu     sync.Mutex // guards frozen
	frozen bool
}

func (w *wire) freeze() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.frozen = true
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	w.mu.Lock()
	frozen := w.frozen
	w.mu.Unlock()
	if frozen {
		<-w.closed
		return 0, io.EOF
	}
	return n, err
}

func (w *wire) Close() error {
	w.once.Do(func() { close(w.closed) })
	return w.Conn.Close()
}

func dial(t *testing.T, target *connect.Target) error {
	t.Helper()
	client, err := target.Dial(t.Context())
	if err != nil {
		return err
	}
	return client.Close()
}

func newKey(t *testing.T) string {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block))
}
