package dropin

import (
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/hostfuncs/httpsend"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Settings are what NAME.toml says of a module. The zero value is that of a module without such a file.
type Settings struct {
	Runners      []string // patterns of names, as path.Match reads them; none means all
	Position     int      // 0 takes what the module describes
	Config       abi.Raw
	Shadow       bool
	Required     bool
	SHA256       string        // of the file, in hex; "" pins nothing
	ObserveEvery time.Duration // 0 means 30 s
}

// serves tells whether a policy is for the runner of that name.
func (s Settings) serves(runner string) bool {
	return len(s.Runners) == 0 || slices.ContainsFunc(s.Runners, func(pattern string) bool {
		ok, _ := path.Match(pattern, runner)
		return ok || pattern == runner
	})
}

// Grant is what the operator lets a module do beyond computing.
type Grant struct {
	Hostnames []string // as module.ParseGrants reads them
	Private   []netip.Prefix
	Limits    module.Limits // zero fields are the host's

	Credentials map[string]httpsend.CredentialGrant
	// Signing is what Credentials were made of, in any spelling that tells two grants apart: signers can't be compared.
	Signing string
}

func (g Grant) equal(other Grant) bool {
	return slices.Equal(g.Hostnames, other.Hostnames) && slices.Equal(g.Private, other.Private) && g.Limits == other.Limits &&
		g.Signing == other.Signing
}

// GrantError is a module that wants to reach what was not granted to it.
type GrantError struct {
	Name    string
	Missing []string // hostnames, as the module describes them
	Path    string   // of millwright.toml
	Granted []string // hostnames that the module has already
}

// Error ends with the exact lines for millwright.toml.
func (e *GrantError) Error() string {
	return fmt.Sprintf("wants to reach %s, which is not granted to it; to grant it, put these lines into %s:\n%s",
		strings.Join(e.Missing, ", "), e.Path, e.Lines())
}

// Lines are what grants the module what it wants, beside what it has.
func (e *GrantError) Lines() string {
	quoted := make([]string, 0, len(e.Granted)+len(e.Missing))
	for _, h := range slices.Concat(e.Granted, e.Missing) {
		quoted = append(quoted, strconv.Quote(h))
	}
	return fmt.Sprintf("[grants.%s]\nhostnames = [%s]", e.Name, strings.Join(quoted, ", "))
}

// template is a part of a wanted hostname that the configuration fills in.
var template = regexp.MustCompile(`\{[^{}]*\}`)

// wanted fills the templates in what a policy describes with the strings of its configuration, a URL with its scheme, host and port, so that
// what is missing can be granted as it stands in the message. What the configuration does not have stays a template.
func wanted(hostnames []string, config abi.Raw) []string {
	out := make([]string, len(hostnames))
	for i, h := range hostnames {
		out[i] = template.ReplaceAllStringFunc(h, func(t string) string {
			text, ok := config.Field(strings.Trim(t, "{}")).Text()
			if !ok || text == "" {
				return t
			}
			if u, err := url.Parse(text); err == nil && u.Host != "" {
				return u.Scheme + "://" + u.Host
			}
			return text
		})
	}
	return out
}
