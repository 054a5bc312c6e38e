package grants

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/hostfuncs/credentials"
	"github.com/millwright-ci/millwright/hostfuncs/httpsend"
)

// own is what a built-in driver signs with: a credential of its own name.
type own struct {
	kind     string
	grant    credentials.Grant
	national []national
	// also are further names that the driver signs with: the same credential, for other scopes.
	also map[string]credentials.Grant
}

// national is a cloud of the same provider with a sign-in of its own. What is added to the driver's name is the name of its credential.
type national struct {
	suffix    string
	authority string
	scope     string
}

// builtin lists the drivers with a credential. A driver added here needs no more: without a section of its name in millwright.toml its
// requests are signed with what the cloud's own library finds in the agent's environment (hostfuncs/credentials/README.md).
var builtin = map[string]own{
	"amazonec2": {kind: credentials.AWS4},
	"aws":       {kind: credentials.AWS4},
	"azure": {kind: credentials.Azure, grant: credentials.Grant{Scopes: []string{"https://management.azure.com/.default"}}, national: []national{
		{"-usgovernment", "https://login.microsoftonline.us/", "https://management.usgovcloudapi.net/.default"},
		{"-china", "https://login.chinacloudapi.cn/", "https://management.chinacloudapi.cn/.default"},
	}},
	"digitalocean":  {kind: credentials.Bearer},
	"docker":        {kind: credentials.ClientTLS},
	"google":        compute("google"),
	"googlecompute": compute("googlecompute"),
	"hetzner":       {kind: credentials.Bearer},
}

// compute is what a driver of Compute Engine signs with; its check asks with the credential of another scope.
func compute(driver string) own {
	return own{kind: credentials.Google, grant: credentials.Grant{Scopes: []string{"https://www.googleapis.com/auth/compute"}}, also: map[string]credentials.Grant{
		driver + "-check": {Scopes: []string{"https://www.googleapis.com/auth/cloud-platform.read-only"}},
	}}
}

// Builtin returns the credentials of a built-in driver by the names that it signs with, none for one that needs none. [credentials.NAME] of
// millwright.toml, with the driver's name, is used where there is one: another service account for one agent, say.
func Builtin(store *credentials.Store, driver string) map[string]httpsend.Credential {
	o, ok := builtin[driver]
	if !ok {
		return nil
	}
	return o.signers(store, driver, driver, credentials.Config{Kind: o.kind})
}

// signers gives the store the credential of that name, and returns what the driver signs with.
func (o own) signers(store *credentials.Store, driver, name string, c credentials.Config) map[string]httpsend.Credential {
	if c.Kind == credentials.ClientTLS {
		c = dockers(c)
	}
	store.Provide(name, c)
	out := map[string]httpsend.Credential{driver: store.Signer(name, o.grant)}
	for signs, grant := range o.also {
		out[signs] = store.Signer(name, grant)
	}
	for _, n := range o.national {
		c.Authority = n.authority
		store.Provide(name+n.suffix, c)
		out[driver+n.suffix] = store.Signer(name+n.suffix, credentials.Grant{Scopes: []string{n.scope}})
	}
	return out
}

// Region returns the region that a driver's credential belongs to, "" where it has none or none is known. name is the credential's in the store: the
// driver's own, or that of OfOptions.
func Region(ctx context.Context, store *credentials.Store, name string) (string, error) {
	return store.Signer(name, credentials.Grant{}).Region(ctx)
}

// dockers is the certificate that Docker's own client finds in the environment: three files of a folder.
func dockers(c credentials.Config) credentials.Config {
	if dir := os.Getenv("DOCKER_CERT_PATH"); dir != "" {
		c.CertFile, c.KeyFile, c.CAFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "ca.pem")
	}
	return c
}

// OfOptions returns the credentials of a built-in driver for the machines of one runner, whose secret options gave the values, by the keys of
// [credentials.NAME]. name is the credential's in the store, one for each driver and runner; given again with other values it has those from then on.
func OfOptions(store *credentials.Store, driver, name string, values map[string]config.Secret) (map[string]httpsend.Credential, error) {
	o, ok := builtin[driver]
	if !ok {
		return nil, fmt.Errorf("driver %s: signs with no credential that its secret options could give", driver)
	}
	c := credentials.Config{Kind: o.kind}
	for key, value := range values {
		switch key {
		case "secret":
			c.Secret = credentials.Secret(value)
		case "access_key_id":
			c.AccessKeyID = value.Reveal()
		case "session_token":
			c.SessionToken = credentials.Secret(value)
		case "username":
			c.Username = value.Reveal()
		case "tenant_id":
			c.TenantID = value.Reveal()
		case "client_id":
			c.ClientID = value.Reveal()
		case "profile":
			c.Profile = value.Reveal()
		case "config_file":
			c.ConfigFile = value.Reveal()
		case "credentials_file":
			c.CredentialsFile = value.Reveal()
		default:
			return nil, fmt.Errorf("driver %s: a secret option is for the key %q, which no credential has", driver, key)
		}
	}
	return o.signers(store, driver, name, c), nil
}
