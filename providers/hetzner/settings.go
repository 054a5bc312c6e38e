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

// machine is what the options say of a machine to be made. What is named there is named here; create looks the numbers up.
type machine struct {
	image, arch        string // a name or a number; "" is the server type's
	kind, location     string
	key                int64 // of the operator's; 0 when one is made
	moreKeys           []string
	keyLabels, labels  map[string]string
	userData           string
	networks           []string
	volumes, firewalls []string
	noIPv4, noIPv6     bool
	primary4, primary6 string
	group              string
	spread             bool
	user               string
	port               int
	private            bool // is reached by its address in the first network
}

var (
	nameLike = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?$`)
	wordLike = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`)
	userLike = regexp.MustCompile(`^[a-z]([a-z0-9_-]{0,30}[a-z0-9])?$`) // a label holds it
	keyLike  = regexp.MustCompile(`^(ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/=]+( [^\x00-\x1f]*)?$`)
	labelKey = regexp.MustCompile(`^([a-z0-9A-Z]([-a-z0-9A-Z.]{0,251}[a-z0-9A-Z])?/)?[a-z0-9A-Z]([-_.a-z0-9A-Z]{0,61}[a-z0-9A-Z])?$`)
	labelVal = regexp.MustCompile(`^([a-z0-9A-Z]([-_.a-z0-9A-Z]{0,61}[a-z0-9A-Z])?)?$`)
)

// mostUserData is what Hetzner takes, ours included. Source: Hetzner Cloud API, "Create a Server".
const mostUserData = 32 << 10

// read turns options into what a machine is to be, and notes in r what is wrong with them.
func read(r *settings.Reader) machine {
	o := r.Options
	m := machine{
		image: o.Get(optImage), arch: o.Get(optImageArch), kind: r.Get(optType, defaultType), location: o.Get(optLocation), moreKeys: o[optMoreKeys],
		keyLabels: labels(r, optKeyLabels), labels: labels(r, optLabels), userData: settings.Or(o.Get(optUserDataFile), o.Get(optUserData)),
		networks: given(o[optNetworks]), volumes: given(o[optVolumes]), firewalls: given(o[optFirewalls]), primary4: o.Get(optPrimary4), primary6: o.Get(optPrimary6),
		noIPv4: o.Bool(optNoIPv4) || o.Bool(optNo4) || o.Bool(optNoPublic), noIPv6: o.Bool(optNoIPv6) || o.Bool(optNo6) || o.Bool(optNoPublic),
		group: o.Get(optGroup), spread: o.Bool(optSpread), user: r.Get(optUser, "root"), port: r.Whole(optPort, 22, 1, 65535),
		private: o.Bool(optUsePrivate) || o.Bool(optNoPublic),
	}
	m.readImage(r)
	if id := o.Get(optKeyID); id != "" && id != "0" {
		if m.key = number(id); m.key == 0 {
			r.Bad(optKeyID, id, "the number of an SSH key of the project")
		}
	}
	for _, word := range []struct{ option, value, example string }{{optType, m.kind, "cx23"}, {optLocation, m.location, "fsn1"}} {
		if word.value != "" && !wordLike.MatchString(word.value) {
			r.Bad(word.option, word.value, "a name, such as "+word.example)
		}
	}
	if m.kind == defaultType {
		r.Warn(optType, defaultType+", the default, is offered no more by Hetzner; name a server type, such as cx23")
	}
	if !userLike.MatchString(m.user) {
		r.Bad(optUser, m.user, "a login of lower-case letters, digits, hyphens and underscores, 32 at most, that begins with a letter and ends with no hyphen")
	}
	for _, key := range m.moreKeys {
		if !keyLike.MatchString(key) {
			r.Bad(optMoreKeys, key, "a public key as one line: ssh-ed25519 AAAA... comment")
		}
	}
	m.together(r)
	return m
}

