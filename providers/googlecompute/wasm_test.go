package main

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakegce"
	hostside "github.com/millwright-ci/millwright/agent/driver/group"
	"github.com/millwright-ci/millwright/agent/driver/wasm"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/hostfuncs/credentials"
	"github.com/millwright-ci/millwright/hostfuncs/httpsend"
)

const testToken = "ya29.token-of-the-operator"

// token is a credential of the driver's scheme whose token is known.
func token(t *testing.T) httpsend.Credential {
	t.Helper()
	store := credentials.NewStore(credentials.Options{})
	t.Cleanup(store.Close)
	store.Provide(name, credentials.Config{Kind: credentials.Google, CredentialsFile: fakegce.Account(t, testToken)})
	return store.Signer(name, credentials.Grant{Scopes: []string{"https://www.googleapis.com/auth/compute"}})
}

// asWasm is the group of these options as the agent has it: served by the module that ships, with a token that the host attaches.
func asWasm(t *testing.T, c *fakegce.Cloud, more ...string) hostside.Group {
	t.Helper()
	d, err := wasm.New(moduletest.Builtin(t, name))
	if err != nil {
		t.Fatal(err)
	}
	d = d.With(wasm.Powers{Endpoint: c.URL(), Credentials: map[string]httpsend.Credential{name: token(t)}})
	return wasm.NewGroup(wasm.GroupOptions{
		Name: name, Owner: testOwner, Log: slog.New(slog.DiscardHandler), Connector: func() config.Connector { return config.Connector{Username: "runner"} },
		Use: func(context.Context) (wasm.Serving, error) {
			return wasm.Serving{Driver: d, Options: options(c, more...), Done: func() {}}, nil
		},
	})
}

// TestAsWasm has the module that ships serve a group to the host: instances come, let in the key that the host made, and go.
func TestAsWasm(t *testing.T) {
	t.Parallel()
	settings := slow
	settings.Token = testToken
	c := start(t, settings)
	g := asWasm(t, c)
	ctx := t.Context()
	if info, err := g.Info(ctx); err != nil || info.ID != "google/project-1/us-central1-a/builders" {
		t.Fatalf("%+v, %v", info, err)
	}
	if n, err := g.Increase(ctx, 2); n != 2 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	ids := func(n int) (all []string) {
		t.Helper()
		for deadline := time.Now().Add(patience); ; <-time.After(20 * time.Millisecond) {
			found, err := g.List(ctx)
			if err != nil || time.Now().After(deadline) {
				t.Fatalf("%+v, %v", found, err)
			}
			all = nil
			for _, i := range found {
				if i.State == hostside.Running {
					all = append(all, i.ID)
				}
			}
			if len(found) == n && len(all) == n {
				return all
			}
		}
	}
	both := ids(2)
	conn, err := g.Connect(ctx, both[0])
	if err != nil || conn.Username != "runner" || conn.InternalAddr == "" || conn.ExternalAddr == "" {
		t.Fatalf("%+v, %v", conn, err)
	}
	key, err := ssh.ParsePrivateKey([]byte(conn.Key.Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	public := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key.PublicKey())))
	for deadline := time.Now().Add(patience); ; <-time.After(20 * time.Millisecond) {
		if lines, _ := keysOf(t, c, both[0]); len(lines) == 1 && lines[0] == "runner:"+public+mark {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("the VM lets in %q, and the agent has %s", lines, public)
		}
	}
	if err := g.Heartbeat(ctx, both[0]); err != nil {
		t.Error(err)
	}
	if taken, err := g.Decrease(ctx, both); len(taken) != 2 || err != nil {
		t.Errorf("%v, %v", taken, err)
	}
	ids(0)
	if err := g.Close(ctx); err != nil {
		t.Error(err)
	}
}
