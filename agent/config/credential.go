package config

import (
	"maps"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
)

// Credential is one [credentials.NAME] section: something that the operator holds, with which the agent signs requests of the modules
// to which it is granted. It never enters one. hostfuncs/credentials says what each kind does with its keys.
type Credential struct {
	// Kind is bearer, basic, header, aws4, google-oauth2, azure-ad, keystone or client-tls.
	Kind string `toml:"kind"`

	// The secret: here, in a file of its own or in an environment variable. The first one given counts.
	Secret     Secret `toml:"secret"`
	SecretFile string `toml:"secret_file"`
	SecretEnv  string `toml:"secret_env"`
	Username   string `toml:"username"`

	AccessKeyID  string `toml:"access_key_id"` // aws4; without it the AWS library's default chain
	SessionToken Secret `toml:"session_token"`
	Profile      string `toml:"profile"`
	Region       string `toml:"region"` // of the STS
	RoleARN      string `toml:"role_arn"`
	ExternalID   string `toml:"external_id"`
	ConfigFile   string `toml:"config_file"` // in the place of ~/.aws/config; credentials_file in that of ~/.aws/credentials

	CredentialsFile string `toml:"credentials_file"` // google-oauth2; without it the application default credentials

	TenantID  string `toml:"tenant_id"` // azure-ad; without a secret or a token file the managed identity
	ClientID  string `toml:"client_id"`
	TokenFile string `toml:"token_file"`
	Authority string `toml:"authority"` // URL

	AuthURL                 string `toml:"auth_url"` // keystone
	UserDomain              string `toml:"user_domain"`
	Project                 string `toml:"project"`
	ProjectID               string `toml:"project_id"`
	ProjectDomain           string `toml:"project_domain"`
	ApplicationCredentialID string `toml:"application_credential_id"`

	CertFile string `toml:"cert_file"` // client-tls
	KeyFile  string `toml:"key_file"`
	CAFile   string `toml:"ca_file"` // also keystone's
}

// CredentialGrant is one [grants.MODULE.credentials.NAME] section: where a module may use the credential of that name.
type CredentialGrant struct {
	Hostnames []string `toml:"hostnames"` // as hostfuncs/httpsend.ParseGrants reads them; the module's own hostnames must allow them too
	Header    string   `toml:"header"`    // of kind header: which one the secret goes into
	Scopes    []string `toml:"scopes"`    // of google-oauth2, and one of azure-ad
}

var secretKeys = []string{"secret", "secret_file", "secret_env"}

// credentialKeys are the keys of each kind beside kind, and those of them that it can't do without; a | separates alternatives.
var credentialKeys = map[string]struct{ takes, needs []string }{
	"bearer":        {secretKeys, []string{"secret|secret_file|secret_env"}},
	"basic":         {append([]string{"username"}, secretKeys...), []string{"secret|secret_file|secret_env", "username"}},
	"header":        {secretKeys, []string{"secret|secret_file|secret_env"}},
	"aws4":          {append([]string{"access_key_id", "session_token", "profile", "region", "role_arn", "external_id", "config_file", "credentials_file"}, secretKeys...), nil},
	"google-oauth2": {[]string{"credentials_file"}, nil},
	"azure-ad":      {append([]string{"tenant_id", "client_id", "token_file", "authority"}, secretKeys...), nil},
	"keystone": {append([]string{"auth_url", "username", "user_domain", "project", "project_id", "project_domain", "application_credential_id", "ca_file"}, secretKeys...),
		[]string{"auth_url", "secret|secret_file|secret_env", "username|application_credential_id"}},
	"client-tls": {[]string{"cert_file", "key_file", "ca_file"}, []string{"cert_file", "key_file"}},
}

// checkCredential notes what a credential lacks, and what it has in vain.
func (d *decoder) checkCredential(name string, c Credential) {
	section := "credentials." + name
	keys, ok := credentialKeys[c.Kind]
	if !ok {
		d.bad(section, "kind", "%q is not known; use one of %s", c.Kind, strings.Join(slices.Sorted(maps.Keys(credentialKeys)), ", "))
		return
	}
	given := givenKeys(c)
	for _, need := range keys.needs {
		if !slices.ContainsFunc(strings.Split(need, "|"), func(k string) bool { return given[k] }) {
			d.bad(section, "kind", "a credential of kind %q needs %s", c.Kind, strings.ReplaceAll(need, "|", " or "))
		}
	}
	for _, k := range slices.Sorted(maps.Keys(given)) {
		if k != "kind" && !slices.Contains(keys.takes, k) {
			d.warn(section, k, "has no meaning for the kind %q, ignored", c.Kind)
		}
	}
	secret := slices.ContainsFunc(secretKeys, func(k string) bool { return given[k] })
	switch {
	case c.Kind == "aws4" && (c.AccessKeyID != "") != secret:
		d.bad(section, "access_key_id", "an access key and its secret go together; give both, or none for the default chain")
	case c.Kind == "azure-ad" && secret && c.ClientID == "":
		d.bad(section, "client_id", "a client secret needs client_id, and tenant_id where no subscription tells it")
	}
}

// givenKeys are the keys of a section that are not empty.
func givenKeys(c Credential) map[string]bool {
	given := map[string]bool{}
	v := reflect.ValueOf(c)
	for key, i := range fieldsOf(v.Type()) {
		if !v.Field(i).IsZero() {
			given[key] = true
		}
	}
	return given
}

// checkCredentialGrants holds what a grant says of credentials to those that there are.
func (d *decoder) checkCredentialGrants(module string, g Grant, credentials map[string]Credential) {
	for _, name := range slices.Sorted(maps.Keys(g.Credentials)) {
		section, use := "grants."+module+".credentials."+name, g.Credentials[name]
		c, ok := credentials[name]
		switch {
		case !ok:
			d.bad(section, "", "there is no credential of that name; add a section [credentials.%s]", name)
			continue
		case len(use.Hostnames) == 0:
			d.bad(section, "hostnames", "is missing; name the hosts that may get the credential")
		}
		switch {
		case c.Kind == "header" && use.Header == "":
			d.bad(section, "header", "is missing; name the header that the secret goes into")
		case c.Kind == "google-oauth2" && len(use.Scopes) == 0:
			d.bad(section, "scopes", "is missing; name what the token is for, as in scopes = [\"https://www.googleapis.com/auth/compute\"]")
		case c.Kind == "azure-ad" && len(use.Scopes) != 1:
			d.bad(section, "scopes", "must name one scope, as in scopes = [\"https://management.azure.com/.default\"]")
		}
		if c.Kind != "header" && use.Header != "" {
			d.warn(section, "header", "has no meaning for a credential of kind %q, ignored", c.Kind)
		}
	}
}

// checkReaders warns of secrets in a file that other users can read.
func (d *decoder) checkReaders(path string, credentials map[string]Credential) {
	info, err := os.Stat(path)
	if err != nil || runtime.GOOS == "windows" || info.Mode().Perm()&0o044 == 0 {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(credentials)) {
		if c := credentials[name]; c.Secret != "" || c.SessionToken != "" {
			d.warn("credentials."+name, "secret", "other users can read this file (mode %04o); run chmod go-r on it, or use secret_file", info.Mode().Perm())
		}
	}
}
