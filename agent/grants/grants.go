// Package grants turns what the operator wrote in millwright.toml into what the host functions take. It decides nothing by itself.
package grants

import (
	"fmt"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/hostfuncs/credentials"
	"github.com/millwright-ci/millwright/hostfuncs/httpsend"
)

// Credentials returns the sections of millwright.toml for credentials.Store.Set.
func Credentials(sections map[string]config.Credential) map[string]credentials.Config {
	out := make(map[string]credentials.Config, len(sections))
	for name, c := range sections {
		out[name] = credentials.Config{
			Kind:   c.Kind,
			Secret: credentials.Secret(c.Secret), SecretFile: c.SecretFile, SecretEnv: c.SecretEnv, Username: c.Username,
			AccessKeyID: c.AccessKeyID, SessionToken: credentials.Secret(c.SessionToken), Profile: c.Profile, Region: c.Region,
			RoleARN: c.RoleARN, ExternalID: c.ExternalID, ConfigFile: c.ConfigFile,
			CredentialsFile: c.CredentialsFile,
			TenantID:        c.TenantID, ClientID: c.ClientID, TokenFile: c.TokenFile, Authority: c.Authority,
			AuthURL: c.AuthURL, UserDomain: c.UserDomain, Project: c.Project, ProjectID: c.ProjectID, ProjectDomain: c.ProjectDomain,
			ApplicationCredentialID: c.ApplicationCredentialID,
			CertFile:                c.CertFile, KeyFile: c.KeyFile, CAFile: c.CAFile,
		}
	}
	return out
}

// Signers returns what a module may have its requests signed with, for httpsend.Grants.WithCredentials. An error names the pattern of a
// hostname that can't be read.
func Signers(store *credentials.Store, granted map[string]config.CredentialGrant) (map[string]httpsend.CredentialGrant, error) {
	out := make(map[string]httpsend.CredentialGrant, len(granted))
	for name, g := range granted {
		hosts, err := httpsend.ParseGrants(g.Hostnames)
		if err != nil {
			return nil, fmt.Errorf("credentials.%s: %w", name, err)
		}
		out[name] = httpsend.CredentialGrant{Credential: store.Signer(name, credentials.Grant{Header: g.Header, Scopes: g.Scopes}), Hosts: hosts}
	}
	return out, nil
}
