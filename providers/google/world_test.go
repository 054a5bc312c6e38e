package main

import (
	"testing"

	hostside "github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakegce"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/native"
	"github.com/millwright-ci/millwright/agent/driver/wasm"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/hostfuncs/credentials"
	"github.com/millwright-ci/millwright/hostfuncs/httpsend"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

const (
	testProject = "project-1"
	testZone    = "us-central1-a"
	testToken   = "ya29.token-of-the-operator"
)

var testOwner = abi.Owner{ID: "abcdefgh01234567", Runner: "runner-1"}

// start returns a cloud of the test's own, to which every request is as Google's discovery document says.
func start(t *testing.T, s fakegce.Settings) *fakegce.Cloud {
	t.Helper()
	c, err := fakegce.Start(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		for _, wrong := range c.Wrong() {
			t.Errorf("Google would refuse this request: %s", wrong)
		}
	})
	return c
}

// options are those of a small machine, with defaults filled in and others over them.
func options(t *testing.T, c *fakegce.Cloud, more ...string) abi.Options {
	t.Helper()
	list := append([]string{"google-project=" + testProject, "google-endpoint=" + c.URL()}, more...)
	o, problems := wasm.ParseOptions(google{}.Describe(), list, nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return o
}

// asWasm is the driver as the module that ships, with a token that the host attaches.
func asWasm(t *testing.T, c *fakegce.Cloud) hostside.Driver {
	t.Helper()
	d, err := wasm.New(moduletest.Builtin(t, "google"))
	if err != nil {
		t.Fatal(err)
	}
	signed := token(t)
	return d.With(wasm.Powers{Endpoint: c.URL(), Credentials: map[string]httpsend.Credential{"google": signed, "google-check": signed}})
}

// token is a credential of the driver's scheme whose token is known.
func token(t *testing.T) httpsend.Credential {
	t.Helper()
	store := credentials.NewStore(credentials.Options{})
	t.Cleanup(store.Close)
	store.Provide("google", credentials.Config{Kind: credentials.Google, CredentialsFile: fakegce.Account(t, testToken)})
	return store.Signer("google", credentials.Grant{Scopes: []string{"https://www.googleapis.com/auth/compute"}})
}

var nativeDriver = native.Driver("google")

func request(name string, o abi.Options) abi.CreateRequest {
	return abi.CreateRequest{ABI: abi.Version, Owner: testOwner, Name: name, Options: o, Bootstrap: abi.Bootstrap{
		SSHUser: "root", AuthorizedKey: "ssh-ed25519 KEY millwright", HostKeyPrivate: "PRIVATE\nEND\n", HostKeyPublic: "ssh-ed25519 HOST m1",
	}}
}

func create(t *testing.T, name string, o abi.Options) abi.Instance {
	t.Helper()
	return nativeDriver.Make(t, request(name, o))
}

// find lists until the machine is as it should be.
func find(t *testing.T, o abi.Options, name string, ok func(abi.Instance) bool) abi.Instance {
	t.Helper()
	return nativeDriver.Await(t, testOwner, o, name, ok)
}

func runs(i abi.Instance) bool { return i.Status == abi.StatusRunning }
