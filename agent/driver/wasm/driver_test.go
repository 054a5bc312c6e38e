package wasm_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/wasm"
	"github.com/millwright-ci/millwright/agent/internal/guests"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// load returns the probe as a driver, built in or with hostnames granted.
func load(t *testing.T, builtin bool, hostnames ...string) *wasm.Driver {
	t.Helper()
	return loadWithin(t, 0, builtin, hostnames...)
}

// loadWithin is load with a deadline for the driver's calls, 0 for a generous one.
func loadWithin(t *testing.T, deadline time.Duration, builtin bool, hostnames ...string) *wasm.Driver {
	t.Helper()
	h := moduletest.Host(t, module.Limits{DriverTime: deadline})
	src := module.Source{Name: "probe", Wasm: guests.Wasm(t, "agent/driver/wasm/testdata/probe"), Builtin: builtin, Hostnames: hostnames}
	m, err := h.Load(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	d, err := wasm.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// provider is a small cloud: its machines are running as soon as they are asked for.
func provider(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	machines := map[string]abi.Instance{}
	mux.HandleFunc("POST /machines/{name}", func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("name")
		machines[name] = abi.Instance{Name: name, ID: "i-" + name, Status: abi.StatusRunning, Address: "10.0.0.1", State: abi.Raw(`{"zone":"a"}`)}
		json.NewEncoder(w).Encode(machines[name])
	})
	mux.HandleFunc("GET /machines", func(w http.ResponseWriter, r *http.Request) {
		all := []abi.Instance{{Name: "not a name", Status: abi.StatusRunning}}
		for _, m := range machines {
			all = append(all, m)
		}
		json.NewEncoder(w).Encode(all)
	})
	mux.HandleFunc("DELETE /machines/{name}", func(w http.ResponseWriter, r *http.Request) {
		if _, ok := machines[r.PathValue("name")]; !ok {
			http.NotFound(w, r)
		}
		delete(machines, r.PathValue("name"))
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv
}

func TestDriver(t *testing.T) {
	d, srv := load(t, true), provider(t)
	options := abi.Options{"probe-url": {srv.URL}, "engine-opt": {"the host's own"}}

	problems, err := d.Validate(t.Context(), options)
	if diff := cmp.Diff([]abi.Problem{{Option: "probe-do", Message: "probe-url"}}, problems); err != nil || diff != "" {
		t.Errorf("validate saw more than the driver's options, or failed: %v %s", err, diff)
	}
	inst, err := d.Create(t.Context(), abi.CreateRequest{Name: "m1", Options: options})
	want := abi.Instance{Name: "m1", ID: "i-m1", Status: abi.StatusRunning, Address: "10.0.0.1", State: abi.Raw(`{"zone":"a"}`)}
	if diff := cmp.Diff(want, inst); err != nil || diff != "" {
		t.Fatalf("create: %v %s", err, diff)
	}
	list, err := d.List(t.Context(), abi.ListRequest{Options: options})
	// One of the two has a name that can't be, so the list is not complete.
	if diff := cmp.Diff(abi.ListResult{Instances: []abi.Instance{want}}, list); err != nil || diff != "" {
		t.Errorf("list: %v %s", err, diff)
	}
	for range 2 { // the second time it is gone, which the probe reports as not_found
		if err := d.Remove(t.Context(), abi.RemoveRequest{Name: "m1", Options: options}); err != nil {
			t.Errorf("remove: %v", err)
		}
	}
}

func TestGrants(t *testing.T) {
	srv, other := provider(t), provider(t)
	create := func(d *wasm.Driver, url string) error {
		_, err := d.Create(t.Context(), abi.CreateRequest{Name: "m1", Options: abi.Options{"probe-url": {url}}})
		return err
	}
	builtin, dropped, granted := load(t, true), load(t, false), load(t, false, srv.URL)
	for name, tc := range map[string]struct {
		driver *wasm.Driver
		url    string
		want   string
	}{
		"built in, by its option":          {builtin, srv.URL, ""},
		"built in, another option":         {builtin, other.URL, ""},
		"built in, every host":             {builtin, "http://*.example.com", "has characters that no host has"},
		"built in, no host":                {builtin, "ftp://example.com", `the scheme is "ftp"`},
		"built in, without the option":     {builtin, "", "the URL"},
		"dropped in, nothing granted":      {dropped, srv.URL, "is not granted to this module"},
		"dropped in, granted":              {granted, srv.URL, ""},
		"dropped in, another one granted":  {granted, other.URL, "is not granted to this module"},
		"dropped in, its wish is no grant": {dropped, "unix:///var/run/docker.sock", "the URL"},
	} {
		t.Run(name, func(t *testing.T) {
			err := create(tc.driver, tc.url)
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	d := load(t, true)
	for do, tc := range map[string]struct {
		kind error
		want string
	}{
		"kind quota":        {driver.ErrQuota, "probe: create: quota: zone a: quota: no"},
		"kind rate_limited": {driver.ErrRateLimited, "rate_limited"},
		"kind not_found":    {driver.ErrNotFound, "not_found"},
		"kind made_up":      {driver.ErrTransient, "transient: zone a: made_up: no"},
		"plain":             {driver.ErrTransient, "probe: create: transient: the cable is cut"},
		"panic":             {driver.ErrTransient, "the module failed: trap: unreachable (panic: boom"},
		"another name":      {driver.ErrTransient, `asked for the machine m1, it returned "other"`},
		"bad address":       {driver.ErrTransient, "an IP address or a hostname is needed"},
		"bad port":          {driver.ErrTransient, "the ports 70000 and 0"},
		"big state":         {driver.ErrTransient, "a state of 20482 bytes"},
	} {
		t.Run(do, func(t *testing.T) {
			t.Parallel()
			_, err := d.Create(t.Context(), abi.CreateRequest{Name: "m1", Options: abi.Options{"probe-do": {do}}})
			if !errors.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want %q", err, tc.want)
			}
			var e *driver.Error
			if errors.As(err, &e); e.Info.RetryAfterS > 3600 {
				t.Errorf("wait %d s", e.Info.RetryAfterS)
			}
		})
	}
}

func TestDeadline(t *testing.T) {
	d := loadWithin(t, 100*time.Millisecond, true)
	_, err := d.Create(t.Context(), abi.CreateRequest{Name: "m1", Options: abi.Options{"probe-do": {"loop"}}})
	if want := "the module failed: still running at its deadline"; !errors.Is(err, driver.ErrTransient) || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
}

func TestNewRefuses(t *testing.T) {
	policy := moduletest.Load(t, moduletest.Host(t, module.Limits{}), "agent/module/testdata/probe")
	if _, err := wasm.New(policy); err == nil || !strings.Contains(err.Error(), "is a policy, not a driver") {
		t.Errorf("a policy: %v", err)
	}
	token := abi.Option{Name: "p-token", Type: abi.OptionString, Secret: true, Credential: abi.CredentialSecret}
	for name, tc := range map[string]struct {
		option  abi.Option
		builtin bool
		want    string // "" is no error
	}{
		"a secret that was dropped in": {token, false, "the option p-token is secret, which only those of built-in drivers can be"},
		"a secret":                     {token, true, ""},
		"a secret of no key":           {abi.Option{Name: "p-token", Type: abi.OptionString, Secret: true}, true, "p-token must be a string that names its key"},
		"secrets":                      {abi.Option{Name: "p-token", Type: abi.OptionList, Secret: true, Credential: abi.CredentialSecret}, true, "must be a string"},
		"a key that is open":           {abi.Option{Name: "p-token", Type: abi.OptionString, Credential: abi.CredentialSecret}, true, "none but region to be open"},
		"a file that was dropped in":   {abi.Option{Name: "p-file", Type: abi.OptionString, Role: abi.RoleFile}, false, "the option p-file names a file of the agent's host"},
		"a file":                       {abi.Option{Name: "p-file", Type: abi.OptionString, Role: abi.RoleFile}, true, ""},
		"a type":                       {abi.Option{Name: "p", Type: "float"}, true, `the option "p" has the type "float"`},
		"no name":                      {abi.Option{Type: abi.OptionInt}, true, `the option "" has the type "int"`},
	} {
		err := wasm.CheckOptions(abi.Describe{Name: "p", Options: []abi.Option{tc.option}}, tc.builtin)
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: got %v, want %q", name, err, tc.want)
		}
	}
}

func TestOddStatusIsUnknown(t *testing.T) {
	inst, err := load(t, true).Create(t.Context(), abi.CreateRequest{Name: "m1", Options: abi.Options{"probe-do": {"odd status"}}})
	if err != nil || inst.Status != abi.StatusUnknown {
		t.Errorf("got %+v, %v", inst, err)
	}
}

func TestCallEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := load(t, true).List(ctx, abi.ListRequest{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
