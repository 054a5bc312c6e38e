package main

import (
	"net/url"
	"regexp"
	"strconv"
	"strings"

	opts "github.com/millwright-ci/millwright/providers/internal/settings"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// settings are the options of a machine to be made, checked.
type settings struct {
	place
	login
	account string // whose memory of the cloud may be used: see memory

	zone         string // its whole name
	instanceType string
	image        string // as the option has it
	vpc, subnet  string
	groups       []string
	readonly     bool // the groups' rules
	ports        []port
	tags         []tag

	volume  volume
	profile string
	keyPair string

	spot         bool
	spotPrice    string // "" is no cap
	spotDuration int    // minutes; 0 is none

	publicAddress bool
	monitoring    bool
	ebsOptimized  bool
	cpuCredits    string
	userdata      string
	tokens        string // optional or required
	hopLimit      int
}

// login is how a machine is reached, which a list reads off its tags.
type login struct {
	user    string
	port    int
	private bool // by its private address
}

// volume is the root volume.
type volume struct {
	device           string
	sizeGB           int
	kind             string
	encrypted        bool
	key              string
	iops, throughput int // 0 is the kind's own
}

type tag struct{ key, value string }

// port is what the security group's rules let in.
type port struct {
	protocol string
	number   int
}

var (
	regionLike  = regexp.MustCompile(`^[a-z]{2,4}(-[a-z]+)+-[0-9]$`)
	zoneLike    = regexp.MustCompile(`^[a-z0-9-]+$`)
	otherZone   = regexp.MustCompile(`^[a-z]{2,4}(-[a-z]+)+-[0-9]`) // as whole names begin
	vpcLike     = regexp.MustCompile(`^vpc-[0-9a-f]{8,17}$`)
	subnetLike  = regexp.MustCompile(`^subnet-[0-9a-f]{8,17}$`)
	groupIDLike = regexp.MustCompile(`^sg-[0-9a-f]{8,17}$`)
	groupLike   = regexp.MustCompile(`^[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{1,255}$`)
	typeLike    = regexp.MustCompile(`^[a-z][a-z0-9-]*\.[a-z0-9-]+$`)
	imageLike   = regexp.MustCompile(`^(ami-[0-9a-f]{8,17}|resolve:ssm:.+|([0-9]{12}|amazon|self|aws-marketplace)/.+)$`)
	userLike    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,31}$`)
	deviceLike  = regexp.MustCompile(`^(/dev/)?[a-z][a-z0-9]+$`)
	priceLike   = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?$`)
)

// reader reads options and notes what is wrong with them.
type reader struct{ opts.Reader }

func newReader(o abi.Options) *reader { return &reader{opts.Reader{Options: o}} }

// like returns an option that may be empty and is else of a form.
func (r *reader) like(form *regexp.Regexp, option, allowed string) string {
	text := r.Options.Get(option)
	if text != "" && !form.MatchString(text) {
		r.Bad(option, text, allowed)
	}
	return text
}

// read turns options into settings and lists everything that is wrong with them.
func read(o abi.Options) (settings, []abi.Problem) {
	r := newReader(o)
	s := settings{
		place:         r.place(),
		login:         login{user: r.Get(optSSHUser, defaultUser), port: r.Whole(optSSHPort, 22, 1, 65535), private: o.Bool(optPrivateOnly) || o.Bool(optUsePrivate)},
		instanceType:  r.Get(optType, defaultType),
		image:         r.like(imageLike, optAMI, "ami-..., OWNER/NAME or resolve:ssm:PARAMETER"),
		vpc:           r.like(vpcLike, optVPC, "the id of a VPC, vpc-..."),
		subnet:        r.like(subnetLike, optSubnet, "the id of a subnet, subnet-..."),
		readonly:      o.Bool(optGroupReadonly),
		volume:        r.volume(),
		profile:       o.Get(optProfile),
		keyPair:       o.Get(optKeyPair),
		spot:          o.Bool(optSpot),
		publicAddress: !o.Bool(optPrivateOnly),
		monitoring:    o.Bool(optMonitoring),
		ebsOptimized:  o.Bool(optEBSOptimized),
		cpuCredits:    o.Get(optCPUCredits),
		userdata:      o.Get(optUserdata),
		tokens:        r.Get(optToken, "optional"),
		hopLimit:      r.Whole(optHopLimit, 1, 1, 64),
	}
	s.zone = r.zone(s.place)
	s.groups = r.groups()
	s.ports = r.ports(s.login.port)
	s.tags = r.tags()
	s.spotPrice, s.spotDuration = r.bid(s.spot)
	if !typeLike.MatchString(s.instanceType) {
		r.Bad(optType, s.instanceType, "an instance type, such as "+defaultType)
	}
	if !userLike.MatchString(s.user) {
		r.Bad(optSSHUser, s.user, "a login of letters, digits, hyphens and underscores, 32 at most")
	}
	if s.tokens != "optional" && s.tokens != "required" {
		r.Bad(optToken, s.tokens, "optional or required")
	}
	if s.cpuCredits != "" && s.cpuCredits != "standard" && s.cpuCredits != "unlimited" {
		r.Bad(optCPUCredits, s.cpuCredits, "standard or unlimited")
	}
	r.credentials()
	r.idle()
	return s, r.Problems
}

