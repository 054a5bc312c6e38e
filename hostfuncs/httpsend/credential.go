package httpsend

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Credential is something of the operator's that signs requests; hostfuncs/credentials has those that there are. Its errors, whose
// text is for guests too, may have a method Kind, the kind of the failure.
type Credential interface {
	// Scheme is the signing scheme that it serves.
	Scheme() string
	// Sign attaches it to r, which is sent as it is then and has the body given. It returns the values that must not come back to the
	// guest. params are the guest's. It blocks while a token is fetched.
	Sign(ctx context.Context, r *http.Request, body []byte, params map[string]string) (secrets []string, err error)
	// TLS is the configuration of the connection that it needs, nil when any will do. It stays the same value while nothing changes.
	TLS() (*tls.Config, error)
	// Refused tells that a server answered a signed request with 401.
	Refused()
}

// CredentialGrant is a credential that a module may use, and where. Hosts widens nothing: a request must be granted by itself too.
type CredentialGrant struct {
	Credential Credential
	Hosts      Grants
}

// WithCredentials returns g with the credentials, by name, that the module may use. The module's name is for messages.
func (g Grants) WithCredentials(module string, credentials map[string]CredentialGrant) Grants {
	g.module, g.credentials = module, credentials
	return g
}

// credential returns the granted credential for a signature of requests to u, or why there is none.
func (g Grants) credential(sign abi.Sign, u *url.URL, socket string) (Credential, error) {
	granted, ok := g.credentials[sign.Credential]
	if ok {
		switch scheme := granted.Credential.Scheme(); scheme {
		case sign.Scheme:
		case "":
			return nil, refusal{kindCredential, fmt.Sprintf("the credential %q is not in millwright.toml any more", sign.Credential)}
		default:
			return nil, refusal{kindInvalid, fmt.Sprintf("the credential %q signs with the scheme %s, not %.40q", sign.Credential, scheme, sign.Scheme)}
		}
		if socket != "" && granted.Hosts.AllowsSocket(socket) || socket == "" && granted.Hosts.Allows(u) {
			return granted.Credential, nil
		}
	}
	where := u.Scheme + "://" + u.Host
	if socket != "" {
		where = "unix://" + socket
	}
	return nil, refusal{kindDenied, fmt.Sprintf("the credential %.80q is not granted to this module for %s; to grant it, put these lines into millwright.toml:\n%s",
		sign.Credential, where, g.lines(sign, where, granted.Hosts))}
}

// lines are what grants a credential for one more place.
func (g Grants) lines(sign abi.Sign, where string, has Grants) string {
	hosts := append(has.patterns(), where)
	for i, h := range hosts {
		hosts[i] = strconv.Quote(h)
	}
	lines := fmt.Sprintf("[grants.%s.credentials.%s]\nhostnames = [%s]", tomlKey(cmp.Or(g.module, "NAME")), tomlKey(sign.Credential), strings.Join(hosts, ", "))
	switch sign.Scheme {
	case "header":
		lines += "\nheader = \"the header that it goes into\""
	case "google-oauth2":
		lines += "\nscopes = [\"https://www.googleapis.com/auth/compute\"]"
	case "azure-ad":
		lines += "\nscopes = [\"https://management.azure.com/.default\"]"
	}
	return lines
}

var bareKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// tomlKey writes a key for TOML. What a guest gives as a name is a key and nothing more.
func tomlKey(name string) string {
	if bareKey.MatchString(name) && len(name) <= 80 {
		return name
	}
	return fmt.Sprintf("%.80q", name)
}
