package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakeasg"
	"github.com/millwright-ci/millwright/agent/driver/group"
	"github.com/millwright-ci/millwright/agent/driver/wasm"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/hostfuncs/credentials"
	"github.com/millwright-ci/millwright/hostfuncs/httpsend"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

const (
	testKey    = "AKIAOFTHEOPERATOR"
	testSecret = "the-secret-key-of-the-operator"
)

// options are those of the fake's group.
func options(c *fakeasg.Cloud) abi.Options {
	return abi.Options{optName: {"builders"}, optRegion: {"eu-west-1"}, optEndpoint: {c.URL()}}
}

// call runs an export of the driver natively. The error has the driver's kind.
func call[Res any](t *testing.T, export string, req any) (Res, error) {
	t.Helper()
	var res Res
	input, err := json.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	out, err := driver.CallGroup(driver.RegisteredGroup(), export, input)
	if err != nil {
		t.Fatal(err)
	}
	var answer abi.Result
	if err := json.Unmarshal(out, &answer); err != nil {
		t.Fatal(err)
	}
	if answer.Error != nil {
		return res, answer.Error
	}
	if err := json.Unmarshal(answer.OK, &res); err != nil {
		t.Fatal(err)
	}
	return res, nil
}

func info(t *testing.T, c *fakeasg.Cloud, most int) (abi.GroupInfo, error) {
	t.Helper()
	return call[abi.GroupInfo](t, abi.ExportGroupInfo, abi.GroupRequest{ABI: abi.Version, Options: options(c), MaxInstances: most})
}

func list(t *testing.T, c *fakeasg.Cloud) (abi.ListResult, error) {
	t.Helper()
	return call[abi.ListResult](t, abi.ExportList, abi.ListRequest{ABI: abi.Version, Options: options(c)})
}

func increase(t *testing.T, c *fakeasg.Cloud, n int) (int, error) {
	t.Helper()
	res, err := call[abi.IncreaseResult](t, abi.ExportIncrease, abi.IncreaseRequest{ABI: abi.Version, Options: options(c), Count: n})
	return res.Count, err
}

func decrease(t *testing.T, c *fakeasg.Cloud, ids ...string) (abi.DecreaseResult, error) {
	t.Helper()
	return call[abi.DecreaseResult](t, abi.ExportDecrease, abi.DecreaseRequest{ABI: abi.Version, Options: options(c), Instances: ids})
}

// asWasm is the group as the agent has it: by the module that ships, with requests that the host signs.
func asWasm(t *testing.T, c *fakeasg.Cloud, connector config.Connector) group.Group {
	t.Helper()
	return served(t, c.URL(), options(c), connector, slog.New(slog.DiscardHandler))
}

// served is asWasm for the group that options name, where all APIs answer at the endpoint.
func served(t *testing.T, endpoint string, o abi.Options, connector config.Connector, log *slog.Logger) group.Group {
	t.Helper()
	d, err := wasm.New(moduletest.Builtin(t, "aws"))
	if err != nil {
		t.Fatal(err)
	}
	store := credentials.NewStore(credentials.Options{})
	t.Cleanup(store.Close)
	store.Provide("aws", credentials.Config{Kind: credentials.AWS4, AccessKeyID: testKey, Secret: testSecret})
	d = d.With(wasm.Powers{Endpoint: endpoint, Credentials: map[string]httpsend.Credential{"aws": store.Signer("aws", credentials.Grant{})}})
	delete(o, optEndpoint)
	return wasm.NewGroup(wasm.GroupOptions{
		Name: "aws", Owner: abi.Owner{ID: "0123456789abcdef"}, Log: log,
		Connector: func() config.Connector { return connector },
		Use: func(context.Context) (wasm.Serving, error) {
			return wasm.Serving{Driver: d, Options: o, Done: func() {}}, nil
		},
	})
}

// wantSays fails unless err is of the kind and its text has all of the parts.
func wantSays(t *testing.T, err error, kind abi.ErrorKind, parts ...string) {
	t.Helper()
	if !driver.Is(err, kind) {
		t.Errorf("got %v, want the kind %s", err, kind)
	}
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("got %v, want %q in it", err, part)
		}
	}
}
