package credentials

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// kind is how one kind of credential is fetched and attached.
type kind struct {
	params []string // that a guest must give, all of them
	fetch  func(*host, Config) fetch
	attach func(attachment) (secrets []string, err error)
	about  func(Config, *http.Request) string // what fetch must know of a request; nil: nothing
}

// attachment is one request to sign.
type attachment struct {
	ctx      context.Context
	request  *http.Request
	body     []byte
	params   map[string]string
	material material
	header   string // by the grant
	now      time.Time
}

// kinds joins each kind to what it does. Adding one is one entry here, its fields in Config and a section in README.md.
var kinds = map[string]kind{
	Bearer:    {fetch: (*host).static, attach: attachBearer},
	Basic:     {fetch: (*host).static, attach: attachBasic},
	Header:    {fetch: (*host).static, attach: attachHeader},
	AWS4:      {fetch: (*host).aws, attach: attachAWS4, params: []string{"region", "service"}},
	Google:    {fetch: (*host).google, attach: attachBearer},
	Azure:     {fetch: (*host).azure, attach: attachBearer, about: azureAbout},
	Keystone:  {fetch: (*host).keystone, attach: attachKeystone},
	ClientTLS: {},
}

// Kinds are the names of all kinds, sorted.
func Kinds() []string { return slices.Sorted(maps.Keys(kinds)) }

var paramPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$`)

// check holds what the guest gives to what the kind wants.
func (k kind) check(params map[string]string) error {
	for _, name := range k.params {
		if !paramPattern.MatchString(params[name]) {
			return problem{kindInvalid, fmt.Sprintf("the parameter %s of the signature is %.70q; use letters, digits and hyphens", name, params[name])}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if !slices.Contains(k.params, name) {
			return problem{kindInvalid, fmt.Sprintf("the parameter %.70q of the signature is not known; the scheme takes %s", name, listed(k.params))}
		}
	}
	return nil
}

func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, " and ")
}

func attachBearer(a attachment) ([]string, error) {
	a.request.Header.Set("Authorization", "Bearer "+a.material.token)
	return a.material.secrets(), nil
}

func attachBasic(a attachment) ([]string, error) {
	a.request.SetBasicAuth(a.material.id, a.material.token)
	return append(a.material.secrets(), base64.StdEncoding.EncodeToString([]byte(a.material.id+":"+a.material.token))), nil
}

func attachHeader(a attachment) ([]string, error) {
	if a.header == "" {
		return nil, problem{kindCredential, "its grant names no header"}
	}
	a.request.Header.Set(a.header, a.material.token)
	return a.material.secrets(), nil
}

func attachKeystone(a attachment) ([]string, error) {
	a.request.Header.Set("X-Auth-Token", a.material.token)
	return a.material.secrets(), nil
}

// secrets are the values of m that no guest may see.
func (m material) secrets() []string {
	return append(slices.Clone(m.hidden), m.token, m.session)
}
