package sdk_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/drivertest"
	"github.com/millwright-ci/millwright/agent/driver/wasm"
	"github.com/millwright-ci/millwright/agent/grants"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/hostfuncs/credentials"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// cloudToken is the operator's; each request to the cloud must bear it.
const cloudToken = "token-of-the-operator"

// cloud is a small provider: a machine boots until it is listed the second time.
type cloud struct {
	*httptest.Server

	mu       sync.Mutex // guards what follows
	made     int
	fault    drivertest.Fault
	machines map[string]map[string]*server // by owner and name
}

type server struct {
	ID    string `json:"id"`
	Owner string `json:"owner"`
	Name  string `json:"name"`
	State string `json:"state"`
	IP    string `json:"ip"`
	size  string
}

// statuses are what the cloud answers with under a fault; those from 503 on hold for creations alone.
var statuses = map[drivertest.Fault]int{
	drivertest.RateLimited: http.StatusTooManyRequests, drivertest.Denied: http.StatusForbidden, drivertest.Broken: http.StatusInternalServerError,
	drivertest.StockOut: http.StatusServiceUnavailable, drivertest.OverQuota: http.StatusInsufficientStorage,
}

func (c *cloud) inject(f drivertest.Fault) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fault = f
	return nil
}

// says is how the cloud words its refusals.
func says() map[drivertest.Fault]drivertest.Said {
	all := map[drivertest.Fault]drivertest.Said{}
	for fault, status := range statuses {
		all[fault] = drivertest.Said{Code: strconv.Itoa(status), Words: "as you wish"}
	}
	return all
}

func newCloud(t *testing.T) *cloud {
	t.Helper()
	c := &cloud{machines: map[string]map[string]*server{}}
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /{owner}/{name}", c.put)
	mux.HandleFunc("GET /{owner}/", c.list)
	mux.HandleFunc("DELETE /{owner}/{name}", c.delete)
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		status, _ := strconv.Atoi(r.FormValue("fail"))
		if s := statuses[c.fault]; s > 0 && (s < http.StatusServiceUnavailable || r.Method == http.MethodPut) {
			status = s
		}
		switch {
		case r.Header.Get("X-Cloud-Token") != cloudToken:
			http.Error(w, "who are you?", http.StatusUnauthorized)
		case status > 0:
			w.Header().Set("Retry-After", strconv.Itoa(drivertest.RetryAfterS))
			http.Error(w, "as you wish", status)
		default:
			mux.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *cloud) put(w http.ResponseWriter, r *http.Request) {
	owner, name := r.PathValue("owner"), r.PathValue("name")
	size, _ := io.ReadAll(r.Body)
	if s := string(size); s != "small" && s != "large" {
		http.Error(w, fmt.Sprintf("there is no size %q", s), http.StatusUnprocessableEntity)
		return
	}
	if c.machines[owner] == nil {
		c.machines[owner] = map[string]*server{}
	}
	if c.machines[owner][name] == nil {
		c.made++
		c.machines[owner][name] = &server{ID: fmt.Sprintf("i-%d", c.made), Owner: owner, Name: name, State: "BOOTING", size: string(size)}
	}
	if c.fault == drivertest.LostCreate {
		panic(http.ErrAbortHandler)
	}
	json.NewEncoder(w).Encode(c.machines[owner][name])
}

func (c *cloud) list(w http.ResponseWriter, r *http.Request) {
	all := []*server{}
	for owner, machines := range c.machines {
		for _, s := range machines {
			if r.PathValue("owner") == "all" || r.PathValue("owner") == owner {
				all = append(all, s)
			}
		}
	}
	if c.fault == drivertest.PartialList {
		all = all[:0]
		w.Header().Set("X-Partial", "yes")
	}
	json.NewEncoder(w).Encode(all)
	for _, s := range all {
		s.State, s.IP = "ACTIVE", "10.0.0.7"
	}
}

func (c *cloud) delete(w http.ResponseWriter, r *http.Request) {
	owner, name := r.PathValue("owner"), r.PathValue("name")
	if c.machines[owner][name] == nil {
		http.NotFound(w, r)
		return
	}
	delete(c.machines[owner], name)
}

// newDriver loads a driver as the agent does one that was dropped in. secret is what the operator's credential holds.
func newDriver(t *testing.T, code []byte, url, secret string) *wasm.Driver {
	t.Helper()
	store := credentials.NewStore(credentials.Options{})
	t.Cleanup(store.Close)
	section := config.Credential{Kind: "header", Secret: config.Secret(secret)}
	if secret == "" {
		section.SecretFile = "/nowhere/token"
	}
	store.Set(grants.Credentials(map[string]config.Credential{"cloud": section}))
	signers, err := grants.Signers(store, map[string]config.CredentialGrant{"cloud": {Hostnames: []string{url}, Header: "X-Cloud-Token"}})
	if err != nil {
		t.Fatal(err)
	}
	m, err := moduletest.Host(t, module.Limits{}).Load(t.Context(), module.Source{
		Name: "tiny.wasm", Alias: "tiny", Wasm: code, Hostnames: []string{url}, Credentials: signers,
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

// TestDrivers runs a driver written with each SDK behind the agent's interface, on a real provider with signed requests.
func TestDrivers(t *testing.T) {
	for _, name := range sdks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code := moduletest.Script(t, "sdk/"+name+"/build.sh", "sdk/"+name+"/testdata/driver")
			c := newCloud(t)
			d := newDriver(t, code, c.URL, cloudToken)
			t.Run("suite", func(t *testing.T) {
				drivertest.Run(t, func(*testing.T) drivertest.Subject {
					return drivertest.Subject{
						Driver: d, Options: abi.Options{"tiny-url": {c.URL}, "tiny-size": {"small"}},
						Invalid: abi.Options{"tiny-url": {c.URL}, "tiny-size": {"huge"}}, Leftovers: c.leftovers, Inject: c.inject, Says: says(),
					}
				})
			})
			t.Run("options", func(t *testing.T) { driverOptions(t, d) })
			t.Run("machine", func(t *testing.T) { driverMachine(t, d, c) })
			t.Run("errors", func(t *testing.T) { driverErrors(t, d, c, newDriver(t, code, c.URL, "")) })
		})
	}
}

// leftovers tells what the cloud has of an owner.
func (c *cloud) leftovers(owner abi.Owner) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var left []string
	for name := range c.machines[owner.ID] {
		left = append(left, "machine "+name)
	}
	return left
}

