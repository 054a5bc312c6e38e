package hosts

import (
	"context"
	"errors"
	"flag"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/drivertest"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/specvectors"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

var owner = abi.Owner{ID: "abcdefgh01234567", Runner: "runner-1"}

// listen returns n hosts of which somebody answers at the port.
func listen(t *testing.T, n int) (hosts []string) {
	t.Helper()
	for range n {
		address, _ := answering(t)
		hosts = append(hosts, address)
	}
	return hosts
}

// answering returns a host that answers until it is silenced, or the test ends.
func answering(t *testing.T) (address string, silence func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	})
	silence = func() { l.Close(); accepting.Wait() }
	t.Cleanup(silence)
	return l.Addr().String(), silence
}

func pool(hosts ...string) abi.Options { return abi.Options{optAddress: hosts} }

func request(name string, o abi.Options) abi.CreateRequest {
	return abi.CreateRequest{ABI: abi.Version, Owner: owner, Name: name, Options: o}
}

func TestSuite(t *testing.T) {
	for name, subject := range map[string]func(t *testing.T) drivertest.Subject{
		Generic: func(t *testing.T) drivertest.Subject {
			d, hosts, end := New(Options{Name: Generic, Store: t.TempDir()}), []string{}, map[string]func(){}
			for range 6 {
				address, silence := answering(t)
				hosts, end[address] = append(hosts, address), silence
			}
			return drivertest.Subject{
				Driver: d, Options: pool(hosts...), Invalid: pool("a b"), States: []abi.Status{abi.StatusUnknown},
				Put: func(name string, _ abi.Status) error { // its host answers no more
					l, _, err := d.files.Load(name)
					if err == nil {
						end[l.host().key()]()
					}
					return err
				},
			}
		},
		None: func(t *testing.T) drivertest.Subject {
			return drivertest.Subject{
				Driver: &many{t: t, Driver: New(Options{Name: None, Store: t.TempDir()})}, Options: abi.Options{optURL: {anyEngine}, optCerts: {"/certs"}},
				Invalid: abi.Options{optURL: {"tcp://h:1/x"}},
			}
		},
	} {
		t.Run(name, func(t *testing.T) { drivertest.Run(t, subject) })
	}
}

// anyEngine stands for an engine of the machine's own.
const anyEngine = "tcp://127.0.0.1:2376"

// many is the driver none with an engine for each machine, since the suite makes more than one with the same options.
type many struct {
	*Driver
	t    *testing.T
	mu   sync.Mutex // guards urls
	urls map[string]string
}

func (m *many) Create(ctx context.Context, req abi.CreateRequest) (abi.Instance, error) {
	if req.Options.Get(optURL) == anyEngine {
		m.mu.Lock()
		if m.urls == nil {
			m.urls = map[string]string{}
		}
		if m.urls[req.Name] == "" {
			m.urls[req.Name] = "tcp://" + listen(m.t, 1)[0]
		}
		req.Options = abi.Options{optURL: {m.urls[req.Name]}, optCerts: {"/certs"}}
		m.mu.Unlock()
	}
	return m.Driver.Create(ctx, req)
}

// TestPool has three machines for two hosts, one of which does not answer at first.
func TestPool(t *testing.T) {
	hosts := listen(t, 2)
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead.Close()
	o := pool(hosts[0]+", "+dead.Addr().String(), hosts[1], hosts[0])
	o[optKey], o[optEnginePort] = []string{"/keys/ci"}, []string{"2399"}
	var broken error
	var released []string
	d := New(Options{Name: Generic, Store: t.TempDir(), Release: func(_ context.Context, m fleet.Machine) error {
		released = append(released, m.Instance.Address+":"+strconv.Itoa(m.Instance.SSHPort))
		return broken
	}})
	var got []string
	for _, name := range []string{"m1", "m2"} {
		i, err := d.Create(t.Context(), request(name, o))
		if err != nil {
			t.Fatal(err)
		}
		if i.Status != abi.StatusRunning || i.EnginePort != 2399 || i.SSHUser != "root" {
			t.Errorf("%+v", i)
		}
		got = append(got, net.JoinHostPort(i.Address, strconv.Itoa(i.SSHPort)))
	}
	if !slices.Equal(got, hosts) {
		t.Errorf("leased %v, want %v", got, hosts)
	}
	_, err = d.Create(t.Context(), request("m3", o))
	if !errors.Is(err, driver.ErrCapacity) || !strings.Contains(err.Error(), "2 of 3 hosts are leased") {
		t.Errorf("a third machine: %v", err)
	}
	if _, err = d.Create(t.Context(), request("m3", pool(hosts...))); !errors.Is(err, driver.ErrCapacity) || !strings.Contains(err.Error(), "all 2 hosts are leased") {
		t.Errorf("a third machine: %v", err)
	}

	remove := func(name string) error {
		return d.Remove(t.Context(), abi.RemoveRequest{Owner: owner, Name: name, Options: o})
	}
	broken = errors.New("the engine does not answer")
	if err := remove("m1"); !errors.Is(err, driver.ErrTransient) || !strings.Contains(err.Error(), "is leased until it can be cleaned") {
		t.Errorf("a host that can't be cleaned: %v", err)
	}
	if _, err := d.Create(t.Context(), request("m3", o)); !errors.Is(err, driver.ErrCapacity) {
		t.Errorf("a host that was not cleaned is leased: %v", err)
	}
	broken = nil
	if err := remove("m1"); err != nil || !slices.Equal(released, []string{hosts[0], hosts[0]}) {
		t.Errorf("%v; released %v", err, released)
	}
	if i, err := d.Create(t.Context(), request("m3", o)); err != nil || net.JoinHostPort(i.Address, strconv.Itoa(i.SSHPort)) != hosts[0] {
		t.Errorf("%+v %v", i, err)
	}
	if l := d.Login(fleet.Machine{Name: "m3", Driver: Generic, Options: o}); l.KeyFile != "/keys/ci" || l.EnginePort != 2399 || l.KnownHosts == "" {
		t.Errorf("login %+v", l)
	}
}

