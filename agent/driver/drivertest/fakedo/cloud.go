package fakedo

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/digitalocean/godo"

	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakerest"
)

// Settings are how the cloud behaves when no fault hits. The zero value does all at once and takes any token.
type Settings struct {
	BootTime time.Duration // until a droplet is active
	PageSize int           // of a list, whatever is asked for; 0 leaves that
	KeyDelay int           // so many droplets with a new key are refused, as if it were not known yet
	Token    string        // what callers must bear; "" is nothing
}

// Cloud is a running cloud. It is safe for concurrent use.
type Cloud struct {
	*fakerest.Server
	settings Settings
	// What follows is guarded by the server's Mu.
	droplets []*machine
	keys     []*key
	ids      int
}

// machine is a droplet.
type machine struct {
	godo.Droplet
	request godo.DropletCreateRequest
	active  time.Time // when it is
}

// key is an SSH key of the account.
type key struct {
	godo.Key
	unknown int // how many droplets are refused with it still
}

// Sizes that there are; others are refused.
var sizes = []string{"s-1vcpu-1gb", "s-2vcpu-4gb", "g-8vcpu-32gb", "gpu-h100x1-80gb"}

// Regions that there are.
var regions = []string{"nyc3", "fra1", "ams3"}

// Start serves a cloud until Close.
func Start(s Settings) (*Cloud, error) {
	c := &Cloud{settings: s, ids: 3_000_000}
	var err error
	c.Server, err = fakerest.Start(fakerest.Dialect{
		Token: s.Token, Routes: c.routes(), Limit: 5000, Create: "POST /v2/droplets",
		Codes: map[int]string{400: "bad_request", 401: "unauthorized", 403: "forbidden", 404: "not_found", 422: "unprocessable_entity", 429: "too_many_requests", 503: "server_error"},
		Refusal: func(r *fakerest.Refusal) any {
			return map[string]string{"id": r.Code, "message": r.Message, "request_id": "515850a0-a812-50bf-aa3c-d0d21d287e40"}
		},
	})
	return c, err
}

// id is called with Mu held.
func (c *Cloud) id() int {
	c.ids++
	return c.ids
}

// settle lets droplets become active whose time has come. The caller holds Mu.
func (c *Cloud) settle() {
	now := time.Now()
	for _, m := range c.droplets {
		if m.Status == "new" && !m.active.IsZero() && !now.Before(m.active) {
			m.Status = "active"
			m.Networks = &godo.Networks{V4: []godo.NetworkV4{
				{IPAddress: fmt.Sprintf("10.110.%d.%d", m.ID/200%200, m.ID%200+1), Netmask: "255.255.240.0", Type: "private"},
				{IPAddress: fmt.Sprintf("203.0.113.%d", m.ID%250+1), Netmask: "255.255.240.0", Gateway: "203.0.113.1", Type: "public"},
			}}
		}
	}
}

// Put lets a droplet be in a status of DigitalOcean's, such as off; "" lets it go at once.
func (c *Cloud) Put(name, status string) error {
	c.Mu.Lock()
	defer c.Mu.Unlock()
	for i, m := range c.droplets {
		if m.Name != name {
			continue
		}
		m.active, m.Status = time.Time{}, status
		if status == "" {
			c.droplets = slices.Delete(c.droplets, i, i+1)
		}
		return nil
	}
	return fmt.Errorf("there is no droplet %s", name)
}

// Add makes a droplet that is somebody's own, and returns its number.
func (c *Cloud) Add(name string, tags ...string) int {
	c.Mu.Lock()
	defer c.Mu.Unlock()
	m := &machine{Droplet: godo.Droplet{ID: c.id(), Name: name, Status: "active", Tags: tags, Networks: &godo.Networks{}, VolumeIDs: []string{}}}
	c.droplets = append(c.droplets, m)
	return m.ID
}

// AddKey adds an SSH key that is somebody's own, and returns its fingerprint.
func (c *Cloud) AddKey(name, public string) string {
	c.Mu.Lock()
	defer c.Mu.Unlock()
	k := &key{Key: godo.Key{ID: c.id(), Name: name, PublicKey: public, Fingerprint: fingerprint(public)}}
	c.keys = append(c.keys, k)
	return k.Fingerprint
}

// Droplets returns what was asked for and what there is of each droplet of a name.
func (c *Cloud) Droplets(name string) (requests []godo.DropletCreateRequest, shown []godo.Droplet) {
	c.Mu.Lock()
	defer c.Mu.Unlock()
	c.settle()
	for _, m := range c.droplets {
		if m.Name == name {
			requests, shown = append(requests, m.request), append(shown, m.Droplet)
		}
	}
	return requests, shown
}

// Keys returns the names of the account's SSH keys.
func (c *Cloud) Keys() (names []string) {
	c.Mu.Lock()
	defer c.Mu.Unlock()
	for _, k := range c.keys {
		names = append(names, k.Name)
	}
	return names
}

// Leftovers returns droplets and keys whose tags or names have the owner's id in them.
func (c *Cloud) Leftovers(owner string) (left []string) {
	c.Mu.Lock()
	defer c.Mu.Unlock()
	for _, m := range c.droplets {
		if strings.Contains(strings.Join(m.Tags, " "), owner) {
			left = append(left, "droplet "+m.Name)
		}
	}
	for _, k := range c.keys {
		if strings.Contains(k.Name, owner) {
			left = append(left, "SSH key "+k.Name)
		}
	}
	return left
}

func unprocessable(format string, args ...any) error {
	return fakerest.Refuse(http.StatusUnprocessableEntity, "", format, args...)
}
