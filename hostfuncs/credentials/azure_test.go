package credentials_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/hostfuncs/credentials"
)

var azureGrant = credentials.Grant{Scopes: []string{"https://management.azure.com/.default"}}

const tenant = "11111111-2222-3333-4444-555555555555"

// serveEntra answers as Microsoft's sign-in does for one tenant; grant tells whether a form is right.
func (c *clouds) serveEntra(host, token string, right func(*http.Request) bool) {
	base := "https://" + host + "/" + tenant
	c.HandleFunc(host+"/"+tenant+"/v2.0/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, object{"issuer": base + "/v2.0", "token_endpoint": base + "/oauth2/v2.0/token", "authorization_endpoint": base + "/oauth2/v2.0/authorize"})
	})
	c.HandleFunc(host+"/common/discovery/instance", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, object{"tenant_discovery_endpoint": base + "/v2.0/.well-known/openid-configuration", "metadata": []object{
			{"preferred_network": host, "preferred_cache": host, "aliases": []string{host}},
		}})
	})
	c.HandleFunc(host+"/"+tenant+"/oauth2/v2.0/token", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("grant_type") != "client_credentials" || !strings.Contains(r.FormValue("scope"), azureGrant.Scopes[0]) || !right(r) {
			answer(w, 401, object{"error": "invalid_client", "error_description": "AADSTS7000215: you sent " + r.Form.Encode()})
			return
		}
		answer(w, 200, object{"access_token": token, "token_type": "Bearer", "expires_in": 3600})
	})
}

func TestAzureClientSecret(t *testing.T) {
	for name, authority := range map[string]string{"login.microsoftonline.com": "", "login.private.example.com": "https://login.private.example.com"} {
		t.Run(name, func(t *testing.T) {
			c := newClouds(t)
			c.serveEntra(name, "eyJ.application", func(r *http.Request) bool {
				return r.FormValue("client_id") == "app" && r.FormValue("client_secret") == "s3cret-of-the-app"
			})
			config := credentials.Config{Kind: credentials.Azure, TenantID: tenant, ClientID: "app", Secret: "s3cret-of-the-app", Authority: authority}
			c.want(t, config, azureGrant, "Authorization", "Bearer eyJ.application")
			if n := c.count(name + "/" + tenant + "/oauth2/v2.0/token"); n != 1 {
				t.Errorf("%d sign-ins for one token", n)
			}
		})
	}
}

// TestAzureRefused checks that what the sign-in repeats reaches neither the guest nor the log.
func TestAzureRefused(t *testing.T) {
	c := newClouds(t)
	c.serveEntra("login.microsoftonline.com", "", func(*http.Request) bool { return false })
	_, _, err := c.sign(t, credentials.Config{Kind: credentials.Azure, TenantID: tenant, ClientID: "app", Secret: "s3cret-of-the-app"}, azureGrant, nil)
	if err == nil || strings.Contains(err.Error()+c.log.String(), "s3cret") {
		t.Errorf("got %v, and in the log %s", err, c.log)
	}
	if !strings.Contains(c.log.String(), "401") || !strings.Contains(c.log.String(), "AADSTS7000215") {
		t.Errorf("the operator does not learn why: %s", c.log)
	}
}

func TestAzureManagedIdentity(t *testing.T) {
	for name, client := range map[string]string{"system": "", "user": "99999999-0000-0000-0000-000000000000"} {
		t.Run(name, func(t *testing.T) {
			c := newClouds(t)
			c.HandleFunc("169.254.169.254/metadata/identity/oauth2/token", func(w http.ResponseWriter, r *http.Request) {
				q := r.URL.Query()
				if r.Header.Get("Metadata") != "true" || q.Get("resource") != "https://management.azure.com" || q.Get("client_id") != client {
					answer(w, 400, object{"error": "invalid_request"})
					return
				}
				answer(w, 200, object{"access_token": "eyJ.machine." + name, "token_type": "Bearer", "expires_in": "3600", "resource": q.Get("resource")})
			})
			c.want(t, credentials.Config{Kind: credentials.Azure, ClientID: client}, azureGrant, "Authorization", "Bearer eyJ.machine."+name)
		})
	}
}

func TestAzureWorkloadIdentity(t *testing.T) {
	c := newClouds(t)
	c.serveEntra("login.microsoftonline.com", "eyJ.workload", func(r *http.Request) bool {
		return r.FormValue("client_assertion") == "a-token-of-the-cluster"
	})
	file := write(t, "token", "a-token-of-the-cluster")
	c.want(t, credentials.Config{Kind: credentials.Azure, TenantID: tenant, ClientID: "app", TokenFile: file}, azureGrant, "Authorization", "Bearer eyJ.workload")

	t.Setenv("AZURE_FEDERATED_TOKEN_FILE", file)
	t.Setenv("AZURE_TENANT_ID", tenant)
	t.Setenv("AZURE_CLIENT_ID", "app")
	c.want(t, credentials.Config{Kind: credentials.Azure}, azureGrant, "Authorization", "Bearer eyJ.workload")
}
