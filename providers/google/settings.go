package main

import (
	"math"
	"regexp"

	"github.com/millwright-ci/millwright/providers/internal/gce"
	opts "github.com/millwright-ci/millwright/providers/internal/settings"
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
	bulk        bulk
	login
}

// place is what even list and remove must know.
type place struct {
	gce.API
	zone string
}

// inZone joins parts of a path below the zone.
func (p place) inZone(parts ...string) string {
	return p.In(append([]string{"zones", p.zone}, parts...)...)
}

// texts are what the driver tells people to do.
var texts = gce.Texts{
	Driver:   "google",
	Capacity: "try another " + optZone + " or " + optMachineType + ": alternatives in millwright.toml",
	Missing:  "see that zone, machine type, image, network and service account are there",
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
	typeLike   = regexp.MustCompile(`^[a-z][-a-z0-9]*$`)
	userLike   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,29}$`)
	keyLike    = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)
	labelKey   = regexp.MustCompile(`^[\p{Ll}\p{Lo}][\p{Ll}\p{Lo}\p{N}_-]{0,62}$`)
	labelValue = regexp.MustCompile(`^[\p{Ll}\p{Lo}\p{N}_-]{0,63}$`)
)

// reader reads options and notes what is wrong with them.
type reader struct{ opts.Reader }

func newReader(o abi.Options) *reader { return &reader{opts.Reader{Options: o}} }

// most bounds numbers that only the cloud bounds.
const most = math.MaxInt32

// read turns options into settings and lists everything that is wrong with them.
func read(o abi.Options) (settings, []abi.Problem) {
	r := newReader(o)
	s := settings{
		place:       r.place(),
		machineType: r.Get(optMachineType, "n1-standard-1"),
		minCPU:      o.Get(optMinCPUPlatform),
		account:     r.Get(optServiceAccount, "default"),
		diskGB:      r.Whole(optDiskSize, 10, 1, most),
		diskType:    r.Get(optDiskType, "pd-standard"),
		iops:        r.Whole(optIOPS, 0, 0, most),
		throughput:  r.Whole(optThroughput, 0, 0, most),
		network:     r.Get(optNetwork, "default"),
		subnetwork:  o.Get(optSubnetwork),
		address:     o.Get(optAddress),
		preemptible: o.Bool(optPreemptible),
		spot:        o.Bool(optSpot),
		external:    !o.Bool(optInternalIPOnly),
		firewall:    !o.Bool(optSkipFirewall),
		login:       login{user: r.Get(optUsername, "ubuntu"), internal: o.Bool(optInternalIP) || o.Bool(optInternalIPOnly)},
	}
	gce.CheckZone(&r.Reader, optZone, s.zone, defaultZone)
	if !typeLike.MatchString(s.machineType) {
		r.Odd(optMachineType, s.machineType, "a machine type is such as n2-standard-4")
	}
	if !typeLike.MatchString(s.diskType) {
		r.Bad(optDiskType, s.diskType, "a disk type, such as pd-balanced")
	}
	if !userLike.MatchString(s.user) {
		r.Bad(optUsername, s.user, "a login of letters, digits, hyphens and underscores, 30 at most")
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
	s.bulk = r.bulk(s)
	r.together(s)
	r.idle()
	return s, r.Problems
}

// place reads what list and remove need.
func (r *reader) place() place {
	p := place{gce.API{Endpoint: gce.URLOfEndpoint(r.Options.Get(optEndpoint)), Project: r.Options.Get(optProject), Texts: &texts}, r.Get(optZone, defaultZone)}
	gce.CheckProject(&r.Reader, optProject, p.Project)
	return p
}

// Validate reads the options without asking the cloud.
func (google) Validate(req abi.ValidateRequest) []abi.Problem {
	_, problems := read(req.Options)
	return problems
}

// usable returns the settings for a machine to be made, or the first problem as an error.
func usable(o abi.Options) (settings, error) {
	s, problems := read(o)
	return s, (&opts.Reader{Problems: problems}).Err()
}

// reachable returns where to look and to remove: a machine must go whatever became of the other options.
func reachable(o abi.Options) (place, error) {
	r := newReader(o)
	p := r.place()
	return p, r.Err()
}

// region is that of the bulk insert, or the zone's.
func (s settings) region() string {
	if s.bulk.on {
		return s.bulk.region
	}
	return s.place.region()
}

// region is that of the zone.
func (p place) region() string { return gce.RegionOf(p.zone) }
