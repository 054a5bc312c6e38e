package remotecache_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/job/remotecache"
	"github.com/millwright-ci/millwright/agent/job/remotecache/storetest"
)

func azureCache(a *storetest.Azurite, key string) *config.Cache {
	c := &config.Cache{Type: "azure"}
	c.Azure = config.CacheAzure{AccountName: a.Account, AccountKey: config.Secret(key), ContainerName: storetest.Bucket}
	return c
}

// signIn is where identities get their tokens: a machine's endpoint, and Microsoft's sign-in.
func signIn(t *testing.T) (machine, authority string) {
	t.Helper()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		base := "https://" + r.Host
		w.Header().Set("Content-Type", "application/json")
		switch {
		case strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration"):
			json.NewEncoder(w).Encode(map[string]string{"authorization_endpoint": base + "/a-tenant/oauth2/v2.0/authorize", "token_endpoint": base + "/a-tenant/oauth2/v2.0/token", "issuer": base + "/a-tenant/v2.0"})
		case r.URL.Path == "/msi" && r.Header.Get("X-Identity-Header") != "a-secret", r.URL.Path != "/msi" && r.PostFormValue("client_secret") != "a-client-secret":
			w.WriteHeader(http.StatusUnauthorized)
			json.NewEncoder(w).Encode(map[string]string{"error": "invalid_client", "error_description": "AADSTS7000215"})
		default:
			json.NewEncoder(w).Encode(map[string]any{"access_token": storetest.Token(t), "expires_in": 3600, "expires_on": "4070908800", "token_type": "Bearer", "resource": "https://storage.azure.com"})
		}
	})
	inClear, byTLS := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	t.Cleanup(inClear.Close)
	t.Cleanup(byTLS.Close)
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	return inClear.URL + "/msi", byTLS.URL
}

func TestAzure(t *testing.T) {
	a := storetest.AzureBlobs(t)
	machine, authority := signIn(t)
	for _, tt := range []struct {
		name  string
		key   string
		env   map[string]string
		fails string
	}{
		{name: "account key", key: a.Key},
		{name: "managed identity", env: map[string]string{"IDENTITY_ENDPOINT": machine, "IDENTITY_HEADER": "a-secret"}},
		{name: "client credentials", env: map[string]string{"AZURE_TENANT_ID": "a-tenant", "AZURE_CLIENT_ID": "a-client", "AZURE_CLIENT_SECRET": "a-client-secret", "AZURE_AUTHORITY_HOST": authority + "/"}},
		{name: "wrong client credentials", env: map[string]string{"AZURE_TENANT_ID": "a-tenant", "AZURE_CLIENT_ID": "a-client", "AZURE_CLIENT_SECRET": "geheim", "AZURE_AUTHORITY_HOST": authority + "/"}, fails: "no identity signs in"},
		{name: "no key", key: "no base64!", fails: "not in Base64"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("AZURE_TOKEN_CREDENTIALS", "prod") // what a developer is signed in with must not be used
			for k, v := range tt.env {
				t.Setenv(k, v)
			}
			store := remotecache.New(remotecache.Options{HTTP: a.Client})
			o := object("project/7/a b+c=ü/" + tt.name)
			if tt.fails != "" {
				_, err := store.Link(t.Context(), azureCache(a, tt.key), remotecache.Put, o)
				if err == nil || !strings.Contains(err.Error(), tt.fails) || strings.Contains(err.Error(), "geheim") {
					t.Errorf("got %v, want %s in it", err, tt.fails)
				}
				return
			}
			roundTrip(t, a.Client, store, azureCache(a, tt.key), o)
		})
	}
	t.Run("refusals", func(t *testing.T) { refusals(t, a) })
}

func refusals(t *testing.T, a *storetest.Azurite) {
	link := func(verb remotecache.Verb, ago time.Duration) remotecache.Link {
		t.Helper()
		store := remotecache.New(remotecache.Options{Now: func() time.Time { return time.Now().Add(-ago) }})
		l, err := store.Link(t.Context(), azureCache(a, a.Key), verb, object("project/7/k"))
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	other := link(remotecache.Put, 0)
	other.URL = config.Secret(strings.Replace(other.URL.Reveal(), "project/7/k", "project/8/k", 1))
	reading := link(remotecache.Get, 0)
	reading.Header = link(remotecache.Put, 0).Header
	for name, c := range map[string]struct {
		verb string
		link remotecache.Link
	}{
		"another verb":   {http.MethodPut, reading},
		"another object": {http.MethodPut, other},
		"too late":       {http.MethodGet, link(remotecache.Get, 2*time.Hour)},
	} {
		if code, said := use(t, a.Client, c.verb, c.link, "x"); code != http.StatusForbidden {
			t.Errorf("%s: status %d: %s", name, code, said)
		}
	}
}
