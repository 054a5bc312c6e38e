package pool

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// maxName is the length of a DNS label (RFC 1123), which providers and host names ask for.
const maxName = 63

// safeName is what an instance's name must look like before we make a folder for it.
var safeName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// CheckName returns ErrName for an instance's name that is none of ours, so that nothing may be done by it.
func CheckName(name string) error {
	if !safeName.MatchString(name) {
		return ErrName
	}
	return nil
}

// newName returns a name that none of the pool's machines bears.
func (p *Pool) newName(now time.Time) string {
	for {
		var random [4]byte
		rand.Read(random[:]) // never fails: crypto/rand ends the program instead
		name := machineName(p.settings.Runner.ShortToken, p.settings.MachineName, now, random)
		if _, taken := p.byName[name]; !taken {
			return name
		}
	}
}

// machineName returns runner-<short token>-<template>, where template's %s becomes <unix seconds>-<8 hex digits>. The result is an
// RFC 1123 label: token and template are made lower case and lose what is not allowed; where it would be too long, what stands
// before the time is cut and what stands after it left out, so that it stays unique.
// Source: GitLab Runner 19.4, names of docker+machine.
func machineName(token, template string, now time.Time, random [4]byte) string {
	before, after, _ := strings.Cut(template, "%s")
	prefix := sanitise(before)
	if token = strings.TrimLeft(sanitise(token), "-"); token != "" {
		prefix = "runner-" + token + "-" + prefix
	}
	prefix = strings.TrimLeft(prefix, "-")
	unique := fmt.Sprintf("%d-%s", now.Unix(), hex.EncodeToString(random[:]))
	suffix := strings.TrimRight(sanitise(after), "-")
	if len(prefix)+len(unique)+len(suffix) > maxName {
		suffix = ""
	}
	if over := len(prefix) + len(unique) - maxName; over > 0 {
		prefix = prefix[:len(prefix)-over-1]
		prefix = strings.TrimRight(prefix, "-") + "-"
	}
	return prefix + unique + suffix
}

// sanitise returns s in lower case without what a DNS label does not allow.
func sanitise(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return -1
	}, strings.ToLower(s))
}