func (m *machine) readImage(r *settings.Reader) {
	id := r.Options.Get(optImageID)
	switch {
	case id != "" && id != "0" && (m.image != "" || m.arch != ""):
		r.Wrong(optImageID, "goes with neither "+optImage+" nor "+optImageArch)
	case id != "" && id != "0" && number(id) == 0:
		r.Bad(optImageID, id, "a number")
	case id != "" && id != "0":
		m.image = id
	case m.image == "":
		m.image = defaultImage
		r.Warn(optImage, defaultImage+", the default, is old; name an image, such as ubuntu-24.04")
	case !wordLike.MatchString(m.image):
		r.Bad(optImage, m.image, "an image's name, such as ubuntu-24.04")
	}
	if m.arch != "" && m.arch != "x86" && m.arch != "arm" {
		r.Bad(optImageArch, m.arch, "x86 or arm")
	}
}

// together looks at options that concern each other.
func (m machine) together(r *settings.Reader) {
	o := r.Options
	switch {
	case o.Bool(optFromFile):
		r.Wrong(optFromFile, "is not served; give the file as "+optUserDataFile+" and leave "+optUserData+" out")
	case o.Get(optUserData) != "" && o.Get(optUserDataFile) != "":
		r.Wrong(optUserDataFile, "goes not with "+optUserData)
	case cloudinit.Archive(m.userData):
		r.Wrong(optUserDataFile, "is a MIME archive, which the machine's keys can't be joined with; give a script or a cloud-config")
	case len(m.userData) > mostUserData-4<<10:
		r.Wrong(optUserDataFile, "has "+strconv.Itoa(len(m.userData))+" bytes; Hetzner takes 32 KB with what the driver adds, so 28 KB here at most")
	}
	if m.spread && m.group != "" {
		r.Wrong(optSpread, "goes not with "+optGroup)
	}
	if (m.private || m.noIPv4 && m.noIPv6) && len(m.networks) == 0 {
		r.Wrong(optNetworks, "is missing: a machine without public addresses, or one that is reached by a private one, needs a network that the agent is in")
	}
	if m.noIPv4 && m.noIPv6 && !m.private {
		r.Warn(optUsePrivate, "is meant, since there is no public address")
	}
	if m.noIPv4 && m.primary4 != "" || m.noIPv6 && m.primary6 != "" {
		r.Wrong(optPrimary4, "and "+optPrimary6+" go not with an address that is switched off")
	}
	for option, given := range map[string]bool{optPrimary4: m.primary4 != "", optPrimary6: m.primary6 != "", optVolumes: len(m.volumes) > 0} {
		if given {
			r.Warn(option, "is for one machine at a time; leave it out for a fleet")
		}
	}
}

// labels reads a list of key=value.
func labels(r *settings.Reader, option string) map[string]string {
	out := map[string]string{}
	for _, l := range r.Options[option] {
		key, value, ok := strings.Cut(l, "=")
		if !ok || !labelKey.MatchString(key) || !labelVal.MatchString(value) || strings.HasPrefix(key, labelPrefix) {
			r.Bad(option, l, "key=value of letters, digits, hyphens, underscores and dots, 63 at most; keys that begin with "+labelPrefix+" are the driver's own")
		}
		out[key] = value
	}
	return out
}

// given leaves out what is empty.
func given(list []string) (out []string) {
	for _, v := range list {
		if v = strings.TrimSpace(v); v != "" {
			out = append(out, v)
		}
	}
	return out
}

// number reads a number; what is none is 0, which nothing has.
func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return max(n, 0)
}

// api is where to look and to remove: it depends on the account alone.
func api(o abi.Options) rest.API {
	return rest.API{
		Endpoint: strings.TrimSuffix(settings.Or(o.Get(optEndpoint), defaultEndpoint), "/") + "/v1",
		Sign:     abi.Sign{Scheme: "bearer", Credential: "hetzner"}, Token: todoToken, Refused: refused,
	}
}

// Validate reads the options without asking the cloud.
func (hetzner) Validate(req abi.ValidateRequest) []abi.Problem {
	r := &settings.Reader{Options: req.Options}
	read(r)
	return r.Problems
}
