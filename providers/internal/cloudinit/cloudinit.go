// Package cloudinit writes the user data by which a machine is known and lets its agent in, before its sshd answers.
package cloudinit

import (
	"strings"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// HostKey is the machine's host key as cloud-init takes it. Source: cloud-init documentation, "SSH".
func HostKey(b abi.Bootstrap) string {
	return "#cloud-config\nssh_deletekeys: true\nssh_keys:\n  ed25519_private: |\n" + indent(Lines(b.HostKeyPrivate)) +
		"  ed25519_public: " + strings.TrimSpace(b.HostKeyPublic) + "\n"
}

// Login is the host key, and a login that the machine's key opens, and more keys do too, with sudo where it is not root. What the operator's own part of the user data says
// of users and keys stays beside it. Source: cloud-init documentation, "Users and groups" and "Merging user data sections".
func Login(b abi.Bootstrap, user string, more ...string) string {
	out := HostKey(b) + "disable_root: false\nusers:\n  - default\n  - name: " + user + "\n"
	if user != "root" {
		out += "    shell: /bin/bash\n    sudo: ALL=(ALL) NOPASSWD:ALL\n"
	}
	out += "    lock_passwd: false\n    ssh_authorized_keys:\n"
	for _, key := range append([]string{b.AuthorizedKey}, more...) {
		out += "      - " + strings.TrimSpace(key) + "\n"
	}
	return out + "merge_how:\n  - name: list\n    settings: [append]\n  - name: dict\n    settings: [no_replace, recurse_list]\n"
}

// boundary is between the parts of user data; nobody else writes such a line.
const boundary = "==MILLWRIGHT-7d1c0b9a=="

// Archive tells whether user data of the operator's is a MIME archive already, with which nothing can be joined.
func Archive(theirs string) bool {
	return strings.HasPrefix(theirs, "Content-Type:") || strings.HasPrefix(theirs, "MIME-Version:") || strings.Contains(theirs, boundary)
}

// Join joins our configuration with the operator's own user data. Ours comes last, since of two values for one key the later one counts, unless it
// says otherwise. An archive comes back as it is. Source: cloud-init documentation, "User-data formats" and "Merging user data sections".
func Join(config, theirs string) string { return JoinScripts(config, theirs) }

// JoinScripts is Join with scripts of ours that run at the end of the first boot, one after the other; one that is "" is left out.
func JoinScripts(config, theirs string, scripts ...string) string {
	switch {
	case theirs == "" && strings.Join(scripts, "") == "":
		return config
	case Archive(theirs):
		return theirs
	}
	part := func(kind, text string) string {
		return "--" + boundary + "\nContent-Type: " + kind + "; charset=\"utf-8\"\nMIME-Version: 1.0\n\n" + Lines(text)
	}
	parts := part("text/cloud-config", config)
	for _, script := range scripts {
		if script != "" {
			parts += part("text/x-shellscript", script)
		}
	}
	if theirs != "" {
		parts = part("text/plain", theirs) + parts
	}
	return "Content-Type: multipart/mixed; boundary=\"" + boundary + "\"\nMIME-Version: 1.0\n\n" + parts + "--" + boundary + "--\n"
}

// scriptHead begins a script of ours.
const scriptHead = "#!/bin/sh\n# Millwright: who may log in, and when the machine ends.\nPATH=$PATH:/usr/sbin:/sbin\n"

// Script makes a script of lines; "" of none.
func Script(lines string) string {
	if lines == "" {
		return ""
	}
	return scriptHead + lines
}

// End is the script that has a machine switch itself off at a time, in RFC 3339, whatever becomes of the agent; "" without one. It counts from the
// boot on, before the agent has logged in.
func End(at string) string {
	return Script(EndLines(at))
}

// EndLines are the lines of End for a script that does more.
func EndLines(at string) string {
	if at == "" {
		return ""
	}
	return "left=$((($(date -d '" + onlyTime(at) + "' +%s) - $(date +%s)) / 60))\n" +
		"shutdown -P \"+$((left > 1 ? left : 1))\" || true\n"
}

// onlyTime keeps of an RFC 3339 time what can stand in a script.
func onlyTime(text string) string {
	return strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' || strings.ContainsRune("TZ:+-.", c) {
			return c
		}
		return -1
	}, text)
}

func indent(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		out.WriteString("    " + line)
	}
	return out.String()
}

// Lines ends text with one line break; "" stays empty.
func Lines(text string) string {
	if text = strings.TrimRight(text, "\n"); text == "" {
		return ""
	}
	return text + "\n"
}
