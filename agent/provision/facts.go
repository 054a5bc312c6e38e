package provision

import (
	"fmt"
	"regexp"
	"strings"
)

var (
	envName  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	flagName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]*$`)
)

// facts are what the probe script found on a machine.
type facts struct {
	os         osRelease
	arch       string // in the kernel's words: x86_64, aarch64
	dockerd    string // path of the engine's binary; "" when there is none
	init       string // what manages services now: systemd, openrc, sysv or none
	daemonJSON []byte // the image's own /etc/docker/daemon.json; empty when there is none
}

// osRelease is what /etc/os-release says. Source: os-release(5).
type osRelease struct {
	ID        string   // debian, ubuntu, rhel, flatcar, cos; "linux" when the file does not say
	Like      []string // related systems, the closest first
	VersionID string
	Name      string // for people
}

func (o osRelease) String() string {
	if o.Name != "" {
		return o.Name
	}
	return strings.TrimSpace(o.ID + " " + o.VersionID)
}

// parseFacts reads the probe's output: sections that begin with a line of mark, a space and the section's name. What stands before
// the first one (a login message, say) is ignored.
func parseFacts(out, mark string) (facts, error) {
	sections := map[string]string{}
	for i, part := range strings.Split("\n"+out, "\n"+mark+" ") {
		if i == 0 {
			continue
		}
		name, text, _ := strings.Cut(part, "\n")
		sections[strings.TrimSpace(name)] = text
	}
	if _, ok := sections["end"]; !ok {
		return facts{}, fmt.Errorf("the machine's answer to the probe is cut short:\n%.200s", out)
	}
	return facts{
		os:         parseOSRelease(sections["os-release"]),
		arch:       strings.TrimSpace(sections["arch"]),
		dockerd:    strings.TrimSpace(sections["dockerd"]),
		init:       strings.TrimSpace(sections["init"]),
		daemonJSON: []byte(strings.TrimSpace(sections["daemon.json"])),
	}, nil
}

// parseOSRelease reads shell-like assignments; it never fails, what it does not understand is left out.
func parseOSRelease(text string) osRelease {
	o := osRelease{ID: "linux"}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		key, value, ok := strings.Cut(line, "=")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		value = unquote(value)
		switch key {
		case "ID":
			o.ID = strings.ToLower(value)
		case "ID_LIKE":
			o.Like = strings.Fields(strings.ToLower(value))
		case "VERSION_ID":
			o.VersionID = value
		case "PRETTY_NAME":
			o.Name = value
		}
	}
	return o
}

// unquote takes shell quotes and backslashes away.
func unquote(s string) string {
	if len(s) >= 2 && s[0] == '\'' && s[len(s)-1] == '\'' {
		return s[1 : len(s)-1]
	}
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = s[1 : len(s)-1]
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// goArch turns the engine's or the kernel's word for an architecture into Go's.
func goArch(arch string) string {
	switch arch {
	case "x86_64":
		return "amd64"
	case "aarch64":
		return "arm64"
	case "armv7l", "armv6l":
		return "arm"
	case "i686", "i386":
		return "386"
	}
	return arch
}
