package httpsend

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Grants are the places that a module may send requests to. The zero value grants nothing.
type Grants struct {
	hosts   []hostGrant
	sockets map[string]bool
	private []netip.Prefix // that names may lead to, beside the addresses in hosts

	module      string // whose grants these are, for messages; "" when nobody said
	credentials map[string]CredentialGrant
}

// hostGrant is one granted pattern of scheme, host and port.
type hostGrant struct {
	scheme string   // http or https
	labels []string // of the host, lower case; nil when it is an IPv6 address
	ip     string   // an IPv6 address without brackets
	port   string   // a number, or * for any
}

// ParseGrants reads patterns, each in one of these forms:
//
//	api.example.com              https on port 443
//	https://*.example.com        any hostname below example.com, at any depth
//	https://ec2.*.example.com    any one label in place of the star
//	http://10.0.0.7:2375         http is granted only when it is named
//	https://[2001:db8::1]:*      any port
//	unix:///var/run/docker.sock  the server behind exactly this socket
//
// Hostnames are compared without regard to case. An error names the pattern that it can't read; a pattern for every host there is
// (*) is refused.
func ParseGrants(patterns []string) (Grants, error) {
	g := Grants{sockets: map[string]bool{}}
	for _, p := range patterns {
		if socket, ok := strings.CutPrefix(p, "unix://"); ok {
			if !path.IsAbs(socket) || path.Clean(socket) != socket {
				return Grants{}, fmt.Errorf("granted hostname %q: a socket is written unix:///path, absolute and without . or ..", p)
			}
			g.sockets[socket] = true
			continue
		}
		h, err := parseHost(p)
		if err != nil {
			return Grants{}, fmt.Errorf("granted hostname %q: %w", p, err)
		}
		g.hosts = append(g.hosts, h)
	}
	return g, nil
}

func parseHost(pattern string) (hostGrant, error) {
	scheme, rest, found := strings.Cut(pattern, "://")
	if !found {
		scheme, rest = "https", pattern
	}
	scheme = strings.ToLower(scheme)
	port := defaultPort(scheme)
	if port == "" {
		return hostGrant{}, fmt.Errorf("the scheme is %q; use https, http or unix", scheme)
	}
	rest = strings.TrimSuffix(rest, "/")
	if strings.ContainsAny(rest, "/?#@ \t%") {
		return hostGrant{}, fmt.Errorf("more than scheme, host and port; leave the rest out")
	}
	host := rest
	if i := strings.LastIndexByte(rest, ':'); i > strings.LastIndexByte(rest, ']') {
		host, port = rest[:i], rest[i+1:]
		if port != "*" && !number(port) {
			return hostGrant{}, fmt.Errorf("the port is %q; use a number, or * for any", port)
		}
	}
	host = canonical(host)
	g := hostGrant{scheme: scheme, port: port}
	switch {
	case host == "" || host == "*":
		return hostGrant{}, fmt.Errorf("names no host; give a hostname, or a star below a domain as in *.example.com")
	case strings.HasPrefix(host, "["):
		g.ip = strings.Trim(host, "[]")
	default:
		g.labels = strings.Split(host, ".")
		for _, label := range g.labels {
			if _, err := path.Match(label, ""); err != nil || label == "" || strings.ContainsAny(label, `?[]\:`) {
				return hostGrant{}, fmt.Errorf("the hostname has a label %q; use letters, digits, hyphens and *", label)
			}
		}
	}
	return g, nil
}

// Everywhere is every private and loopback address, for modules that are trusted to ask only where the operator sends them.
var Everywhere = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}

// WithPrivate returns g with ranges of private and loopback addresses that its hostnames may lead to. Without, they may lead to
// public addresses only, and to addresses that are granted themselves; localhost is one.
func (g Grants) WithPrivate(ranges ...netip.Prefix) Grants {
	g.private = append(slices.Clip(g.private), ranges...)
	return g
}

