package fakegce

import (
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/internal/fakecloud"
)

// boot lets the VMs whose time has come answer. One that can't is none that anybody can log in to, as in the cloud. The caller holds mu.
func (c *Cloud) boot(now time.Time) {
	for _, i := range c.instances {
		if i.machine != nil || i.booted || now.Before(i.runs) {
			continue
		}
		i.booted = true
		m, err := fakecloud.StartMachine(i.name, externalAddress(i.object), userData(i.object), c.settings.Engine)
		if err != nil {
			c.wrong = append(c.wrong, "the machine "+i.name+" does not answer: "+err.Error())
			continue
		}
		i.machine = m
	}
}

func externalAddress(o object) string {
	interfaces, _ := o["networkInterfaces"].([]any)
	for _, n := range interfaces {
		n, _ := n.(object)
		configs, _ := n["accessConfigs"].([]any)
		for _, a := range configs {
			a, _ := a.(object)
			return text(a, "natIP")
		}
	}
	return ""
}

// userData reads what a machine reads when it boots: the guest agent the logins, cloud-init the host key.
func userData(o object) fakecloud.UserData {
	metadata := metadataOf(o)
	user, key, _ := strings.Cut(metadata["ssh-keys"], ":")
	return fakecloud.UserData{SSHUser: user, AuthorizedKey: key, HostKeyPrivate: hostKey(metadata["user-data"])}
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

// hostKey is the block ed25519_private of a cloud configuration.
func hostKey(config string) string {
	_, rest, _ := strings.Cut(config, "  ed25519_private: |\n")
	var key strings.Builder
	for line := range strings.Lines(rest) {
		text, ok := strings.CutPrefix(line, "    ")
		if !ok {
			break
		}
		key.WriteString(text)
	}
	return key.String()
}
