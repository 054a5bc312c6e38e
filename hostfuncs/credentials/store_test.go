package credentials_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/hostfuncs/credentials"
)

func TestStatic(t *testing.T) {
	t.Setenv("A_TOKEN", "from-the-environment")
	for name, tc := range map[string]struct {
		config        credentials.Config
		grant         credentials.Grant
		header, value string
	}{
		"bearer":      {credentials.Config{Kind: credentials.Bearer, Secret: "inline-token"}, credentials.Grant{}, "Authorization", "Bearer inline-token"},
		"environment": {credentials.Config{Kind: credentials.Bearer, SecretEnv: "A_TOKEN"}, credentials.Grant{}, "Authorization", "Bearer from-the-environment"},
		"file": {credentials.Config{Kind: credentials.Bearer, SecretFile: write(t, "s", "from-a-file\r\n")}, credentials.Grant{},
			"Authorization", "Bearer from-a-file"},
		"basic":  {credentials.Config{Kind: credentials.Basic, Username: "user", Secret: "p:äss"}, credentials.Grant{}, "Authorization", "Basic dXNlcjpwOsOkc3M="},
		"header": {credentials.Config{Kind: credentials.Header, Secret: "glpat-1"}, credentials.Grant{Header: "private-token"}, "Private-Token", "glpat-1"},
	} {
		t.Run(name, func(t *testing.T) { newClouds(t).want(t, tc.config, tc.grant, tc.header, tc.value) })
	}
}

func TestStaticRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		config credentials.Config
		log    string
	}{
		"none":          {credentials.Config{Kind: credentials.Bearer}, "no secret is given"},
		"empty file":    {credentials.Config{Kind: credentials.Bearer, SecretFile: write(t, "s", "\n")}, "is empty"},
		"missing file":  {credentials.Config{Kind: credentials.Bearer, SecretFile: "/nonexistent/s"}, "/nonexistent/s"},
		"huge file":     {credentials.Config{Kind: credentials.Bearer, SecretFile: write(t, "s", strings.Repeat("x", 1<<20))}, "more than"},
		"unset":         {credentials.Config{Kind: credentials.Bearer, SecretEnv: "NOT_SET_ANYWHERE"}, "NOT_SET_ANYWHERE is empty"},
		"short":         {credentials.Config{Kind: credentials.Bearer, Secret: "abc"}, "less than 4 bytes"},
		"several lines": {credentials.Config{Kind: credentials.Bearer, Secret: "line-one\nline-two"}, "one line of text"},
		"no header":     {credentials.Config{Kind: credentials.Header, Secret: "abcdefgh"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClouds(t)
			h, _, err := c.sign(t, tc.config, credentials.Grant{}, nil)
			if kinded, ok := err.(interface{ Kind() string }); !ok || kinded.Kind() != "credential" || len(h) > 0 {
				t.Errorf("got %v and %v", err, h)
			}
			if !strings.Contains(c.log.String(), tc.log) || strings.Contains(c.log.String(), "line-one") {
				t.Errorf("the log says %s", c.log)
			}
			before := len(c.log.String())
			for range 20 {
				c.sign(t, tc.config, credentials.Grant{}, nil)
			}
			if len(c.log.String()) != before {
				t.Error("a guest can flood the log")
			}
		})
	}
}

// TestSet checks that a reload keeps the tokens of what did not change, and ends what was taken away.
func TestSet(t *testing.T) {
	c := newClouds(t)
	c.HandleFunc(tokens, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Subject-Token", fmt.Sprint("token-", c.count(tokens)))
		answer(w, 201, object{"token": object{"expires_at": "2999-01-01T00:00:00Z"}})
	})
	config := credentials.Config{Kind: credentials.Keystone, AuthURL: "https://cloud.example.com", Username: "u", Secret: "pass-w0rd"}
	c.want(t, config, credentials.Grant{}, "X-Auth-Token", "token-1")
	c.want(t, config, credentials.Grant{}, "X-Auth-Token", "token-1")
	config.Username = "other"
	c.want(t, config, credentials.Grant{}, "X-Auth-Token", "token-2")

	s := c.store.Signer("it", credentials.Grant{})
	if s.Scheme() != credentials.Keystone {
		t.Errorf("the scheme is %q", s.Scheme())
	}
	c.store.Set(map[string]credentials.Config{"other": {Kind: "unheard-of"}})
	r, _ := http.NewRequest(http.MethodGet, "https://api.example.com", nil)
	if _, err := s.Sign(t.Context(), r, nil, nil); err == nil || s.Scheme() != "" || len(r.Header) > 0 {
		t.Error("what was taken away still signs")
	}
	s.Refused()
}

func TestFileIsReadAgain(t *testing.T) {
	c := newClouds(t)
	path := write(t, "token", "first-token")
	config := credentials.Config{Kind: credentials.Bearer, SecretFile: path}
	c.want(t, config, credentials.Grant{}, "Authorization", "Bearer first-token")
	if err := os.WriteFile(path, []byte("second-token"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.now.pass(10e9)
	c.want(t, config, credentials.Grant{}, "Authorization", "Bearer second-token")
}

func TestSecretsDoNotPrint(t *testing.T) {
	config := credentials.Config{Kind: credentials.Bearer, Secret: "inline-token", SessionToken: "session-token"}
	data, err := json.Marshal(config)
	if text := fmt.Sprintf("%v %+v %#v %s", config, config, config, data); err != nil || strings.Contains(text, "-token") {
		t.Error(text)
	}
}
