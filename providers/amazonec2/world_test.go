package main

import (
	"context"
	"strings"
	"testing"

	hostside "github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakeec2"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/native"
	"github.com/millwright-ci/millwright/agent/driver/wasm"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/hostfuncs/credentials"
	"github.com/millwright-ci/millwright/hostfuncs/httpsend"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

const (
	testKey    = "AKIAOFTHEOPERATOR"
	testSecret = "the-secret-key-of-the-operator"
)

var testOwner = abi.Owner{ID: "abcdefgh01234567", Runner: "runner-1"}

// start returns a cloud, to which every request is as AWS's description of its API says.
func start(t *testing.T, s fakeec2.Settings) *fakeec2.Cloud {
	t.Helper()
	return fakeec2.Open(t, s)
}

// options are those of a small machine, with defaults filled in and others over them.
func options(t *testing.T, c *fakeec2.Cloud, more ...string) abi.Options {
	t.Helper()
	list := append([]string{"amazonec2-endpoint=" + c.URL(), "amazonec2-region=" + c.Region(), "amazonec2-ami=" + testImage}, more...)
	o, problems := wasm.ParseOptions(amazonec2{}.Describe(), list, nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return o
}

// testImage is one that moto has.
const testImage = "ami-12c6146b"

// asWasm is the driver as the module that ships, with keys that the host signs with.
func asWasm(t *testing.T, _ *fakeec2.Cloud) hostside.Driver {
	t.Helper()
	d, err := wasm.New(moduletest.Builtin(t, "amazonec2"))
	if err != nil {
		t.Fatal(err)
	}
	store := credentials.NewStore(credentials.Options{})
	t.Cleanup(store.Close)
	store.Provide("amazonec2", credentials.Config{Kind: credentials.AWS4, AccessKeyID: testKey, Secret: testSecret})
	return d.With(wasm.Powers{Credentials: map[string]httpsend.Credential{"amazonec2": store.Signer("amazonec2", credentials.Grant{})}})
}

var nativeDriver = native.Driver("amazonec2")

func request(name string, o abi.Options) abi.CreateRequest {
	return abi.CreateRequest{ABI: abi.Version, Owner: testOwner, Name: name, Options: o, Bootstrap: abi.Bootstrap{
		SSHUser: "root", AuthorizedKey: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDx0L7bVmYcg0N0Qx6kK2DFQbB2lZ5kTqjAq3w1VQm0n millwright",
		HostKeyPrivate: "PRIVATE\nEND\n", HostKeyPublic: "ssh-ed25519 HOST m1",
	}}
}

func create(t *testing.T, name string, o abi.Options) abi.Instance {
	t.Helper()
	return nativeDriver.Make(t, request(name, o))
}

// remove removes machines at the end of the test, whatever becomes of it.
func remove(t *testing.T, o abi.Options, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := nativeDriver.Remove(context.WithoutCancel(t.Context()), abi.RemoveRequest{ABI: abi.Version, Owner: testOwner, Name: name, Options: o}); err != nil {
			t.Error(err)
		}
	}
}

func list(t *testing.T, o abi.Options) map[string]abi.Instance {
	t.Helper()
	res, err := nativeDriver.List(t.Context(), abi.ListRequest{ABI: abi.Version, Owner: testOwner, Options: o})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]abi.Instance{}
	for _, i := range res.Instances {
		out[i.Name] = i
	}
	return out
}

// wantSays fails unless err's text has all of the parts.
func wantSays(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("got %v, want %q in it", err, part)
		}
	}
}