func driverOptions(t *testing.T, d *wasm.Driver) {
	options, problems := wasm.ParseOptions(d.Describe(), []string{"tiny-url=http://127.0.0.1:1"}, func(string) string { return "" })
	if want := (abi.Options{"tiny-url": {"http://127.0.0.1:1"}, "tiny-size": {"small"}}); len(problems) > 0 || !cmp.Equal(options, want) {
		t.Errorf("options are %v, %v; want %v", options, problems, want)
	}
	for size, want := range map[string][]abi.Problem{
		"large": nil,
		"huge":  {{Option: "tiny-size", Message: `"huge" is no size; use small or large`}},
	} {
		got, err := d.Validate(t.Context(), abi.Options{"tiny-size": {size}})
		if err != nil || len(got) != len(want) || len(want) > 0 && !cmp.Equal(got, want) {
			t.Errorf("validate %s: %v, %v; want %v", size, got, err, want)
		}
	}
}

func driverMachine(t *testing.T, d *wasm.Driver, c *cloud) {
	owner, options := abi.Owner{ID: "0123456789abcdef", Runner: "build"}, abi.Options{"tiny-url": {c.URL}, "tiny-size": {"large"}}
	made, err := d.Create(t.Context(), abi.CreateRequest{Owner: owner, Name: "m-1", Options: options, Labels: map[string]string{"a": "b"}})
	want := abi.Instance{Name: "m-1", Owner: owner.ID, ID: made.ID, Status: abi.StatusCreating, State: abi.Raw(`{"zone":"a"}`)}
	if err != nil || made.ID == "" || !cmp.Equal(made, want) {
		t.Errorf("create: %+v, %v; want %+v", made, err, want)
	}
	for _, status := range []abi.Status{abi.StatusCreating, abi.StatusRunning} {
		list, err := d.List(t.Context(), abi.ListRequest{Owner: owner, Options: options})
		if err != nil || !list.Complete || len(list.Instances) != 1 || list.Instances[0].Status != status {
			t.Errorf("list: %+v, %v; want it %s", list, err, status)
		}
	}
	if err := d.Remove(t.Context(), abi.RemoveRequest{Owner: owner, Name: "m-1", ID: made.ID, Options: options, State: made.State}); err != nil {
		t.Error(err)
	}
}

func driverErrors(t *testing.T, d *wasm.Driver, c *cloud, unsigned *wasm.Driver) {
	create := func(d *wasm.Driver, url, status string) *driver.Error {
		_, err := d.Create(t.Context(), abi.CreateRequest{Name: "m-1", Options: abi.Options{"tiny-url": {url}, "tiny-size": {"small"}, "tiny-fail": {status}}})
		var e *driver.Error
		if !errors.As(err, &e) {
			t.Fatalf("create gave %v, which is no error of a driver", err)
		}
		return e
	}
	for status, kind := range map[string]abi.ErrorKind{
		"403": abi.Auth, "404": abi.NotFound, "409": abi.Conflict, "422": abi.Invalid, "429": abi.RateLimited, "500": abi.Transient, "503": abi.Capacity, "507": abi.Quota,
	} {
		if e := create(d, c.URL, status).Info; e.Kind != kind || e.Code != status || e.RetryAfterS != drivertest.RetryAfterS || !strings.Contains(e.Message, "as you wish") {
			t.Errorf("status %s: %+v, want the kind %s", status, e, kind)
		}
	}
	if e := create(d, "http://192.0.2.1", "").Info; e.Kind != abi.Invalid || !strings.HasPrefix(e.Message, "denied: ") {
		t.Errorf("a hostname that is not granted: %+v", e)
	}
	if e := create(unsigned, c.URL, "").Info; e.Kind != abi.Auth || !strings.HasPrefix(e.Message, "credential: ") {
		t.Errorf("a credential that can't be used: %+v", e)
	}
	if err := d.Remove(t.Context(), abi.RemoveRequest{Name: "m-1", Options: abi.Options{"tiny-url": {c.URL}, "tiny-fail": {"409"}}}); !errors.Is(err, driver.ErrConflict) {
		t.Errorf("remove: %v", err)
	}
	if list, err := d.List(t.Context(), abi.ListRequest{Options: abi.Options{"tiny-url": {c.URL}, "tiny-fail": {"500"}}}); !errors.Is(err, driver.ErrTransient) {
		t.Errorf("list: %+v, %v", list, err)
	}
}
