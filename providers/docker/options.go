package main

import (
	"math"
	"net/netip"
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// settings are the options, read.
type settings struct {
	host       string // as given, for messages
	socket     string // path of the engine's unix socket; "" when it is reached at base
	base       string // http://host:port or https://host:port
	image      string
	network    string
	nanoCPUs   int64    // billionths of a CPU; 0 = no limit
	memory     int64    // bytes; 0 = no limit
	binds      []string // as docker-volume gives them
	privileged string   // auto, true, false
	publish    bool
	gpus       *deviceRequest
	dns        []string
	labels     map[string]string
}

// read turns options into settings and lists everything that is wrong with them.
func read(o abi.Options) (settings, []abi.Problem) {
	s := settings{
		host:       or(o.Get(optHost), defaultHost),
		image:      or(o.Get(optImage), defaultImage),
		network:    or(o.Get(optNetwork), defaultNetwork),
		binds:      o[optVolume],
		privileged: or(o.Get(optPrivileged), "auto"),
		publish:    o.Bool(optPublish),
		dns:        o[optDNS],
		labels:     map[string]string{},
	}
	var problems []abi.Problem
	check := func(option, value string, ok bool, allowed string) {
		if !ok {
			problems = append(problems, abi.Problem{Option: option, Message: "`" + value + "` is not allowed; use " + allowed})
		}
	}
	var ok bool
	s.socket, s.base, ok = splitHost(s.host)
	check(optHost, s.host, ok, "unix:///path/of/docker.sock, https://host:port or tcp://host:port")
	check(optImage, s.image, !strings.ContainsAny(s.image, " \t\n"), "the name of an image, such as "+defaultImage)
	check(optNetwork, s.network, nameLike(s.network), "letters, digits, `_`, `.` and `-`, beginning with a letter or digit")
	check(optNetwork, s.network, s.network != "host" && s.network != "none", "a network in which each machine has an address of its own")
	check(optPrivileged, s.privileged, s.privileged == "auto" || s.privileged == "true" || s.privileged == "false", "auto, true or false")
	if v := o.Get(optCPUs); v != "" {
		s.nanoCPUs, ok = parseCPUs(v)
		check(optCPUs, v, ok, "a number from 0.01 on, such as 1.5")
	}
	if v := o.Get(optMemory); v != "" {
		s.memory, ok = parseBytes(v)
		check(optMemory, v, ok && s.memory >= 6<<20, "a number of bytes with k, m or g, at least 6m, such as 2g")
	}
	if v := o.Get(optGPUs); v != "" {
		s.gpus, ok = parseGPUs(v)
		check(optGPUs, v, ok, "all, a number, or device=ID,ID")
	}
	for _, v := range s.binds {
		check(optVolume, v, volumeLike(v), "/host/path:/path[:options] or volume:/path[:options]")
	}
	for _, v := range s.dns {
		_, err := netip.ParseAddr(v)
		check(optDNS, v, err == nil, "an IP address")
	}
	for _, v := range o[optLabel] {
		key, value, _ := strings.Cut(v, "=")
		check(optLabel, v, key != "" && !strings.HasPrefix(key, labelPrefix), "key=value; keys that begin with "+labelPrefix+" are the driver's own")
		s.labels[key] = value
	}
	if s.publish && s.base != "" && !local(s.base) {
		problems = append(problems, abi.Problem{Option: optPublish, Message: "ports are published on 127.0.0.1, which " + s.host + " is not; leave it out"})
	}
	return s, problems
}

// Validate reads the options without asking the engine.
func (dockerDriver) Validate(req abi.ValidateRequest) []abi.Problem {
	_, problems := read(req.Options)
	return problems
}

// usable returns the settings for a machine to be made, or the first problem as an error.
func usable(o abi.Options) (settings, error) {
	s, problems := read(o)
	if len(problems) > 0 {
		return settings{}, &abi.Error{Kind: abi.Invalid, Message: problems[0].Option + ": " + problems[0].Message}
	}
	return s, nil
}

// reachable returns the settings for looking and removing, where only docker-host matters: a machine must go whatever became of the
// other options.
func reachable(o abi.Options) (settings, error) {
	return usable(abi.Options{optHost: o[optHost]})
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

// splitHost reads a docker-host into the path of a socket or the base of URLs.
func splitHost(host string) (socket, base string, ok bool) {
	if path, found := strings.CutPrefix(host, "unix://"); found {
		return path, "", strings.HasPrefix(path, "/")
	}
	scheme, rest, _ := strings.Cut(host, "://")
	switch scheme {
	case "tcp", "http":
		scheme = "http"
	case "https":
	default:
		return "", "", false
	}
	name, port, ok := cutLast(strings.TrimSuffix(rest, "/"), ":")
	_, err := strconv.ParseUint(port, 10, 16)
	return "", scheme + "://" + name + ":" + port, ok && err == nil && name != "" && !strings.ContainsAny(name, "/?#@ ")
}

// local tells whether the base of URLs is this host.
func local(base string) bool {
	_, rest, _ := strings.Cut(base, "://")
	name, _, _ := cutLast(rest, ":")
	addr, err := netip.ParseAddr(strings.Trim(name, "[]"))
	return name == "localhost" || err == nil && addr.IsLoopback()
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// nameLike tells whether the engine would take s as the name of a container, network or volume.
func nameLike(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || i > 0 && (c == '_' || c == '.' || c == '-')) {
			return false
		}
	}
	return s != ""
}

func volumeLike(s string) bool {
	source, rest, ok := strings.Cut(s, ":")
	return ok && source != "" && strings.HasPrefix(rest, "/")
}

func parseCPUs(s string) (nano int64, ok bool) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !(f >= 0.01 && f <= 1e6) {
		return 0, false
	}
	return int64(math.Round(f * 1e9)), true
}

// parseBytes reads a whole number with one of the suffixes b, k, m, g, t (of either case, powers of 1024), as docker run does.
func parseBytes(s string) (int64, bool) {
	digits := strings.TrimRight(strings.ToLower(s), "bkmgt")
	unit, ok := map[string]int64{"": 1, "b": 1, "k": 1 << 10, "kb": 1 << 10, "m": 1 << 20, "mb": 1 << 20, "g": 1 << 30, "gb": 1 << 30, "t": 1 << 40, "tb": 1 << 40}[strings.ToLower(s[len(digits):])]
	n, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || n <= 0 || n > math.MaxInt64/unit {
		return 0, false
	}
	return n * unit, true
}

func parseGPUs(s string) (*deviceRequest, bool) {
	req := &deviceRequest{Capabilities: [][]string{{"gpu"}}}
	if ids, found := strings.CutPrefix(s, "device="); found {
		req.DeviceIDs = strings.Split(ids, ",")
		return req, ids != ""
	}
	if s == "all" {
		req.Count = -1
		return req, true
	}
	n, err := strconv.Atoi(s)
	req.Count = n
	return req, err == nil && n > 0
}
