package main

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/providers/internal/cloudinit"
	"github.com/millwright-ci/millwright/providers/internal/rest"
	"github.com/millwright-ci/millwright/providers/internal/settings"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// machine is what the options say of a machine to be made.
type machine struct {
	region, size, image string
	fingerprint         string // or number, of the SSH key; "" until one is made
	ipv6, private       bool
	backups, monitoring bool
	userdata            string
	tags                []string
	vpc                 string
	login
}

// login is how the agent reaches a machine.
type login struct {
	user    string
	port    int
	private bool // by the address in the VPC
}

var (
	slugLike        = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`)
	nameLike        = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?$`)
	userLike        = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)
	tagLike         = regexp.MustCompile(`^[A-Za-z0-9:_-]{1,255}$`)
	fingerprintLike = regexp.MustCompile(`^([0-9]+|([0-9a-fA-F]{2}:){15}[0-9a-fA-F]{2})$`)
	uuidLike        = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
)

// mostUserData is what DigitalOcean takes, ours included. Source: DigitalOcean API, "Create a New Droplet".
const mostUserData = 64 << 10

// read turns options into what a machine is to be, and notes in r what is wrong with them.
func read(r *settings.Reader) machine {
	o := r.Options
	m := machine{
		region: r.Get(optRegion, defaultRegion), size: r.Get(optSize, defaultSize), image: r.Get(optImage, defaultImage),
		fingerprint: o.Get(optFingerprint), ipv6: o.Bool(optIPv6), private: o.Bool(optPrivate), backups: o.Bool(optBackups), monitoring: o.Bool(optMonitoring),
		userdata: o.Get(optUserdata), vpc: o.Get(optVPC),
		login: login{user: r.Get(optUser, "root"), port: r.Whole(optPort, 22, 1, 65535), private: o.Bool(optUsePrivate)},
	}
	for _, slug := range []struct{ option, value, example string }{{optRegion, m.region, "fra1"}, {optSize, m.size, "s-2vcpu-4gb"}, {optImage, m.image, "ubuntu-24-04-x64"}} {
		if !slugLike.MatchString(slug.value) {
			r.Bad(slug.option, slug.value, "a slug, such as "+slug.example)
		}
	}
	if m.image == defaultImage {
		r.Warn(optImage, defaultImage+", docker-machine's default, is offered no more by DigitalOcean; name an image, such as ubuntu-24-04-x64")
	}
	if !userLike.MatchString(m.user) {
		r.Bad(optUser, m.user, "a login of lower-case letters, digits, hyphens and underscores, 32 at most")
	}
	if m.fingerprint != "" && !fingerprintLike.MatchString(m.fingerprint) {
		r.Bad(optFingerprint, m.fingerprint, "an MD5 fingerprint (16 pairs of digits with colons between) or the number of an SSH key of the account")
	}
	if m.vpc != "" && !uuidLike.MatchString(m.vpc) {
		r.Bad(optVPC, m.vpc, "the id of a VPC, such as 5a4981aa-9653-4bd1-bef5-d6bff52042e4")
	}
	for _, tag := range settings.Commas(o.Get(optTags)) {
		if !tagLike.MatchString(tag) || strings.HasPrefix(strings.ToLower(tag), tagPrefix) {
			r.Bad(optTags, tag, "letters, digits, colons, hyphens and underscores; tags that begin with "+tagPrefix+" are the driver's own")
		}
		m.tags = append(m.tags, tag)
	}
	if cloudinit.Archive(m.userdata) {
		r.Wrong(optUserdata, "is a MIME archive, which the machine's keys can't be joined with; give a script or a cloud-config")
	}
	if len(m.userdata) > mostUserData-4<<10 {
		r.Wrong(optUserdata, "has "+strconv.Itoa(len(m.userdata))+" bytes; DigitalOcean takes 64 KB with what the driver adds, so 60 KB here at most")
	}
	return m
}

// api is where to look and to remove: it depends on the account alone.
func api(o abi.Options) rest.API {
	return rest.API{
		Endpoint: strings.TrimSuffix(settings.Or(o.Get(optEndpoint), defaultEndpoint), "/"),
		Sign:     abi.Sign{Scheme: "bearer", Credential: "digitalocean"}, Token: todoToken, Refused: refused,
	}
}

// Validate reads the options without asking the cloud.
func (digitalocean) Validate(req abi.ValidateRequest) []abi.Problem {
	r := &settings.Reader{Options: req.Options}
	read(r)
	return r.Problems
}
