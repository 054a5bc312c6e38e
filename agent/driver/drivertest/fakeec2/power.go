package fakeec2

import (
	"encoding/base64"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/millwright-ci/millwright/agent/internal/fakecloud"
)

// box is an instance on hardware.
type box struct{ machine, address string }

// power lets an instance that was launched by form run on the hardware, if there is any: with the key pair that it names, the host key in its user
// data, and the login that its tags name, which its image would have.
func (c *Cloud) power(id string, form url.Values) error {
	if c.settings.Hardware == nil {
		return nil
	}
	config, err := base64.StdEncoding.DecodeString(form.Get("UserData"))
	if err != nil {
		return err
	}
	data := fakecloud.UserData{SSHUser: tagIn(form, "millwright-user"), HostKeyPrivate: fakecloud.HostKey(string(config))}
	for _, pair := range c.Requests("ImportKeyPair") {
		if pair.Get("KeyName") == form.Get("KeyName") {
			key, err := base64.StdEncoding.DecodeString(pair.Get("PublicKeyMaterial"))
			if err != nil {
				return err
			}
			data.AuthorizedKey = string(key)
		}
	}
	machine := tagIn(form, "Name")
	address, err := c.settings.Hardware.Start(machine, data)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running[id] = box{machine, address}
	return nil
}

// powerOff ends the instances that a form names; nil: all.
func (c *Cloud) powerOff(form url.Values) {
	c.mu.Lock()
	var off []string
	for id, b := range c.running {
		if form == nil || slices.ContainsFunc(slices.Collect(maps.Values(form)), func(v []string) bool { return v[0] == id }) {
			off = append(off, b.machine)
			delete(c.running, id)
		}
	}
	c.mu.Unlock()
	for _, machine := range off {
		c.settings.Hardware.Stop(machine)
	}
}

// tagIn is the value of a tag that a form gives.
func tagIn(form url.Values, key string) string {
	for name, values := range form {
		if values[0] == key && strings.HasPrefix(name, "TagSpecification.1.") && strings.HasSuffix(name, ".Key") {
			return form.Get(strings.TrimSuffix(name, ".Key") + ".Value")
		}
	}
	return ""
}
