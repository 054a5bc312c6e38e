package grants

import (
	"github.com/millwright-ci/millwright/hostfuncs/credentials"
	"github.com/millwright-ci/millwright/hostfuncs/httpsend"
)

// own is what a built-in driver signs with: a credential of its own name.
type own struct {
	kind  string
	grant credentials.Grant
}

// builtin lists the drivers with a credential. A driver added here needs no more: without a section of its name in millwright.toml its
// requests are signed with what the cloud's own library finds in the agent's environment (hostfuncs/credentials/README.md).
var builtin = map[string]own{
	"google": {credentials.Google, credentials.Grant{Scopes: []string{"https://www.googleapis.com/auth/compute"}}},
}

// Builtin returns the credentials of a built-in driver by the names that it signs with, none for one that needs none. [credentials.NAME] of
// millwright.toml, with the driver's name, is used where there is one: another service account for one agent, say.
func Builtin(store *credentials.Store, driver string) map[string]httpsend.Credential {
	o, ok := builtin[driver]
	if !ok {
		return nil
	}
	store.Provide(driver, credentials.Config{Kind: o.kind})
	return map[string]httpsend.Credential{driver: store.Signer(driver, o.grant)}
}
