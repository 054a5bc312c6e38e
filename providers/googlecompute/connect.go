package main

import (
	"net/url"
	"strings"

	"github.com/millwright-ci/millwright/providers/internal/gce"
	opts "github.com/millwright-ci/millwright/providers/internal/settings"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

// vm is what the API tells of a VM. Source: Compute Engine API v1, "Instances".
type vm struct {
	gce.Kinded
	ID       string   `json:"id"`
	Status   string   `json:"status"`
	Metadata metadata `json:"metadata"`
	Disks    []struct {
		Boot         bool     `json:"boot"`
		Architecture string   `json:"architecture"`
		Licenses     []string `json:"licenses"`
	} `json:"disks"`
	NetworkInterfaces []struct {
		NetworkIP     string `json:"networkIP"`
		AccessConfigs []struct {
			NatIP string `json:"natIP"`
		} `json:"accessConfigs"`
		IPv6Address string `json:"ipv6Address"`
	} `json:"networkInterfaces"`
}

const (
	kindInstance = "compute#instance"
	vmFields     = "kind,id,status,metadata(fingerprint,items),disks(boot,architecture,licenses),networkInterfaces(networkIP,ipv6Address,accessConfigs(natIP))"
)

// metadata is that of a VM, which is changed as a whole.
type metadata struct {
	Fingerprint string `json:"fingerprint,omitempty"`
	Items       []item `json:"items,omitempty"`
}

// item is one entry of a VM's metadata.
type item struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Keys of metadata. Source: Compute Engine documentation, "Predefined metadata keys", "Add SSH keys to VMs".
const (
	keySSH       = "ssh-keys"
	keyOSLogin   = "enable-oslogin"
	keyCreatedBy = "created-by" // which group made the VM
	keyWindows   = "enable-windows-ssh"
)

// defaultUser is whom the guest agent makes a login for where connector_config names none. It may not be root.
const defaultUser = "millwright"

// Connect tells how a running VM is reached, and puts the key into its metadata, from where the guest agent of Google's images gives it to the login.
func (googlecompute) Connect(req abi.ConnectRequest) (abi.ConnectInfo, error) {
	g, zone, v, err := running(req)
	if err != nil {
		return abi.ConnectInfo{}, err
	}
	c := v.connection()
	c.OS, c.Arch = opts.Or(req.OS, c.OS), opts.Or(req.Arch, c.Arch)
	c.Username = opts.Or(req.Username, defaultUser)
	if c.Protocol = opts.Or(req.Protocol, v.protocol(c.OS)); c.Protocol != "ssh" || req.AuthorizedKey == "" {
		return c, nil
	}
	switch {
	case truth(v.Metadata.get(keyOSLogin)):
		return c, &abi.Error{Kind: abi.Invalid, Message: "the VM " + req.Instance + " takes its logins from OS Login and no key by metadata; set " + keyOSLogin +
			"=FALSE in the metadata of the group's template, or give key_path and use_static_credentials in connector_config"}
	case c.Username == "root":
		return c, &abi.Error{Kind: abi.Invalid, Message: "Google's images make no login for root; give another username in connector_config, or key_path and use_static_credentials"}
	}
	if err := g.authorize(zone, req.Instance, v.Metadata, c.Username, req.AuthorizedKey); err != nil {
		return c, err
	}
	c.KeyAuthorized = true
	return c, nil
}

// Heartbeat returns why a VM is not fit for a job.
func (googlecompute) Heartbeat(req abi.HeartbeatRequest) error {
	_, _, _, err := running(req)
	return err
}

// running returns the group's VM of a request, and its zone. It is an error when it does not run, and when it is none of the group's, whatever its name.
func running(req abi.ConnectRequest) (g group, zone string, v vm, err error) {
	if g, err = usable(req.Options); err != nil {
		return g, "", v, err
	}
	zones, err := g.zonesOf([]string{req.Instance})
	if err != nil {
		return g, "", v, err
	}
	gone := &abi.Error{Kind: abi.NotFound, Message: "the group " + g.name + " has no VM " + opts.Short(req.Instance)}
	if zone = zones[req.Instance]; zone == "" {
		return g, "", v, gone
	}
	err = g.Call("GET", g.In("zones", zone, "instances", req.Instance), fields(vmFields), nil, kindInstance, &v)
	kind, place := g.location()
	made := v.Metadata.get(keyCreatedBy)
	switch {
	case driver.Is(err, abi.NotFound), err == nil && !strings.HasSuffix(made, "/"+kind+"/"+place+"/instanceGroupManagers/"+g.name):
		return g, zone, v, gone
	case err != nil:
		return g, zone, v, driver.About("look at "+req.Instance, err)
	case v.Status != "RUNNING":
		return g, zone, v, &abi.Error{Kind: abi.Transient, Message: "the VM " + req.Instance + " is " + v.Status}
	}
	return g, zone, v, nil
}

// connection is what the VM itself tells.
func (v vm) connection() (c abi.ConnectInfo) {
	for _, d := range v.Disks {
		if !d.Boot {
			continue
		}
		c.OS = "linux"
		for _, l := range d.Licenses {
			if strings.Contains(l, "/windows-cloud/") || strings.Contains(gce.LastPart(l), "windows-server") {
				c.OS = "windows"
			}
		}
		c.Arch = map[string]string{"X86_64": "amd64", "ARM64": "arm64"}[d.Architecture]
	}
	if len(v.NetworkInterfaces) == 0 {
		return c
	}
	first := v.NetworkInterfaces[0]
	c.InternalAddr = opts.Or(first.NetworkIP, first.IPv6Address)
	if len(first.AccessConfigs) > 0 {
		c.ExternalAddr = first.AccessConfigs[0].NatIP
	}
	return c
}

// protocol is that of the system: Windows speaks SSH where Google's package for it is on.
func (v vm) protocol(system string) string {
	if system == "windows" && !truth(v.Metadata.get(keyWindows)) {
		return "winrm"
	}
	return "ssh"
}

// authorize adds the key to those of the VM, unless it is there, in the place of those that we gave the login before.
func (g group) authorize(zone, vm string, m metadata, user, key string) error {
	ours := user + ":" + strings.TrimSpace(key) + mark
	keys := m.get(keySSH)
	var lines []string
	for line := range strings.Lines(keys) {
		line = strings.TrimSpace(line)
		switch {
		case line == ours:
			return nil
		case line == "", strings.HasPrefix(line, user+":") && strings.HasSuffix(line, mark):
		default:
			lines = append(lines, line)
		}
	}
	body := metadata{Fingerprint: m.Fingerprint}
	for _, i := range m.Items {
		if i.Key != keySSH {
			body.Items = append(body.Items, i)
		}
	}
	body.Items = append(body.Items, item{keySSH, strings.Join(append(lines, ours), "\n")})
	_, err := g.Change("POST", g.In("zones", zone, "instances", vm, "setMetadata"), url.Values{}, body)
	return driver.About("give "+vm+" a key", err)
}

// mark ends the lines of keys that are ours.
const mark = " millwright"

// get returns the value of a key, "" where there is none.
func (m metadata) get(key string) string {
	for _, i := range m.Items {
		if i.Key == key {
			return i.Value
		}
	}
	return ""
}

// truth is how metadata says yes. Source: Compute Engine documentation, "Boolean values".
func truth(text string) bool {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "true", "1", "yes", "y":
		return true
	}
	return false
}

// zone is where a member is.
func (m member) zone() string {
	_, rest, _ := strings.Cut(m.Instance, "/zones/")
	zone, _, _ := strings.Cut(rest, "/")
	return zone
}
