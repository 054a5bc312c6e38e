package main

import (
	"flag"
	"testing"

	hostside "github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakehcloud"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/native"
	"github.com/millwright-ci/millwright/agent/driver/wasm"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/hostfuncs/credentials"
	"github.com/millwright-ci/millwright/hostfuncs/httpsend"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const testToken = "token-of-the-operator"

var (
	testOwner    = abi.Owner{ID: "abcdefgh01234567", Runner: "runner-1/Abcdefghi"}
	nativeDriver = native.Driver("hetzner")
)

// start returns a cloud of the test's own, which notes what Hetzner's library does not know.
func start(t *testing.T, s fakehcloud.Settings) *fakehcloud.Cloud {
	t.Helper()
	c, err := fakehcloud.Start(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		for _, wrong := range c.Wrong() {
			t.Errorf("Hetzner would refuse this request: %s", wrong)
		}
	})
	return c
}

// options are those of a small machine, with defaults filled in and others over them.
func options(t *testing.T, c *fakehcloud.Cloud, more ...string) abi.Options {
	t.Helper()
	list := append([]string{"hetzner-api-token=" + abi.SecretGiven, "hetzner-endpoint=" + c.URL()}, more...)
	o, problems := wasm.ParseOptions(hetzner{}.Describe(), list, nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return o
}

// asWasm is the driver as the module that ships, with a token that the host attaches.
func asWasm(t *testing.T, c *fakehcloud.Cloud) hostside.Driver {
	t.Helper()
	d, err := wasm.New(moduletest.Builtin(t, "hetzner"))
	if err != nil {
		t.Fatal(err)
	}
	store := credentials.NewStore(credentials.Options{})
	t.Cleanup(store.Close)
	store.Provide("hetzner", credentials.Config{Kind: credentials.Bearer, Secret: testToken})
	return d.With(wasm.Powers{Endpoint: c.URL(), Credentials: map[string]httpsend.Credential{"hetzner": store.Signer("hetzner", credentials.Grant{})}})
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

// find lists until the machine is as it should be.
func find(t *testing.T, o abi.Options, name string, ok func(abi.Instance) bool) abi.Instance {
	t.Helper()
	return nativeDriver.Await(t, testOwner, o, name, ok)
}

func runs(i abi.Instance) bool { return i.Status == abi.StatusRunning }
