package fakecloud_test

import (
	"context"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/driver/wasm"
	"github.com/millwright-ci/millwright/agent/internal/fakecloud"
	"github.com/millwright-ci/millwright/agent/internal/guests"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// start runs a cloud that ends with the test.
func start(t *testing.T, o fakecloud.Options) *fakecloud.Cloud {
	t.Helper()
	c, err := fakecloud.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close the cloud: %v", err)
		}
	})
	return c
}

// load is the example driver as a module that is granted the cloud.
func load(t *testing.T, c *fakecloud.Cloud) *wasm.Driver {
	t.Helper()
	m, err := moduletest.Host(t, module.Limits{}).Load(t.Context(), module.Source{
		Name: "fakecloud", Wasm: guests.Wasm(t, "examples/drivers/fakecloud"),
		Hostnames: []string{c.URL()}, Private: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	if err != nil {
		t.Fatal(err)
	}
	d, err := wasm.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func options(c *fakecloud.Cloud) abi.Options {
	return abi.Options{"fakecloud-endpoint": {c.URL()}, "fakecloud-zone": {"a"}, "fakecloud-type": {"small"}}
}

// names are those of the machines that live.
func names(c *fakecloud.Cloud) []string {
	var all []string
	for _, i := range c.Summary().Live {
		all = append(all, i.Name)
	}
	return all
}

// call asks the provider's API directly.
func call(t *testing.T, c *fakecloud.Cloud, method, path, body string) (status int, header http.Header, answer string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, c.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil, err.Error()
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(data)
}

// until polls for what happens in its own time.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within a minute", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
