package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	hostside "github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakearm"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/native"
	"github.com/millwright-ci/millwright/agent/driver/wasm"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/hostfuncs/credentials"
	"github.com/millwright-ci/millwright/hostfuncs/httpsend"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

const testToken = "eyJ0.token-of-the-operator"

var testOwner = abi.Owner{ID: "abcdefgh01234567", Runner: "runner-1"}

// cloud starts a cloud of the test's own, whose every request must be one that Azure takes.
func cloud(t *testing.T, s *fakearm.Server, settings fakearm.Settings) *fakearm.Cloud {
	t.Helper()
	c := s.Cloud(t, settings)
	t.Cleanup(func() {
		for _, wrong := range c.Wrong() {
			t.Errorf("Azure would refuse this request: %s", wrong)
		}
	})
	return c
}

// options are those of a small machine, with defaults filled in and others over them.
func options(t *testing.T, c *fakearm.Cloud, more ...string) abi.Options {
	t.Helper()
	list := append([]string{
		"azure-subscription-id=" + fakearm.Subscription, "azure-endpoint=" + c.URL, "azure-size=Standard_D2s_v5", "azure-image=canonical:ubuntu-24_04-lts:server:latest",
	}, more...)
	o, problems := wasm.ParseOptions(azure{}.Describe(), list, nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return o
}

// asWasm is the driver as the module that ships, with a token that the host attaches.
func asWasm(t *testing.T, c *fakearm.Cloud) hostside.Driver {
	t.Helper()
	d, err := wasm.New(moduletest.Builtin(t, "azure"))
	if err != nil {
		t.Fatal(err)
	}
	return d.With(wasm.Powers{Endpoint: c.URL, Credentials: map[string]httpsend.Credential{"azure": token(t)}})
}

// token is a credential of the driver's scheme whose token is known: that of a managed identity, as App Service gives it.
func token(t *testing.T) httpsend.Credential {
	t.Helper()
	sso := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"access_token":"` + testToken + `","token_type":"Bearer","expires_on":"4102444800","resource":"https://management.azure.com"}`))
	}))
	t.Cleanup(sso.Close)
	t.Setenv("IDENTITY_ENDPOINT", sso.URL)
	t.Setenv("IDENTITY_HEADER", "of-the-host")
	store := credentials.NewStore(credentials.Options{})
	t.Cleanup(store.Close)
	store.Provide("azure", credentials.Config{Kind: credentials.Azure})
	return store.Signer("azure", credentials.Grant{Scopes: []string{"https://management.azure.com/.default"}})
}

var nativeDriver = native.Driver("azure")

func wanted(name string, o abi.Options) abi.CreateRequest {
	return abi.CreateRequest{ABI: abi.Version, Owner: testOwner, Name: name, Options: o, Bootstrap: abi.Bootstrap{
		SSHUser: "root", AuthorizedKey: "ssh-ed25519 KEY millwright", HostKeyPrivate: "PRIVATE\nEND\n", HostKeyPublic: "ssh-ed25519 HOST m1",
	}}
}

func create(t *testing.T, name string, o abi.Options) abi.Instance {
	t.Helper()
	return nativeDriver.Make(t, wanted(name, o))
}

func remove(t *testing.T, name string, o abi.Options) error {
	t.Helper()
	return nativeDriver.Remove(t.Context(), abi.RemoveRequest{ABI: abi.Version, Owner: testOwner, Name: name, Options: o})
}

// find lists until the machine is as it should be.
func find(t *testing.T, o abi.Options, name string, ok func(abi.Instance) bool) abi.Instance {
	t.Helper()
	return nativeDriver.Await(t, testOwner, o, name, ok)
}

func runs(i abi.Instance) bool { return i.Status == abi.StatusRunning }

// in is the id of a resource in the group of the tests.
func in(kind, name string) string {
	provider := "Microsoft.Network"
	if kind == "virtualMachines" || kind == "disks" || kind == "availabilitySets" {
		provider = "Microsoft.Compute"
	}
	return inGroup(defaultGroup) + "/providers/" + provider + "/" + kind + "/" + name
}

func inGroup(group string) string {
	return "/subscriptions/" + fakearm.Subscription + "/resourceGroups/" + group
}
