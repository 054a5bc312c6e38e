package fakeasg

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"
)

// Settings are how the group is when the test begins. The zero value is a group of 10 instances at most that is set as the driver wants it.
type Settings struct {
	Name      string // "builders"
	Region    string // "eu-west-1"
	AccessKey string // whose requests are taken; "": anybody's

	Min, Max         int      // 0 and 10
	Zones            int      // 2
	Unprotected      bool     // new instances from scale-in
	Processes        []string // that are suspended; nil: AZRebalance
	Policies         []string // of the group's own
	ScheduledActions []string
	Lifetime         int // seconds

	Boot   time.Duration // until an instance is in service
	Ending time.Duration // how long an ended one is shown

	Platform     string // of instances: "Linux/UNIX"
	Architecture string // "x86_64"
	PasswordData string // of Windows, as base64

	Hooks Hooks
}

// Hooks back instances by machines. Those that are nil are not called.
type Hooks struct {
	// Start starts the machine of an instance and returns its address, HOST or HOST:PORT, which is both of its addresses; the instance is in service
	// when it returns. It runs beside the others. An error ends the instance, as a launch that fails does.
	Start func(id string) (address string, err error)
	// Stop ends it.
	Stop func(id string)
	// LetIn has the machine let in a key, one line for authorized_keys, as a user.
	LetIn func(id, user, key string) error
}

// Cloud is the group and its APIs. It is safe for concurrent use.
type Cloud struct {
	server *httptest.Server
	hooks  sync.WaitGroup

	mu        sync.Mutex // guards what follows
	settings  Settings
	desired   int
	made      int
	instances []*Instance
	faults    []*Fault
	calls     map[string]int
	keys      []Key
}

// Instance is one of the group.
type Instance struct {
	ID       string
	Launched time.Time
	Ended    time.Time // zero: it is not
	Address  string
	ready    bool   // Start has returned, or there is none
	State    string // where a test sets it; "" is what the clock says
	Health   string
}

// Key is one that was put onto an instance.
type Key struct{ Instance, User, Public string }

// Start serves a group until the test ends.
func Start(t testing.TB, s Settings) *Cloud {
	t.Helper()
	if s.Name == "" {
		s.Name = "builders"
	}
	if s.Region == "" {
		s.Region = "eu-west-1"
	}
	if s.Max == 0 {
		s.Max = 10
	}
	if s.Zones == 0 {
		s.Zones = 2
	}
	if s.Processes == nil {
		s.Processes = []string{"AZRebalance"}
	}
	if s.Platform == "" {
		s.Platform = "Linux/UNIX"
	}
	if s.Architecture == "" {
		s.Architecture = "x86_64"
	}
	c := &Cloud{settings: s, calls: map[string]int{}}
	c.mu.Lock()
	c.scale(s.Min)
	c.mu.Unlock()
	c.server = httptest.NewServer(http.HandlerFunc(c.serve))
	t.Cleanup(c.close)
	return c
}

// close ends the machines of all instances.
func (c *Cloud) close() {
	c.server.CloseClientConnections()
	c.server.Close()
	c.mu.Lock()
	for _, i := range c.instances {
		c.end(i)
	}
	c.mu.Unlock()
	c.hooks.Wait()
}

// URL is where the APIs answer: the endpoint of [drivers.aws] in millwright.toml.
func (c *Cloud) URL() string { return c.server.URL }

// Set changes the group's settings.
func (c *Cloud) Set(change func(*Settings)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.settings)
}

// scale launches instances until there are as many as are desired. The caller holds mu.
func (c *Cloud) scale(desired int) {
	c.desired = desired
	live := 0
	for _, i := range c.instances {
		if i.Ended.IsZero() {
			live++
		}
	}
	for ; live < desired; live++ {
		c.made++
		i := &Instance{ID: fmt.Sprintf("i-%017x", c.made), Launched: time.Now(), Health: "Healthy", Address: fmt.Sprintf("10.0.%d.%d", c.made/250, c.made%250+1)}
		c.instances = append(c.instances, i)
		start := c.settings.Hooks.Start
		if start == nil {
			i.ready = true
			continue
		}
		c.hooks.Go(func() {
			address, err := start(i.ID)
			c.mu.Lock()
			defer c.mu.Unlock()
			i.Address, i.ready = address, err == nil
			switch {
			case err != nil && i.Ended.IsZero():
				i.Ended = time.Now() // its launch failed: another one comes when somebody looks
			case !i.Ended.IsZero(): // it was ended meanwhile, when there was nothing to stop
				c.stop(i)
			}
		})
	}
}

// end ends an instance. The caller holds mu.
func (c *Cloud) end(i *Instance) {
	if !i.Ended.IsZero() {
		return
	}
	i.Ended = time.Now()
	if i.ready {
		c.stop(i)
	}
}

// stop has an instance's machine ended. The caller holds mu.
func (c *Cloud) stop(i *Instance) {
	if stop := c.settings.Hooks.Stop; stop != nil {
		c.hooks.Go(func() { stop(i.ID) })
	}
}

// stateOf is an instance's lifecycle state, "" of one that is shown no more. The caller holds mu.
func (c *Cloud) stateOf(i *Instance) string {
	switch {
	case !i.Ended.IsZero() && time.Since(i.Ended) >= c.settings.Ending:
		return ""
	case !i.Ended.IsZero():
		return "Terminating"
	case i.State != "":
		return i.State
	case !i.ready || time.Since(i.Launched) < c.settings.Boot:
		return "Pending"
	}
	return "InService"
}

// Live are the instances that were not ended.
func (c *Cloud) Live() []Instance {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []Instance
	for _, i := range c.instances {
		if i.Ended.IsZero() {
			out = append(out, *i)
		}
	}
	return out
}

// Made is how many instances there ever were.
func (c *Cloud) Made() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.made
}

// Show puts an instance into a lifecycle state and a health, such as InService and Unhealthy.
func (c *Cloud) Show(id, state, health string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, i := range c.instances {
		if i.ID == id {
			i.State, i.Health = state, health
		}
	}
}

// Reclaim ends an instance as AWS takes a spot instance back: the group launches another one in its place.
func (c *Cloud) Reclaim(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, i := range slices.Clone(c.instances) {
		if i.ID == id {
			c.end(i)
		}
	}
	c.scale(c.desired)
}

// Keys are those that instances were given, in their order.
func (c *Cloud) Keys() []Key {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.keys)
}

// Calls counts the requests of an action.
func (c *Cloud) Calls(action string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls[action]
}

// Permissions are what the requests so far needed, sorted.
func (c *Cloud) Permissions() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	for action := range c.calls {
		if a, ok := actions[action]; ok {
			out = append(out, a.service+":"+action)
		}
	}
	slices.Sort(out)
	return out
}
