package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/dropin"
	"github.com/millwright-ci/millwright/agent/supervisor"
)

// trialGrants are what the millwright.toml beside a config.toml grants a driver that is tried, as it would the driver of that file name in drivers.d.
type trialGrants struct {
	grant   dropin.Grant
	end     func()
	secrets []string // which no answer may show
}

// trialGrants reads the grants of a driver's file, and lets host trust the authorities that millwright.toml names.
func (a *app) trialGrants(host *module.Host, configPath, file string) (_ *trialGrants, err error) {
	log := a.quietLogger()
	op, err := a.operator(configPath, log)()
	if err != nil {
		return nil, err
	}
	roots, err := op.Roots()
	if err != nil {
		return nil, err
	}
	host.Trust(roots)
	name := strings.TrimSuffix(filepath.Base(file), ".wasm")
	if len(op.Grants[name].Hostnames) == 0 {
		return nil, fmt.Errorf("%s: [grants.%s] is missing or has no hostnames; name those that %s may reach", op.Path, name, filepath.Base(file))
	}
	g := &trialGrants{}
	if g.grant, g.end, err = supervisor.GrantOf(op, name, log); err != nil {
		return nil, err
	}
	for credential := range op.Grants[name].Credentials {
		g.secrets = append(g.secrets, secretsOf(op.Credentials[credential])...)
	}
	return g, nil
}

// secretsOf are the secrets of a credential as far as millwright.toml leads to them. One that can't be read fails the requests that it is for.
func secretsOf(c config.Credential) []string {
	found := []string{c.Secret.Reveal(), c.SessionToken.Reveal()}
	if c.SecretFile != "" {
		data, _ := os.ReadFile(c.SecretFile)
		found = append(found, string(data))
	}
	if c.SecretEnv != "" {
		found = append(found, os.Getenv(c.SecretEnv))
	}
	return found
}

// give adds the grants to a module's source. cloud is the address of the command's own cloud, which is granted too; "" is none.
func (g *trialGrants) give(src *module.Source, cloud string) {
	src.Hostnames, src.Private, src.Credentials, src.Limits = g.grant.Hostnames, g.grant.Private, g.grant.Credentials, g.grant.Limits
	if cloud != "" {
		src.Hostnames = append(src.Hostnames, cloud)
	}
}