// TestCorruptLease has a record that nobody can read: its host may be anyone.
func TestCorruptLease(t *testing.T) {
	store := t.TempDir()
	d, hosts := New(Options{Name: Generic, Store: store}), listen(t, 2)
	if _, err := d.Create(t.Context(), request("m1", pool(hosts...))); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(store, "machines", "m1", "driver.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Create(t.Context(), request("m2", pool(hosts...))); !errors.Is(err, driver.ErrTransient) {
		t.Errorf("create: %v", err)
	}
	if res, err := d.List(t.Context(), abi.ListRequest{Owner: owner}); err != nil || res.Complete {
		t.Errorf("list: %+v %v", res, err)
	}
	if err := d.Remove(t.Context(), abi.RemoveRequest{Owner: owner, Name: "m1"}); err == nil {
		t.Error("remove forgets it")
	}
}

// TestSilentHost has a host that stops to answer: it is unknown, never gone.
func TestSilentHost(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := New(Options{Name: Generic, Store: t.TempDir(), DialLimit: time.Second})
	if _, err := d.Create(t.Context(), request("m1", pool(l.Addr().String()))); err != nil {
		t.Fatal(err)
	}
	l.Close()
	res, err := d.List(t.Context(), abi.ListRequest{Owner: owner})
	if err != nil || !res.Complete || len(res.Instances) != 1 || res.Instances[0].Status != abi.StatusUnknown || res.Instances[0].Message == "" {
		t.Errorf("%+v %v", res, err)
	}
}

func TestOptions(t *testing.T) {
	for name, tc := range map[string]struct {
		driver  string
		options abi.Options
		hosts   string // "" when there is a problem
		problem string
	}{
		"one":              {Generic, pool("10.0.0.1"), "10.0.0.1:22/2376", ""},
		"several":          {Generic, pool("a.example,b.example:2222", "c"), "a.example:22/2376 b.example:2222/2376 c:22/2376", ""},
		"twice the same":   {Generic, pool("a", "a:22", "a:23"), "a:22/2376 a:23/2376", ""},
		"six":              {Generic, pool("2001:db8::1,[2001:db8::2]:23"), "[2001:db8::1]:22/2376 [2001:db8::2]:23/2376", ""},
		"ports":            {Generic, abi.Options{optAddress: {"a"}, optPort: {"23"}, optEnginePort: {"9"}}, "a:23/9", ""},
		"none at all":      {Generic, pool(" , "), "", "name at least one host"},
		"no host":          {Generic, pool("a;rm"), "", `"a;rm" is no host`},
		"a port of none":   {Generic, pool("a:0"), "", "no port from 1"},
		"a bad port":       {Generic, abi.Options{optAddress: {"a"}, optPort: {"99999"}}, "", "is no port"},
		"a relative key":   {Generic, abi.Options{optAddress: {"a"}, optKey: {"id_rsa"}}, "", "no absolute path"},
		"an engine":        {None, abi.Options{optURL: {"tcp://10.0.0.9:2377"}, optCerts: {"/c"}}, "10.0.0.9:2377/2377", ""},
		"an engine's port": {None, abi.Options{optURL: {"tcp://engine"}, optCerts: {"/c"}}, "engine:2376/2376", ""},
		"a socket":         {None, abi.Options{optURL: {"unix:///var/run/docker.sock"}, optCerts: {"/c"}}, "", "whoever reaches the port is root there"},
		"plain http":       {None, abi.Options{optURL: {"http://h:2375"}, optCerts: {"/c"}}, "", "whoever reaches the port is root there"},
		"no certificates":  {None, abi.Options{optURL: {"tcp://h:2376"}}, "", "no absolute path of a folder"},
		"no url":           {None, nil, "", "is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			s, problems := read(tc.driver, tc.options)
			if tc.problem != "" {
				if len(problems) == 0 || !strings.Contains(problems[0].Message, tc.problem) {
					t.Errorf("problems %v, want %s", problems, tc.problem)
				}
				return
			}
			var got []string
			for _, h := range s.hosts {
				got = append(got, h.key()+"/"+strconv.Itoa(h.enginePort))
			}
			if len(problems) > 0 || strings.Join(got, " ") != tc.hosts {
				t.Errorf("%v, problems %v", got, problems)
			}
		})
	}
}

var update = flag.Bool("update", false, "rewrite the pages of the drivers")

// TestPages holds the drivers' pages to their descriptions.
func TestPages(t *testing.T) {
	for _, name := range Names() {
		drivertest.Page(t, filepath.Join("..", "..", "..", "docs", "drivers", name+".md"), Describe(name).Options, *update)
	}
}

// TestOptionTable compares generic's options with docker-machine's. Its one address may be several here.
func TestOptionTable(t *testing.T) {
	has := map[string]abi.Option{}
	for _, o := range Describe(Generic).Options {
		has[o.Name] = o
	}
	for _, want := range specvectors.DriverOptions(Generic) {
		if want.Name == optAddress {
			want.Type = abi.OptionList
		}
		o := has[want.Name]
		if got := (abi.Option{Name: o.Name, Type: o.Type, Env: o.Env, Default: o.Default}); got != want {
			t.Errorf("%s: %+v, docker-machine has %+v", want.Name, got, want)
		}
	}
}