// allowsAddress tells whether ip may be dialled for a name that is granted. Link-local addresses are nobody's to grant.
func (g Grants) allowsAddress(ip netip.Addr) bool {
	if !ip.IsPrivate() && !ip.IsLoopback() && !ip.IsUnspecified() && !sharedRange.Contains(ip) {
		return true
	}
	if slices.ContainsFunc(g.private, func(p netip.Prefix) bool { return p.Contains(ip) }) {
		return true
	}
	return slices.ContainsFunc(g.hosts, func(h hostGrant) bool {
		host := cmp.Or(h.ip, strings.Join(h.labels, "."))
		granted, err := netip.ParseAddr(host)
		return err == nil && granted.Unmap() == ip || host == socketHost && ip.IsLoopback()
	})
}

// sharedRange is what carriers and clouds use like a private range. Source: RFC 6598.
var sharedRange = netip.MustParsePrefix("100.64.0.0/10")

// template is a part of a wanted hostname that an option fills in.
var template = regexp.MustCompile(`\{[^{}]*\}`)

// Missing returns those of the wanted patterns, as a description lists them, that g does not grant. A pattern with a star or a template
// counts as granted when g grants something that it stands for: an operator may grant less than what is wished.
func (g Grants) Missing(wanted []string) []string {
	var missing []string
	for _, w := range wanted {
		if !g.grants(template.ReplaceAllString(w, "*")) {
			missing = append(missing, w)
		}
	}
	return missing
}

// grants tells whether one wanted pattern is granted.
func (g Grants) grants(wanted string) bool {
	if socket, ok := strings.CutPrefix(wanted, "unix://"); ok {
		return g.sockets[socket] || strings.Contains(socket, "*") && len(g.sockets) > 0
	}
	if host := wanted[strings.LastIndex(wanted, "/")+1:]; host == "*" || strings.HasPrefix(host, "*:") {
		return len(g.hosts) > 0 || wanted == "*" && len(g.sockets) > 0
	}
	w, err := parseHost(wanted)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(g.hosts, func(h hostGrant) bool {
		return h.scheme == w.scheme && (h.port == w.port || h.port == "*" || w.port == "*") && (h.within(w) || w.within(h))
	})
}

// within tells whether all that h stands for is matched by the other pattern.
func (h hostGrant) within(other hostGrant) bool {
	if h.labels == nil {
		return other.labels == nil && h.ip == other.ip
	}
	return other.labels != nil && other.matches(strings.Join(h.labels, "."))
}

// Allows tells whether u, an http or https URL, is granted.
func (g Grants) Allows(u *url.URL) bool {
	host, port := canonical(u.Hostname()), u.Port()
	if port == "" {
		port = defaultPort(u.Scheme)
	}
	for _, h := range g.hosts {
		if h.scheme == u.Scheme && (h.port == "*" || h.port == port) && h.matches(host) {
			return true
		}
	}
	return false
}

// patterns writes g as ParseGrants reads it.
func (g Grants) patterns() []string {
	var out []string
	for _, h := range g.hosts {
		host := strings.Join(h.labels, ".")
		if h.labels == nil {
			host = "[" + h.ip + "]"
		}
		if h.port != defaultPort(h.scheme) {
			host += ":" + h.port
		}
		out = append(out, h.scheme+"://"+host)
	}
	for _, socket := range slices.Sorted(maps.Keys(g.sockets)) {
		out = append(out, "unix://"+socket)
	}
	return out
}

// AllowsSocket tells whether the unix socket at path is granted.
func (g Grants) AllowsSocket(path string) bool { return g.sockets[path] }

func (h hostGrant) matches(host string) bool {
	if h.labels == nil {
		return host == h.ip
	}
	have, want := strings.Split(host, "."), h.labels
	if want[0] == "*" {
		// A star in front stands for one label or more.
		if len(have) < len(want) {
			return false
		}
		have, want = have[len(have)-len(want)+1:], want[1:]
	}
	if len(have) != len(want) {
		return false
	}
	for i, label := range want {
		if ok, _ := path.Match(label, have[i]); !ok {
			return false
		}
	}
	return true
}

// canonical is host in lower case without the dot that may end it.
func canonical(host string) string { return strings.TrimSuffix(strings.ToLower(host), ".") }

func defaultPort(scheme string) string {
	switch scheme {
	case "https":
		return "443"
	case "http":
		return "80"
	}
	return ""
}

func number(s string) bool {
	for _, c := range s {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != "" && len(s) <= 5
}
