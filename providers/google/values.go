package main

import (
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/providers/internal/gce"
	opts "github.com/millwright-ci/millwright/providers/internal/settings"
)

// Names of what the driver itself needs; an operator's label or metadata must not take them.
const (
	labelPrefix = "millwright-"
	keySSH      = "ssh-keys"
	keyStartup  = "startup-script"
	keyUserData = "user-data"
	keyOSLogin  = "enable-oslogin"
)

var imageLike = regexp.MustCompile(`^[a-z0-9.:-]+/global/images/(family/)?[a-z]([-a-z0-9]{0,61}[a-z0-9])?$`)

// imagePrefixes come before PROJECT/global/images in what people copy from the console and from gcloud.
var imagePrefixes = []string{"https://www.googleapis.com/compute/v1/", "https://compute.googleapis.com/compute/v1/", "projects/"}

func (r *reader) image() string {
	given := r.Get(optMachineImage, defaultImage)
	rest := given
	for _, prefix := range imagePrefixes {
		rest = strings.TrimPrefix(rest, prefix)
	}
	if !imageLike.MatchString(rest) {
		r.Bad(optMachineImage, given, "PROJECT/global/images/NAME or PROJECT/global/images/family/FAMILY")
	}
	r.past(rest)
	return "projects/" + rest
}

func (r *reader) scopes() []string {
	scopes := opts.Commas(r.Get(optScopes, defaultScopes))
	for _, s := range scopes {
		if u, err := url.Parse(s); err != nil || u.Scheme != "https" || u.Host == "" {
			r.Bad(optScopes, s, "URLs such as "+scopePrefix+"cloud-platform")
		}
	}
	return scopes
}

// networkTag is the tag that the firewall rule is for.
const networkTag = "docker-machine"

func (r *reader) tags() []string {
	tags := []string{networkTag}
	for _, t := range opts.Commas(r.Options.Get(optTags)) {
		if !gce.NameLike.MatchString(t) {
			r.Bad(optTags, t, "lower-case letters, digits and hyphens, 63 at most")
		}
		tags = append(tags, t)
	}
	return tags
}

func (r *reader) labels() map[string]string {
	labels := map[string]string{}
	for _, l := range r.Options[optLabel] {
		key, value, ok := strings.Cut(l, ":")
		if !ok || !labelKey.MatchString(key) || !labelValue.MatchString(value) || strings.HasPrefix(key, labelPrefix) {
			r.Bad(optLabel, l, "key:value of lower-case letters, digits, hyphens and underscores; keys that begin with "+labelPrefix+" are the driver's own")
		}
		labels[key] = value
	}
	return labels
}

// metadata joins the three options; a later one wins.
func (r *reader) metadata() []item {
	var items []item
	add := func(option, key, value string) {
		if !keyLike.MatchString(key) {
			r.Bad(option, key, "key=value with a key of letters, digits, hyphens and underscores")
			return
		}
		for i := range items {
			if items[i].Key == key {
				items[i].Value = value
				return
			}
		}
		items = append(items, item{key, value})
	}
	for _, option := range []string{optMetadata, optMetadataFile} {
		for _, entry := range r.Options[option] {
			key, value, ok := strings.Cut(entry, "=")
			if !ok {
				key = ""
			}
			add(option, key, value)
		}
	}
	if data := r.Options.Get(optUserdata); data != "" {
		add(optUserdata, keyUserData, data)
	}
	return items
}

// accelerator is a number of GPUs of one type; none when the number is 0.
type accelerator struct {
	name  string
	count int
}

func (r *reader) accelerator() (a accelerator) {
	text := r.Options.Get(optAccelerator)
	if text == "" {
		return a
	}
	seen := map[string]bool{}
	ok := true
	for _, part := range strings.Split(text, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		ok = ok && !seen[key]
		seen[key] = true
		switch key {
		case "type":
			a.name = value
		case "count":
			n, err := strconv.Atoi(value)
			ok = ok && err == nil && n > 0
			a.count = n
		default:
			ok = false
		}
	}
	if !ok || !typeLike.MatchString(a.name) || !seen["count"] {
		r.Bad(optAccelerator, text, "type=T,count=N, such as type=nvidia-tesla-t4,count=1")
	}
	return a
}

