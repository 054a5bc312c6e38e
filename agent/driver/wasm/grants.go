package wasm

import (
	"fmt"
	"strings"

	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/hostfuncs/httpsend"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// grants returns what a call for a machine with these options may reach. A built-in driver gets what its description asks for, with
// {option} replaced by the option's value, so that a driver for one host is granted that host, and there its credentials; any other module
// gets what the operator granted it.
func (d *Driver) grants(options abi.Options) (module.Grants, error) {
	if !d.module.Builtin() {
		return d.module.Grants(), nil
	}
	var patterns []string
	for _, template := range d.describe.Hostnames {
		pattern, err := d.expand(template, options)
		if err != nil {
			return module.Grants{}, err
		}
		if pattern != "" {
			patterns = append(patterns, pattern)
		}
	}
	g, err := module.ParseGrants(patterns)
	if err != nil {
		return module.Grants{}, err
	}
	g = g.WithPrivate(httpsend.Everywhere...) // where the operator's options lead
	signers := make(map[string]httpsend.CredentialGrant, len(d.powers.Credentials))
	for name, c := range d.powers.Credentials {
		signers[name] = httpsend.CredentialGrant{Credential: c, Hosts: g}
	}
	return g.WithCredentials(d.describe.Name, signers), nil
}

// expand fills a template. It returns "" when an option of it was not given, or has a scheme where the template has one too: then there is
// nothing to reach.
func (d *Driver) expand(template string, options abi.Options) (string, error) {
	var out strings.Builder
	rest := template
	for {
		before, after, found := strings.Cut(rest, "{")
		out.WriteString(before)
		if !found {
			break
		}
		name, after, found := strings.Cut(after, "}")
		if _, known := d.options[name]; !found || !known {
			return "", fmt.Errorf("the hostname %q in its description names no option of the driver", template)
		}
		value := options.Get(name)
		switch {
		case value == "", strings.Contains(out.String(), "://") && strings.Contains(value, "://"):
			return "", nil
		case strings.ContainsAny(value, "*?[]\\") && !strings.Contains(value, "://["):
			return "", fmt.Errorf("%s: %q has characters that no host has; give the host itself", name, value)
		}
		out.WriteString(value)
		rest = after
	}
	// Docker writes tcp:// for an engine that is spoken to over http.
	if address, ok := strings.CutPrefix(out.String(), "tcp://"); ok {
		return "http://" + address, nil
	}
	return out.String(), nil
}
