package fakehcloud

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hetznercloud/hcloud-go/v2/hcloud/schema"

	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakerest"
)

// Settings are how the cloud behaves when no fault hits. The zero value does all at once and takes any token.
type Settings struct {
	BootTime   time.Duration // until a server runs, and its action has ended
	DeleteTime time.Duration // until a server is gone
	PageSize   int           // of a list, whatever is asked for; 0 leaves that
	Token      string        // what callers must bear; "" is nothing
}

// Cloud is a running cloud. It is safe for concurrent use.
type Cloud struct {
	*fakerest.Server
	settings Settings
	// What follows is guarded by the server's Mu.
	servers []*machine
	keys    []schema.SSHKey
	groups  []*schema.PlacementGroup
	actions []schema.Action
	names   map[string][]named // networks, firewalls, volumes, primary_ips, images
	ids     int64
}

// machine is a server.
type machine struct {
	schema.Server
	request schema.ServerCreateRequest
	runs    time.Time // when it does; zero: never
	gone    time.Time // when it is; zero: it stays
	group   int64
}

// named is something that there is by a number and a name.
type named struct {
	ID           int64  `json:"id"`
	Name         string `json:"name"`
	IP           string `json:"ip,omitempty"`
	Architecture string `json:"architecture,omitempty"`
}

// What there is; others are refused.
var (
	types     = []string{"cx11", "cx23", "cax11"}
	images    = []string{"ubuntu-20.04", "ubuntu-24.04"}
	locations = []string{"", "fsn1", "nbg1", "hel1"}
)

// Start serves a cloud until Close.
func Start(s Settings) (*Cloud, error) {
	c := &Cloud{settings: s, ids: 40_000_000, names: map[string][]named{
		"images": {{ID: 67794396, Name: "ubuntu-20.04", Architecture: "x86"}, {ID: 161547269, Name: "ubuntu-24.04", Architecture: "x86"}, {ID: 161547270, Name: "ubuntu-24.04", Architecture: "arm"}},
	}}
	var err error
	c.Server, err = fakerest.Start(fakerest.Dialect{
		Token: s.Token, Routes: c.routes(), Limit: 3600, Create: "POST /v1/servers",
		Codes: map[int]string{400: "json_error", 401: "unauthorized", 403: "forbidden", 404: "not_found", 409: "uniqueness_error", 422: "invalid_input", 429: "rate_limit_exceeded", 503: "maintenance"},
		Refusal: func(r *fakerest.Refusal) any {
			return map[string]any{"error": map[string]any{"code": r.Code, "message": r.Message, "details": nil}}
		},
	})
	return c, err
}

// id is called with Mu held.
func (c *Cloud) id() int64 {
	c.ids++
	return c.ids
}

// settle brings the cloud up to date. The caller holds Mu.
func (c *Cloud) settle() {
	now := time.Now()
	for _, m := range c.servers {
		if m.Status == "initializing" && !m.runs.IsZero() && !now.Before(m.runs) {
			m.Status = "running"
		}
	}
	c.servers = slices.DeleteFunc(c.servers, func(m *machine) bool { return !m.gone.IsZero() && !now.Before(m.gone) })
	for _, g := range c.groups {
		g.Servers = []int64{}
		for _, m := range c.servers {
			if m.group == g.ID {
				g.Servers = append(g.Servers, m.ID)
			}
		}
	}
}

// Put lets a server be in a status of Hetzner's, such as off; "" lets it go at once.
func (c *Cloud) Put(name, status string) error {
	c.Mu.Lock()
	defer c.Mu.Unlock()
	for _, m := range c.servers {
		if m.Name == name {
			m.runs, m.Status = time.Time{}, status
			if status == "" {
				m.gone = time.Now()
			}
			c.settle()
			return nil
		}
	}
	return fmt.Errorf("there is no server %s", name)
}

// Add makes a server that is somebody's own, and returns its number.
func (c *Cloud) Add(name string, labels map[string]string) int64 {
	c.Mu.Lock()
	defer c.Mu.Unlock()
	m := &machine{Server: schema.Server{ID: c.id(), Name: name, Status: "running", Created: time.Now(), Labels: labels}}
	c.servers = append(c.servers, m)
	return m.ID
}

// Reserve adds something that the operator has: a network, a firewall, a volume or a primary IP, by what lists call it, and returns its number.
func (c *Cloud) Reserve(what, name, ip string) int64 {
	c.Mu.Lock()
	defer c.Mu.Unlock()
	n := named{ID: c.id(), Name: name, IP: ip}
	c.names[what] = append(c.names[what], n)
	return n.ID
}

// AddKey adds an SSH key that is somebody's own, and returns its number.
func (c *Cloud) AddKey(name, public string, labels map[string]string) int64 {
	c.Mu.Lock()
	defer c.Mu.Unlock()
	k := schema.SSHKey{ID: c.id(), Name: name, PublicKey: public, Fingerprint: fingerprint(public), Labels: labels, Created: time.Now()}
	c.keys = append(c.keys, k)
	return k.ID
}

// Names returns what keys and placement groups there are, by name.
func (c *Cloud) Names() (keys, groups []string) {
	c.Mu.Lock()
	defer c.Mu.Unlock()
	for _, k := range c.keys {
		keys = append(keys, k.Name)
	}
	for _, g := range c.groups {
		groups = append(groups, g.Name)
	}
	return keys, groups
}

// Leftovers returns what has the owner's id in a label's value.
func (c *Cloud) Leftovers(owner string) (left []string) {
	c.Mu.Lock()
	defer c.Mu.Unlock()
	c.settle()
	has := func(what, name string, labels map[string]string) {
		for _, v := range labels {
			if strings.Contains(v, owner) {
				left = append(left, what+" "+name)
				return
			}
		}
	}
	for _, m := range c.servers {
		has("server", m.Name, m.Labels)
	}
	for _, k := range c.keys {
		has("SSH key", k.Name, k.Labels)
	}
	for _, g := range c.groups {
		has("placement group", g.Name, g.Labels)
	}
	return left
}