func (r *reader) maintenance(s settings) string {
	policy := r.Options.Get(optMaintenance)
	switch {
	case policy == "" && s.accelerator.count > 0:
		return "TERMINATE" // a machine with GPUs can't move, and the API refuses what it would default to
	case policy == "" || policy == "MIGRATE" || policy == "TERMINATE":
	default:
		r.Bad(optMaintenance, policy, "MIGRATE or TERMINATE")
	}
	if policy == "MIGRATE" && (s.accelerator.count > 0 || s.preemptible || s.spot) {
		r.Bad(optMaintenance, policy, "TERMINATE: machines with GPUs, preemptible and spot ones can't move")
	}
	return policy
}

// port is what the firewall rule lets in.
type port struct {
	protocol string
	number   string
}

// enginePort is Docker's with TLS, which the rule always has.
var enginePort = port{"tcp", "2376"}

func (r *reader) ports() []port {
	ports := []port{enginePort}
	for _, entry := range r.Options[optOpenPort] {
		number, protocol, _ := strings.Cut(entry, "/")
		protocol = opts.Or(protocol, "tcp")
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 || n > 65535 || protocol != "tcp" && protocol != "udp" {
			r.Bad(optOpenPort, entry, "a port, such as 8080, 8080/tcp or 8080/udp")
		}
		ports = append(ports, port{protocol, number})
	}
	return ports
}

// together looks at options that concern each other.
func (r *reader) together(s settings) {
	if s.address != "" {
		if _, err := netip.ParseAddr(s.address); err != nil && !gce.NameLike.MatchString(s.address) {
			r.Bad(optAddress, s.address, "an IP address, or the name of a reserved one")
		}
		if !s.external {
			r.Warn(optAddress, "has no effect with "+optInternalIPOnly)
		} else if !s.bulk.on {
			r.Warn(optAddress, "one address is for one machine at a time; leave it out for a fleet")
		}
	}
	if s.preemptible && s.spot {
		r.Bad(optSpot, "true", "either "+optSpot+" or "+optPreemptible)
	}
	if r.Options.Bool(optUseExisting) {
		r.Warn(optUseExisting, "has no effect: machines are made and removed by the agent, and one that is there already is left alone")
	}
	for _, network := range []struct{ option, value, part string }{{optNetwork, s.network, "/networks/"}, {optSubnetwork, s.subnetwork, "/subnetworks/"}} {
		if network.value != "" && !gce.NameLike.MatchString(network.value) && !strings.Contains(network.value, network.part) {
			r.Bad(network.option, network.value, "a name, or a URL with "+network.part+" in it")
		}
	}
	if s.iops < 0 || s.throughput < 0 {
		return // told already
	}
	if (s.iops > 0 || s.throughput > 0) && !strings.HasPrefix(s.diskType, "hyperdisk") && s.diskType != "pd-extreme" {
		r.Warn(optDiskType, s.diskType+" takes no "+optIOPS+" and "+optThroughput+"; a hyperdisk does")
	}
}

// idle looks at options that do nothing here, so that neither a misspelt value nor a wish passes unseen.
func (r *reader) idle() {
	for _, o := range []struct{ option, why string }{
		{optCOSCloudInit, "the agent waits for cloud-init where it installs an engine, and Container-Optimized OS has one"},
		{optCOSReadyURL, "no container is tried before a machine counts as ready"},
		{optCOSReadyGate, "no container is tried before a machine counts as ready"},
		{optCOSTLS, "certificates go to the machine over SSH, whose host key is known beforehand"},
	} {
		if text := r.Options.Get(o.option); text != "" && text != "false" {
			r.Warn(o.option, "has no effect: "+o.why)
		}
	}
	for _, option := range []string{optBackoffRandom, optBackoffMultiple} {
		if text := r.Options.Get(option); text != "" {
			if f, err := strconv.ParseFloat(text, 64); err != nil || f < 0 {
				r.Bad(option, text, "a number from 0 on")
			}
		}
	}
	for _, option := range []string{optBackoffInitial, optBackoffRandom, optBackoffMultiple, optBackoffMax, optBackoffElapsed} {
		if text := r.Options.Get(option); text != "" && text != backoffDefaults[option] {
			r.Warn(option, "has no effect: no creation is waited for; one list tells of all machines")
			break // it is the same for all of them
		}
	}
}
