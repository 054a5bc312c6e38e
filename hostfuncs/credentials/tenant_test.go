package credentials_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/hostfuncs/credentials"
)

// TestAzureTenant has an application sign in whose tenant nobody gave: the subscription that a request is about tells it, as docker-machine has it.
func TestAzureTenant(t *testing.T) {
	const subscription = "/subscriptions/99999999-8888-7777-6666-555555555555"
	for name, tc := range map[string]struct {
		challenge string
		status    int
		path      string
		says      string // in the log, when it can't be learnt
	}{
		"told":                {`Bearer authorization_uri="https://login.windows.net/` + tenant + `", error="invalid_token"`, 401, subscription + "/resources", ""},
		"told from elsewhere": {`Bearer authorization_uri="https://login.example.com/` + tenant + `"`, 401, subscription, ""},
		"no tenant":           {`Bearer authorization_uri="https://login.windows.net/common"`, 401, subscription, "is not to be learnt"},
		"no challenge":        {"", 404, subscription, "the answer is 404"},
		"not refused":         {`Bearer authorization_uri="https://login.windows.net/` + tenant + `"`, 200, subscription, "the answer is 200"},
		"no subscription":     {"", 401, "/providers", "is about no subscription"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClouds(t)
			c.serveEntra("login.microsoftonline.com", "eyJ.application", func(r *http.Request) bool {
				return r.FormValue("client_id") == "app" && r.FormValue("client_secret") == "s3cret-of-the-app"
			})
			c.HandleFunc("management.azure.com"+subscription, func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "" || r.URL.Query().Get("api-version") == "" {
					t.Errorf("asked with %v", r.URL)
				}
				w.Header().Set("WWW-Authenticate", tc.challenge)
				w.WriteHeader(tc.status)
			})
			config := credentials.Config{Kind: credentials.Azure, ClientID: "app", Secret: "s3cret-of-the-app"}
			c.store.Set(map[string]credentials.Config{"azure": config})
			signer := c.store.Signer("azure", azureGrant)
			for range 2 {
				r, err := http.NewRequest(http.MethodGet, "https://management.azure.com"+tc.path, nil)
				if err != nil {
					t.Fatal(err)
				}
				_, err = signer.Sign(t.Context(), r, nil, nil)
				switch got := r.Header.Get("Authorization"); {
				case tc.says == "" && (err != nil || got != "Bearer eyJ.application"):
					t.Errorf("%v, signed with %q; the log says %s", err, got, c.log)
				case tc.says != "" && (err == nil || !strings.Contains(c.log.String(), tc.says) || strings.Contains(err.Error(), "tenant")):
					t.Errorf("%v; the log says %s, want %q", err, c.log, tc.says)
				}
			}
			if n := c.count("management.azure.com" + subscription); n > 1 {
				t.Errorf("asked %d times for one token", n)
			}
		})
	}
}
