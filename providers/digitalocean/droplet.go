package main

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/providers/internal/cloudinit"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Tags of every droplet that the driver makes. A list must not depend on the options of the machines, so what it needs of them is here. Each is the
// same for many machines: a tag stays in the account when its last droplet is gone.
const (
	tagPrefix  = "millwright-"
	tagOwner   = tagPrefix + "owner:"
	tagRunner  = tagPrefix + "runner:"
	tagUser    = tagPrefix + "user:"
	tagPort    = tagPrefix + "port:"
	tagPrivate = tagPrefix + "private-address"
)

// createBody is what is sent for a droplet. Source: DigitalOcean API, "Create a New Droplet".
type createBody struct {
	Name       string   `json:"name"`
	Region     string   `json:"region"`
	Size       string   `json:"size"`
	Image      any      `json:"image"`
	SSHKeys    []any    `json:"ssh_keys"`
	Backups    bool     `json:"backups"`
	IPv6       bool     `json:"ipv6"`
	Private    bool     `json:"private_networking"`
	Monitoring bool     `json:"monitoring"`
	UserData   string   `json:"user_data"`
	Tags       []string `json:"tags"`
	VPC        string   `json:"vpc_uuid,omitempty"`
}

// droplet is what DigitalOcean tells of one.
type droplet struct {
	ID       int64    `json:"id"`
	Name     string   `json:"name"`
	Status   string   `json:"status"`
	Size     string   `json:"size_slug"`
	Created  string   `json:"created_at"`
	Tags     []string `json:"tags"`
	Networks struct {
		V4 []struct {
			Address string `json:"ip_address"`
			Type    string `json:"type"`
		} `json:"v4"`
	} `json:"networks"`
}

// body describes the droplet.
func (m machine) body(req abi.CreateRequest) createBody {
	var image, sshKey any = m.image, m.fingerprint
	if n, err := strconv.ParseInt(m.image, 10, 64); err == nil {
		image = n
	}
	if n, err := strconv.ParseInt(m.fingerprint, 10, 64); err == nil {
		sshKey = n
	}
	return createBody{
		Name: req.Name, Region: m.region, Size: m.size, Image: image, SSHKeys: []any{sshKey}, Backups: m.backups, IPv6: m.ipv6, Private: m.private || m.login.private,
		Monitoring: m.monitoring, UserData: cloudinit.JoinScripts(cloudinit.Login(req.Bootstrap, m.user), m.userdata, cloudinit.End(req.ExpiresAt), req.Bootstrap.FirstBoot), Tags: m.allTags(req), VPC: m.vpc,
	}
}

// allTags are ours, the host's labels and the operator's.
func (m machine) allTags(req abi.CreateRequest) []string {
	tags := []string{tagOwner + req.Owner.ID}
	if req.Owner.Runner != "" {
		tags = append(tags, asTag(tagRunner+req.Owner.Runner))
	}
	tags = append(tags, tagUser+m.user)
	if m.port != 22 {
		tags = append(tags, tagPort+strconv.Itoa(m.port))
	}
	if m.login.private {
		tags = append(tags, tagPrivate)
	}
	for key, value := range req.Labels {
		tags = append(tags, asTag(key+":"+value))
	}
	tags = append(tags, m.tags...)
	slices.Sort(tags)
	return slices.Compact(tags)
}

// asTag makes a tag of any text.
func asTag(text string) string {
	tag := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == ':' || r == '_' || r == '-' {
			return r
		}
		return '-'
	}, text)
	return tag[:min(len(tag), 255)]
}

// tag returns what follows a prefix in the droplet's tags, "" when none has it. DigitalOcean keeps a tag in the case that it was made with first.
func (d droplet) tag(prefix string) string {
	for _, t := range d.Tags {
		if len(t) > len(prefix) && strings.EqualFold(t[:len(prefix)], prefix) {
			return strings.ToLower(t[len(prefix):])
		}
	}
	return ""
}

// ours tells whether the droplet is that machine of that owner.
func (d droplet) ours(owner, name string) bool {
	return d.tag(tagOwner) == owner && strings.EqualFold(d.Name, name)
}

// instance turns what DigitalOcean tells into the host's terms.
func (d droplet) instance() abi.Instance {
	port, _ := strconv.Atoi(d.tag(tagPort)) // none is 0, the usual one
	i := abi.Instance{Name: d.Name, ID: strconv.FormatInt(d.ID, 10), Status: d.status(), SSHUser: d.tag(tagUser), SSHPort: port, CreatedAt: seconds(d.Created), GPUs: gpus(d.Size)}
	if i.Status != abi.StatusRunning && i.Status != abi.StatusCreating {
		i.Message = "the droplet is " + d.Status
	}
	want := "public"
	if slices.ContainsFunc(d.Tags, func(t string) bool { return strings.EqualFold(t, tagPrivate) }) {
		want = "private"
	}
	for _, a := range d.Networks.V4 {
		if a.Type == want {
			i.Address = a.Address
			break
		}
	}
	return i
}

// status is the host's word for a droplet's status. Source: DigitalOcean API, "Droplets", attribute status.
func (d droplet) status() abi.Status {
	switch d.Status {
	case "new":
		return abi.StatusCreating
	case "active":
		return abi.StatusRunning
	case "off", "archive":
		return abi.StatusStopped
	}
	return abi.StatusUnknown
}

// state is what the host keeps with a machine.
type state struct {
	Key int64 `json:"key"` // the number of the SSH key that was made for it; 0 is none
}

func stateOf(key int64) abi.Raw {
	data, _ := json.Marshal(state{key}) // a number always marshals
	return abi.Raw(data)
}

// seconds turns the API's time into UTC and seconds; "" when it is no time.
func seconds(text string) string {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
