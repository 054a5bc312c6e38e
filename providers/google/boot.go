package main

import (
	"encoding/base64"
	"strings"

	"github.com/millwright-ci/millwright/providers/internal/cloudinit"
	opts "github.com/millwright-ci/millwright/providers/internal/settings"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// machineMetadata is what the machine finds when it boots: the operator's metadata, who may log in, and its host key.
//
// The login is made by the guest agent of the image from ssh-keys, which OS Login would make it pass over. The host key comes twice, since
// images differ: as user data for cloud-init, which puts it in place before sshd starts (Ubuntu, Container-Optimized OS), and as a startup
// script for all others. What the operator gave under these names goes on to work.
func (s settings) machineMetadata(b abi.Bootstrap) []item {
	own := map[string]func(string) string{
		keySSH: func(theirs string) string {
			return cloudinit.Lines(theirs) + s.user + ":" + strings.TrimSpace(b.AuthorizedKey)
		},
		keyOSLogin:  func(theirs string) string { return opts.Or(theirs, "FALSE") },
		keyStartup:  func(theirs string) string { return startupScript(b, theirs) },
		keyUserData: func(theirs string) string { return cloudinit.Join(cloudinit.HostKey(b), theirs) },
	}
	var items []item
	given := map[string]bool{}
	for _, i := range s.metadata {
		if with, ok := own[i.Key]; ok {
			i.Value = with(i.Value)
		}
		given[i.Key] = true
		items = append(items, i)
	}
	for _, key := range []string{keySSH, keyOSLogin, keyStartup, keyUserData} {
		if !given[key] {
			items = append(items, item{key, own[key]("")})
		}
	}
	return items
}

// startupScript puts the host key into place and does what the host has a first boot do, at every boot, since some images forget /etc, and goes
// on with the operator's own.
func startupScript(b abi.Bootstrap, theirs string) string {
	script := `#!/bin/sh
# Millwright: the key by which the agent knows this machine.
umask 077
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
key=$(sshd -T 2>/dev/null | sed -n 's/^hostkey \(.*ed25519.*\)$/\1/p' | head -n 1)
key=${key:-/etc/ssh/ssh_host_ed25519_key}
cat >"$key.given" <<'MILLWRIGHT'
` + cloudinit.Lines(b.HostKeyPrivate) + `MILLWRIGHT
if ! cmp -s "$key.given" "$key"; then
	cat "$key.given" >"$key" && chmod 600 "$key"
	cat >"$key.pub" <<'MILLWRIGHT'
` + cloudinit.Lines(b.HostKeyPublic) + `MILLWRIGHT
	chmod 644 "$key.pub"
	systemctl restart ssh 2>/dev/null || systemctl restart sshd 2>/dev/null || service ssh restart 2>/dev/null || service sshd restart
fi
rm -f "$key.given"
`
	if b.FirstBoot != "" {
		script += "# The engine.\n(\numask 022\n" + cloudinit.Lines(b.FirstBoot) + ")\n"
	}
	if theirs == "" {
		return script
	}
	return script + `# The operator's own.
umask 022
own=$(mktemp) && base64 -d >"$own" <<'MILLWRIGHT'
` + base64.StdEncoding.EncodeToString([]byte(theirs)) + `
MILLWRIGHT
chmod 700 "$own"
if [ -x "$own" ]; then exec "$own"; fi
exec sh "$own"
`
}
