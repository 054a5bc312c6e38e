package main

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// settings are the options, read.
type settings struct {
	place
	machineType string
	minCPU      string
	image       string // projects/P/global/images/...
	account     string // "" is none
	scopes      []string
	diskGB      int
	diskType    string
	iops        int
	throughput  int
	network     string // as given
	subnetwork  string
	address     string
	preemptible bool
	spot        bool
	tags        []string
	external    bool // has an external address
	labels      map[string]string
	metadata    []item
	accelerator accelerator
	maintenance string
	firewall    bool
	ports       []port
	login
}

// place is what even list and remove must know.
type place struct {
	endpoint string // scheme://host[:port]
	project  string
	zone     string
}

// login is how the agent reaches a machine.
type login struct {
	user     string
	internal bool // by the internal address
}

// item is one entry of an instance's metadata.
type item struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

var (
	projectLike = regexp.MustCompile(`^([a-z0-9.-]+:)?[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	zoneLike    = regexp.MustCompile(`^[a-z]+(-[a-z]+)+[0-9]+-[a-z]$`)
	nameLike    = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$`)
	typeLike    = regexp.MustCompile(`^[a-z][-a-z0-9]*$`)
	userLike    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,29}$`)
	keyLike     = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)
	labelKey    = regexp.MustCompile(`^[\p{Ll}\p{Lo}][\p{Ll}\p{Lo}\p{N}_-]{0,62}$`)
	labelValue  = regexp.MustCompile(`^[\p{Ll}\p{Lo}\p{N}_-]{0,63}$`)
)

// reader reads options and notes what is wrong with them.
type reader struct {
	options  abi.Options
	problems []abi.Problem
}

func (r *reader) bad(option, value, allowed string) {
	r.problems = append(r.problems, abi.Problem{Option: option, Message: strconv.Quote(short(value)) + " is not allowed; use " + allowed})
}

// odd notes what only the cloud can judge.
func (r *reader) odd(option, value, allowed string) {
	r.problems = append(r.problems, abi.Problem{Option: option, Warning: true, Message: strconv.Quote(short(value)) + " looks wrong; " + allowed})
}

func (r *reader) get(option, otherwise string) string { return or(r.options.Get(option), otherwise) }

// whole reads a number.
func (r *reader) whole(option string, otherwise, least int) int {
	text := r.options.Get(option)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least {
		r.bad(option, text, "a whole number from "+strconv.Itoa(least)+" on")
	}
	return n
}

// read turns options into settings and lists everything that is wrong with them.
func read(o abi.Options) (settings, []abi.Problem) {
	r := &reader{options: o}
	s := settings{
		place:       r.place(),
		machineType: r.get(optMachineType, "n1-standard-1"),
		minCPU:      o.Get(optMinCPUPlatform),
		account:     r.get(optServiceAccount, "default"),
		diskGB:      r.whole(optDiskSize, 10, 1),
		diskType:    r.get(optDiskType, "pd-standard"),
		iops:        r.whole(optIOPS, 0, 0),
		throughput:  r.whole(optThroughput, 0, 0),
		network:     r.get(optNetwork, "default"),
		subnetwork:  o.Get(optSubnetwork),
		address:     o.Get(optAddress),
		preemptible: o.Bool(optPreemptible),
		spot:        o.Bool(optSpot),
		external:    !o.Bool(optInternalIPOnly),
		firewall:    !o.Bool(optSkipFirewall),
		login:       login{user: r.get(optUsername, "ubuntu"), internal: o.Bool(optInternalIP) || o.Bool(optInternalIPOnly)},
	}
	r.zone(s.zone)
	if !typeLike.MatchString(s.machineType) {
		r.odd(optMachineType, s.machineType, "a machine type is such as n2-standard-4")
	}
	if !typeLike.MatchString(s.diskType) {
		r.bad(optDiskType, s.diskType, "a disk type, such as pd-balanced")
	}
	if !userLike.MatchString(s.user) {
		r.bad(optUsername, s.user, "a login of letters, digits, hyphens and underscores, 30 at most")
	}
	if o.Bool(optNoAccount) {
		s.account = ""
	}
	s.image = r.image()
	s.scopes = r.scopes()
	s.tags = r.tags()
	s.labels = r.labels()
	s.metadata = r.metadata()
	s.accelerator = r.accelerator()
	s.maintenance = r.maintenance(s)
	s.ports = r.ports()
	r.together(s)
	r.backoff()
	return s, r.problems
}

// place reads what list and remove need.
func (r *reader) place() place {
	p := place{endpoint: strings.TrimSuffix(r.get(optEndpoint, defaultEndpoint), "/"), project: r.options.Get(optProject), zone: r.get(optZone, defaultZone)}
	if p.project == "" {
		r.problems = append(r.problems, abi.Problem{Option: optProject, Message: "is missing; give the id of the project"})
	} else if !projectLike.MatchString(p.project) {
		r.odd(optProject, p.project, "the id of a project has lower-case letters, digits and hyphens")
	}
	return p
}

func (r *reader) zone(zone string) {
	switch {
	case zoneLike.MatchString(zone):
	case zoneLike.MatchString(zone + "-a"):
		r.odd(optZone, zone, "that is a region; a zone is "+zone+"-a, for example")
	default:
		r.odd(optZone, zone, "a zone is such as "+defaultZone)
	}
}

// Validate reads the options without asking the cloud.
func (google) Validate(req abi.ValidateRequest) []abi.Problem {
	_, problems := read(req.Options)
	return problems
}

// usable returns the settings for a machine to be made, or the first problem as an error.
func usable(o abi.Options) (settings, error) {
	s, problems := read(o)
	return s, firstOf(problems)
}

// reachable returns where to look and to remove: a machine must go whatever became of the other options.
func reachable(o abi.Options) (place, error) {
	r := &reader{options: o}
	p := r.place()
	return p, firstOf(r.problems)
}

func firstOf(problems []abi.Problem) error {
	for _, p := range problems {
		if !p.Warning {
			return &abi.Error{Kind: abi.Invalid, Message: p.Option + ": " + p.Message}
		}
	}
	return nil
}

// region is the zone without its last part.
func (p place) region() string {
	if i := strings.LastIndexByte(p.zone, '-'); i > 0 {
		return p.zone[:i]
	}
	return p.zone
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

// short keeps messages readable.
func short(s string) string {
	if len(s) > 100 {
		return strings.ToValidUTF8(s[:100], "") + "..."
	}
	return s
}