// place reads what list and remove need.
func (r *reader) place() place {
	p := place{region: r.Get(optRegion, defaultRegion), endpoint: strings.TrimRight(r.Options.Get(optEndpoint), "/")}
	switch {
	case p.endpoint == "" && r.Options.Bool(optInsecure):
		r.Wrong(optInsecure, "is for "+optEndpoint+" alone; give that, or leave this out")
	case p.endpoint == "" && !regionLike.MatchString(p.region):
		r.Bad(optRegion, p.region, "a region, such as "+defaultRegion)
	case p.endpoint == "":
		p.endpoint = "https://ec2." + p.region + ".amazonaws.com"
		if strings.HasPrefix(p.region, "cn-") {
			p.endpoint += ".cn"
		}
	case !strings.Contains(p.endpoint, "://") && r.Options.Bool(optInsecure):
		p.endpoint = "http://" + p.endpoint
	case !strings.Contains(p.endpoint, "://"):
		p.endpoint = "https://" + p.endpoint
	}
	if u, err := url.Parse(p.endpoint); p.endpoint != "" && (err != nil || u.Host == "" || u.Path != "" || u.Scheme != "https" && u.Scheme != "http") {
		r.Bad(optEndpoint, p.endpoint, "HOST[:PORT], or a URL of https or http without a path")
	}
	return p
}

// zone is the zone's whole name. The option holds its letter, but with an endpoint of one's own.
func (r *reader) zone(p place) string {
	zone := r.Get(optZone, defaultZone)
	if !zoneLike.MatchString(zone) {
		r.Bad(optZone, zone, "the letter of a zone, such as "+defaultZone)
	}
	switch {
	case r.Options.Get(optEndpoint) != "" && len(zone) > 1:
		return zone
	case zone == p.region:
		r.Bad(optZone, zone, "the letter of a zone, such as "+defaultZone+"; that is the region")
	case strings.HasPrefix(zone, p.region):
		return zone
	case otherZone.MatchString(zone):
		r.Bad(optZone, zone, "a zone of "+p.region+", or set "+optRegion)
	}
	return p.region + zone
}

// credentials looks at what the driver sees of the keys: whether they are there.
func (r *reader) credentials() {
	has := func(option string) bool { return r.Options.Get(option) != "" }
	missing := func(option, other string) {
		r.Wrong(option, "is missing, while "+other+" is there; give both, or neither for the agent's own credential")
	}
	switch {
	case has(optAccessKey) && !has(optSecretKey):
		missing(optSecretKey, optAccessKey)
	case has(optSecretKey) && !has(optAccessKey):
		missing(optAccessKey, optSecretKey)
	case has(optSessionToken) && !has(optAccessKey):
		missing(optAccessKey, optSessionToken)
	}
}

// idle looks at options that do nothing, alone or beside others.
func (r *reader) idle() {
	if r.Whole(optRetries, defaultRetries, -1, 1000) != defaultRetries {
		r.Warn(optRetries, "has no effect: the agent tries again by itself, later each time, for as long as the machine is wanted")
	}
	if r.Options.Get(optSSHKeyPath) != "" {
		r.Warn(optSSHKeyPath, "has no effect: the agent makes a key for each machine, and logs in with that")
	}
	if r.Options.Bool(optPrivateOnly) && r.Options.Bool(optUsePrivate) {
		r.Warn(optUsePrivate, "says nothing beside "+optPrivateOnly)
	}
}

// Validate reads the options without asking the cloud.
func (amazonec2) Validate(req abi.ValidateRequest) []abi.Problem {
	s, problems := read(req.Options)
	if len(s.userdata) > maxUserData {
		problems = append(problems, abi.Problem{Option: optUserdata, Message: "has " + strconv.Itoa(len(s.userdata)) + " bytes; EC2 takes " + strconv.Itoa(maxUserData)})
	}
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
