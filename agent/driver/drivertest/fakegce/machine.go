package fakegce

import (
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/internal/fakecloud"
)

// boot lets the VMs whose time has come answer. One that can't is none that anybody can log in to, as in the cloud. The caller holds mu.
func (c *Cloud) boot(now time.Time) {
	for _, i := range c.instances {
		if i.booted || now.Before(i.runs) {
			continue
		}
		i.booted = true
		if err := c.power(i); err != nil {
			c.wrong = append(c.wrong, "the machine "+i.name+" does not answer: "+err.Error())
		}
	}
}

// power lets one VM answer.
func (c *Cloud) power(i *instance) error {
	if hardware := c.settings.Hardware; hardware != nil {
		address, err := hardware.Start(i.name, userData(i.object))
		if err != nil {
			return err
		}
		setAddress(i.object, address)
		i.stop = func() { hardware.Stop(i.name) }
		return nil
	}
	address := externalAddress(i.object)
	m, err := fakecloud.StartMachine(i.name, address, userData(i.object), c.settings.Engine)
	if err != nil {
		return err
	}
	setAddress(i.object, address)
	i.stop = m.Close
	return nil
}

// externals are the entries that hold a VM's external addresses.
func externals(o object) (all []object) {
	interfaces, _ := o["networkInterfaces"].([]any)
	for _, n := range interfaces {
		n, _ := n.(object)
		configs, _ := n["accessConfigs"].([]any)
		for _, a := range configs {
			if a, ok := a.(object); ok {
				all = append(all, a)
			}
		}
	}
	return all
}

func externalAddress(o object) string {
	for _, a := range externals(o) {
		return text(a, "natIP")
	}
	return ""
}

// setAddress gives a VM the address that it has in truth, inside and outside.
func setAddress(o object, address string) {
	for _, a := range externals(o) {
		a["natIP"] = address
	}
	interfaces, _ := o["networkInterfaces"].([]any)
	for _, n := range interfaces {
		if n, ok := n.(object); ok {
			n["networkIP"] = address
		}
	}
}

// authorize has a VM let in who stands in its new metadata, as the guest agent of Google's images does whenever that changes. The caller holds mu.
func (c *Cloud) authorize(i *instance, metadata object) {
	ring, ok := c.settings.Hardware.(fakecloud.Keyring)
	if !ok || i.stop == nil {
		return
	}
	for line := range strings.Lines(metadataOf(object{"metadata": metadata})["ssh-keys"]) {
		user, key, _ := strings.Cut(strings.TrimSpace(line), ":")
		if key == "" {
			continue
		}
		if err := ring.Authorize(i.name, fakecloud.UserData{SSHUser: user, AuthorizedKey: key}); err != nil {
			c.wrong = append(c.wrong, "the machine "+i.name+" lets nobody in: "+err.Error())
		}
	}
}

// userData reads what a machine reads when it boots: the guest agent the logins, cloud-init the host key.
func userData(o object) fakecloud.UserData {
	metadata := metadataOf(o)
	user, key, _ := strings.Cut(metadata["ssh-keys"], ":")
	return fakecloud.UserData{SSHUser: user, AuthorizedKey: key, HostKeyPrivate: fakecloud.HostKey(metadata["user-data"])}
}

func metadataOf(o object) map[string]string {
	out := map[string]string{}
	metadata, _ := o["metadata"].(object)
	items, _ := metadata["items"].([]any)
	for _, i := range items {
		i, _ := i.(object)
		out[text(i, "key")] = text(i, "value")
	}
	return out
}
