package fleetingtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"
)

// Machine is how an instance is reached, and how it ends.
type Machine struct {
	Internal, External string // addresses, which may have a port of their own
	Username, Protocol string // Protocol: "" is ssh
	Port               int    // 0: the protocol's own
	Key                []byte // PEM
	Timeout, Keepalive time.Duration
	Expires            int64  // seconds since 1970; 0: never
	End                func() `json:"-"` // is called when the instance is removed; may be nil
}

// Fault is what the plug-in does wrong at a call.
type Fault struct {
	Do    string `json:"Fault,omitempty"` // crash, panic, exit, hang, orphan (hang with a child that keeps its output open), chatter
	Error string // it reports
	Code  uint32 // gRPC's, of the error; 0: it has none
	Lie   any    // its answer, an object with the fields of answer, in place of the true one
	Once  bool   // not at the next calls
}

// Call is one that the plug-in made, with its argument.
type Call struct {
	Verb string // init, list, increase, decrease, connect, heartbeat, shutdown, child
	Arg  json.RawMessage
}

// Cloud is a group of instances in memory. Set its exported fields before the plug-in runs. It is safe for concurrent use.
type Cloud struct {
	URL     string
	Token   string // the plug-in's secret
	ID      string // the group's
	Prefix  string // of the instances' ids
	MaxSize int

	// Machine makes the machine of a new instance, which runs when it returns; it is called on a goroutine of its own for each. nil: there are none,
	// and instances run at once.
	Machine func(id string) (Machine, error)

	work   sync.WaitGroup
	mu     sync.Mutex // guards what follows
	made   int
	all    []*instance // in order of age
	faults map[string]Fault
	calls  []Call
}

type instance struct {
	id, state string
	booting   bool // its machine is being made
	machine   Machine
}

// answer is what the plug-in gets: see plugin/main.go.txt.
type answer struct {
	ID        string      `json:",omitempty"`
	MaxSize   int         `json:",omitempty"`
	Instances [][2]string `json:",omitempty"`
	N         int         `json:",omitempty"`
	IDs       []string    `json:",omitempty"`
	Machine   Machine
	Error     string `json:",omitempty"`
}

// Start makes a cloud that ends with the test, with its machines.
func Start(t testing.TB) *Cloud {
	t.Helper()
	c := &Cloud{Token: "token-of-the-cloud", ID: "mwtest/group", Prefix: "i-", MaxSize: 100, faults: map[string]Fault{}}
	s := httptest.NewServer(c)
	c.URL = s.URL
	t.Cleanup(func() {
		s.Close()
		c.work.Wait()
		for _, i := range c.all {
			i.end()
		}
	})
	return c
}

func (i *instance) end() {
	if i.machine.End != nil {
		i.machine.End()
	}
}

// Config is plugin_config for the plug-in.
func (c *Cloud) Config() map[string]any { return map[string]any{"cloud": c.URL, "token": c.Token} }

// Fail makes calls of a verb go wrong from now on; an empty fault ends that.
func (c *Cloud) Fail(verb string, f Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults[verb] = f
}

// Calls returns the calls of a verb until now.
func (c *Cloud) Calls(verb string) []Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(c.calls), func(call Call) bool { return call.Verb != verb })
}

// Process returns the process id of the plug-in that was initialised last, as it says itself; 0 before.
func (c *Cloud) Process() int {
	var said struct{ Pid int }
	if calls := c.Calls("init"); len(calls) > 0 {
		_ = json.Unmarshal(calls[len(calls)-1].Arg, &said) // the plug-in of the tests tells it
	}
	return said.Pid
}

// Add makes an instance that nobody asked for.
func (c *Cloud) Add() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.create()
}

// Instances returns each instance with its state.
func (c *Cloud) Instances() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[string]string{}
	for _, i := range c.all {
		all[i.id] = i.state
	}
	return all
}

// Reclaim takes an instance away, as a provider takes spot instances.
func (c *Cloud) Reclaim(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, i := range c.all {
		if i.id == id {
			c.remove(i)
		}
	}
}

// ServeHTTP answers the plug-in.
func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	verb := r.URL.Path[1:]
	var arg json.RawMessage
	err := json.NewDecoder(r.Body).Decode(&arg)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, Call{verb, arg})
	fault := c.faults[verb]
	if fault.Once {
		delete(c.faults, verb)
	}
	var out any = fault
	switch {
	case fault.Lie != nil:
		out = fault.Lie
	case fault.Do == "" && fault.Error == "":
		out, err = c.do(verb, arg)
	}
	if err != nil {
		out = answer{Error: err.Error()}
	}
	json.NewEncoder(w).Encode(out)
}

// do is one call. c.mu is held.
func (c *Cloud) do(verb string, arg json.RawMessage) (a answer, err error) {
	switch verb {
	case "init":
		a.ID, a.MaxSize = c.ID, c.MaxSize
	case "list":
		for _, i := range c.all {
			a.Instances = append(a.Instances, [2]string{i.id, i.state})
		}
	case "increase":
		err = json.Unmarshal(arg, &a.N)
		a.N = min(a.N, c.MaxSize-len(c.all))
		for range a.N {
			c.create()
		}
	case "decrease":
		var ids []string
		if err = json.Unmarshal(arg, &ids); err != nil {
			return a, err
		}
		for _, id := range ids {
			i, err := c.find(id)
			if err != nil {
				return a, err // as GitLab's own do: what follows is not looked at
			}
			c.remove(i)
			a.IDs = append(a.IDs, id)
		}
	case "connect", "heartbeat":
		var id string
		if err = json.Unmarshal(arg, &id); err != nil {
			return a, err
		}
		i, err := c.find(id)
		if err != nil {
			return a, err
		}
		a.Machine = i.machine
	}
	return a, err
}

func (c *Cloud) find(id string) (*instance, error) {
	for _, i := range c.all {
		if i.id == id && i.state != "deleting" {
			return i, nil
		}
	}
	return nil, fmt.Errorf("there is no instance %s", id)
}

// create makes one more instance.
func (c *Cloud) create() {
	c.made++
	i := &instance{id: fmt.Sprintf("%s%04d", c.Prefix, c.made), state: "running", machine: Machine{Internal: "192.0.2.1", Username: "mw"}}
	c.all = append(c.all, i)
	if c.Machine == nil {
		return
	}
	i.state, i.booting = "creating", true
	c.work.Go(func() {
		m, err := c.Machine(i.id)
		c.mu.Lock()
		defer c.mu.Unlock()
		i.machine, i.booting = m, false
		switch {
		case i.state == "deleting": // it was removed while it booted
			c.finish(i)
		case err != nil:
			c.remove(i)
		default:
			i.state = "running"
		}
	})
}

// remove takes an instance away, when its machine has ended.
func (c *Cloud) remove(i *instance) {
	if i.state == "deleting" {
		return
	}
	if i.state = "deleting"; !i.booting {
		c.finish(i)
	}
}

func (c *Cloud) finish(i *instance) {
	c.work.Go(func() {
		i.end()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.all = slices.DeleteFunc(c.all, func(other *instance) bool { return other == i })
	})
}
