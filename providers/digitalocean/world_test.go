package main

import (
	"flag"
	"testing"

	hostside "github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakedo"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/native"
	"github.com/millwright-ci/millwright/agent/driver/wasm"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/hostfuncs/credentials"
	"github.com/millwright-ci/millwright/hostfuncs/httpsend"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const testToken = "dop_v1_of-the-operator"

var (
	testOwner    = abi.Owner{ID: "abcdefgh01234567", Runner: "runner-1/Abcdefghi"}
	nativeDriver = native.Driver("digitalocean")
)

// start returns a cloud of the test's own, which notes what DigitalOcean's library does not know.
func start(t *testing.T, s fakedo.Settings) *fakedo.Cloud {
	t.Helper()
	c, err := fakedo.Start(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		for _, wrong := range c.Wrong() {
			t.Errorf("DigitalOcean would refuse this request: %s", wrong)
		}
	})
	return c
}

// options are those of a small machine, with defaults filled in and others over them.
func options(t *testing.T, c *fakedo.Cloud, more ...string) abi.Options {
	t.Helper()
	list := append([]string{"digitalocean-access-token=" + abi.SecretGiven, "digitalocean-endpoint=" + c.URL()}, more...)
	o, problems := wasm.ParseOptions(digitalocean{}.Describe(), list, nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return o
}

// asWasm is the driver as the module that ships, with a token that the host attaches.
func asWasm(t *testing.T, c *fakedo.Cloud) hostside.Driver {
	t.Helper()
	d, err := wasm.New(moduletest.Builtin(t, "digitalocean"))
	if err != nil {
		t.Fatal(err)
	}
	store := credentials.NewStore(credentials.Options{})
	t.Cleanup(store.Close)
	store.Provide("digitalocean", credentials.Config{Kind: credentials.Bearer, Secret: testToken})
	return d.With(wasm.Powers{Endpoint: c.URL(), Credentials: map[string]httpsend.Credential{"digitalocean": store.Signer("digitalocean", credentials.Grant{})}})
}

const testKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPAxNrYMuBGu3rpsVmvAeiNdLhbVAhBpUmDKPChFJmCi"

func request(name string, o abi.Options) abi.CreateRequest {
	return abi.CreateRequest{ABI: abi.Version, Owner: testOwner, Name: name, Options: o, Bootstrap: abi.Bootstrap{
		SSHUser: "root", AuthorizedKey: testKey + " " + name, HostKeyPrivate: "PRIVATE\nEND\n", HostKeyPublic: "ssh-ed25519 HOST m1",
	}}
}

func create(t *testing.T, name string, o abi.Options) abi.Instance {
	t.Helper()
	return nativeDriver.Make(t, request(name, o))
}

func remove(t *testing.T, name string, o abi.Options, state abi.Raw) {
	t.Helper()
	if err := nativeDriver.Remove(t.Context(), abi.RemoveRequest{ABI: abi.Version, Owner: testOwner, Name: name, Options: o, State: state}); err != nil {
		t.Fatal(err)
	}
}

// find lists until the machine is as it should be.
func find(t *testing.T, o abi.Options, name string, ok func(abi.Instance) bool) abi.Instance {
	t.Helper()
	return nativeDriver.Await(t, testOwner, o, name, ok)
}

func runs(i abi.Instance) bool { return i.Status == abi.StatusRunning }
