package credentials_test

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/hostfuncs/credentials"
)

const tokens = "cloud.example.com/v3/auth/tokens"

// serveKeystone answers as OpenStack's identity service does to one request, which it must be.
func (c *clouds) serveKeystone(t *testing.T, want string) {
	c.HandleFunc(tokens, func(w http.ResponseWriter, r *http.Request) {
		var got, wanted any
		if json.Unmarshal([]byte(mustRead(r.Body)), &got) != nil || json.Unmarshal([]byte(want), &wanted) != nil || !reflect.DeepEqual(got, wanted) {
			answer(w, 401, object{"error": object{"message": "you sent " + want}})
			return
		}
		w.Header().Set("X-Subject-Token", "gAAAAA-"+t.Name())
		answer(w, 201, object{"token": object{"expires_at": c.now.Now().Add(time.Hour).UTC().Format("2006-01-02T15:04:05.000000Z")}})
	})
}

func TestKeystone(t *testing.T) {
	for name, tc := range map[string]struct {
		config credentials.Config
		want   string
	}{
		"password": {
			credentials.Config{AuthURL: "https://cloud.example.com", Username: "ci", Project: "build"},
			`{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"ci","password":"pass-w0rd","domain":{"name":"Default"}}}},
			  "scope":{"project":{"name":"build","domain":{"name":"Default"}}}}}`},
		"password, by ID": {
			credentials.Config{AuthURL: "https://cloud.example.com/v3/", Username: "ci", UserDomain: "staff", ProjectID: "p1"},
			`{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"ci","password":"pass-w0rd","domain":{"name":"staff"}}}},
			  "scope":{"project":{"id":"p1"}}}}`},
		"application credential": {
			credentials.Config{AuthURL: "https://cloud.example.com/v3", ApplicationCredentialID: "a1"},
			`{"auth":{"identity":{"methods":["application_credential"],"application_credential":{"id":"a1","secret":"pass-w0rd"}}}}`},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClouds(t)
			c.serveKeystone(t, tc.want)
			tc.config.Kind, tc.config.Secret = credentials.Keystone, "pass-w0rd"
			c.want(t, tc.config, credentials.Grant{}, "X-Auth-Token", "gAAAAA-"+t.Name())
			if n := c.count(tokens); n != 1 {
				t.Errorf("%d sign-ins for one token", n)
			}
			c.now.pass(2 * time.Hour)
			c.want(t, tc.config, credentials.Grant{}, "X-Auth-Token", "gAAAAA-"+t.Name())
			if n := c.count(tokens); n != 2 {
				t.Errorf("%d sign-ins after the token expired, want one more", n-1)
			}
			c.now.pass(time.Minute)
			c.store.Signer("it", credentials.Grant{}).Refused()
			c.want(t, tc.config, credentials.Grant{}, "X-Auth-Token", "gAAAAA-"+t.Name())
			if n := c.count(tokens); n != 3 {
				t.Error("a token that was withdrawn stays in use")
			}
		})
	}
}

func TestKeystoneRefused(t *testing.T) {
	c := newClouds(t)
	c.serveKeystone(t, `"wrong-passw0rd"`)
	c.HandleFunc("moved.example.com/", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://cloud.example.com/stolen", http.StatusTemporaryRedirect)
	})
	for _, url := range []string{"https://cloud.example.com", "https://cloud.example.com/v2", "nonsense"} {
		_, _, err := c.sign(t, credentials.Config{Kind: credentials.Keystone, AuthURL: url, Username: "u", Secret: "wrong-passw0rd"}, credentials.Grant{}, nil)
		if err == nil || strings.Contains(err.Error()+c.log.String(), "passw0rd") {
			t.Errorf("%s: got %v, and in the log %s", url, err, c.log)
		}
	}
}
