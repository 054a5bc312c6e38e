package fakearm

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/internal/fakecloud"
	"github.com/millwright-ci/millwright/agent/internal/need"
)

// Subscription is the one that every cloud has.
const Subscription = "11111111-2222-3333-4444-555555555555"

// Settings are how a cloud behaves when no fault hits. The zero value does all at once and takes any token.
type Settings struct {
	OpTime     time.Duration // from a machine's request until it runs
	GoneTime   time.Duration // from its removal until it is gone
	SharedTime time.Duration // until a network, a security group or an address of its own is there
	PageSize   int           // of a list; 0 is all
	Token      string        // what callers must bear; "" is nothing

	// Hardware runs the machines once they are made; they have its addresses.
	Hardware fakecloud.Hardware `json:"-"`
}

// Server is the process that the clouds are in.
type Server struct{ address string }

// starting is held while the server is compiled, which all tests of a process else did at the same time.
var starting sync.Mutex

// Start starts it; it ends with the test. Where its Go modules can't be had, the part is missing.
func Start(t testing.TB) *Server {
	t.Helper()
	starting.Lock()
	defer starting.Unlock()
	_, file, _, _ := runtime.Caller(0)
	return &Server{need.Server(t, filepath.Join(filepath.Dir(file), "server"), ".", "127.0.0.1:0")}
}

// Cloud is a running cloud. It is safe for concurrent use.
type Cloud struct {
	URL     string // the endpoint, http://host:port
	control string
	t       testing.TB
}

// Cloud starts one. It serves until the server ends.
func (s *Server) Cloud(t testing.TB, settings Settings) *Cloud {
	t.Helper()
	c := &Cloud{control: "http://" + s.address + "/clouds", t: t}
	var made struct{ Path, URL string }
	c.send(struct {
		Settings
		HardwareURL string
	}{settings, serve(t, settings.Hardware)}, &made)
	c.URL, c.control = made.URL, "http://"+s.address+made.Path
	return c
}

// send posts to the server and reads its answer; out may be nil.
func (c *Cloud) send(what, out any) (refusal string) {
	c.t.Helper()
	data, err := json.Marshal(what)
	if err != nil {
		c.t.Fatal(err)
	}
	res, err := http.Post(c.control, "application/json", bytes.NewReader(data))
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		return string(text)
	}
	if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			c.t.Fatalf("%v: %s", err, text)
		}
	}
	return ""
}

// command is what a cloud can be asked for beside its API.
type command struct {
	Do, Name, Value string
	Tags            map[string]string
}

// refused is why a cloud does not do what a test asks for.
type refused string

func (r refused) Error() string { return string(r) }

func (c *Cloud) do(cmd command, out any) error {
	c.t.Helper()
	if why := c.send(cmd, out); why != "" {
		return refused(why)
	}
	return nil
}

func (c *Cloud) ask(cmd command, out any) {
	c.t.Helper()
	if err := c.do(cmd, out); err != nil {
		c.t.Fatal(err)
	}
}

// Fail lets the cloud fail from now on, by a name of the suite of drivers or of server/faults.go; "" heals it.
func (c *Cloud) Fail(name string) error { return c.do(command{Do: "fail", Name: name}, nil) }

// Deny takes a right away from the caller, such as Microsoft.Compute/disks/read. Before one of the subscription stands "subscription: ".
func (c *Cloud) Deny(action string) { c.ask(command{Do: "deny", Name: action}, nil) }

// Grant gives all rights back.
func (c *Cloud) Grant() { c.ask(command{Do: "grant"}, nil) }

// Put lets a machine be in a power state of Azure's, such as deallocated; "" lets it go at once.
func (c *Cloud) Put(name, power string) error {
	return c.do(command{Do: "put", Name: name, Value: power}, nil)
}

// Add makes something that is somebody's own: the id of a virtual machine, a disk, an interface, an address, or of what machines share.
func (c *Cloud) Add(id string, tags map[string]string) {
	c.ask(command{Do: "add", Name: id, Tags: tags}, nil)
}

// Record returns how often each operation was called, by the SDK's name of it (VirtualMachinesClient.Get).
func (c *Cloud) Record() (calls map[string]int) {
	c.ask(command{Do: "calls"}, &calls)
	return calls
}

// Calls returns how many requests have come.
func (c *Cloud) Calls() (sum int) {
	for _, n := range c.Record() {
		sum += n
	}
	return sum
}

// Actions returns the rights that the calls so far took, sorted.
func (c *Cloud) Actions() (actions []string) {
	c.ask(command{Do: "actions"}, &actions)
	return actions
}

// Wrong lists the requests that Azure would not take. A test fails when there are any.
func (c *Cloud) Wrong() (wrong []string) {
	c.ask(command{Do: "wrong"}, &wrong)
	return wrong
}

// Leftovers returns the ids of what bears a tag with the owner's id; machines that are going do not count.
func (c *Cloud) Leftovers(owner string) (left []string) {
	c.ask(command{Do: "left", Name: owner}, &left)
	return left
}

// Show returns a resource by its id, nil when there is none.
func (c *Cloud) Show(id string) (resource map[string]any) {
	c.ask(command{Do: "show", Name: id}, &resource)
	return resource
}

// IDs returns the ids of all that there is, in lower case, sorted.
func (c *Cloud) IDs() (ids []string) {
	c.ask(command{Do: "ids"}, &ids)
	return ids
}
