package config

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func loadOperator(t *testing.T, file string, mode os.FileMode) (*Operator, []string) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "millwright.toml")
	if err := os.WriteFile(path, []byte(file), mode); err != nil {
		t.Fatal(err)
	}
	o, diagnostics, err := LoadOperator(filepath.Join(dir, "config.toml"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range diagnostics {
		got = append(got, strings.TrimPrefix(d.String(), dir+string(filepath.Separator)))
	}
	return o, got
}

func TestCredentials(t *testing.T) {
	o, problems := loadOperator(t, `
[credentials.gitlab]
kind = "header"
secret_env = "GITLAB_TOKEN"

[credentials.aws]
kind = "aws4"
profile = "ci"

[grants.queue]
hostnames = ["https://gitlab.example.com"]

[grants.queue.credentials.gitlab]
hostnames = ["https://gitlab.example.com"]
header = "PRIVATE-TOKEN"
`, 0o600)
	if len(problems) > 0 {
		t.Error(problems)
	}
	want := map[string]Credential{"gitlab": {Kind: "header", SecretEnv: "GITLAB_TOKEN"}, "aws": {Kind: "aws4", Profile: "ci"}}
	if diff := cmp.Diff(want, o.Credentials); diff != "" {
		t.Error(diff)
	}
	grants := map[string]CredentialGrant{"gitlab": {Hostnames: []string{"https://gitlab.example.com"}, Header: "PRIVATE-TOKEN"}}
	if diff := cmp.Diff(grants, o.Grants["queue"].Credentials); diff != "" {
		t.Error(diff)
	}
}

func TestCredentialsRefused(t *testing.T) {
	for name, tc := range map[string]struct{ file, want string }{
		"kind":                {"[credentials.a]\nkind = 'oauth'", `millwright.toml:2: credentials.a.kind: "oauth" is not known; use one of aws4, azure-ad`},
		"no kind":             {"[credentials.a]\nsecret_env = 'A'", `kind: "" is not known`},
		"no secret":           {"[credentials.a]\nkind = 'bearer'", `a credential of kind "bearer" needs secret or secret_file or secret_env`},
		"no user":             {"[credentials.a]\nkind = 'basic'\nsecret_env = 'A'", `needs username`},
		"half a key":          {"[credentials.a]\nkind = 'aws4'\naccess_key_id = 'AKIA'", `go together`},
		"no application":      {"[credentials.a]\nkind = 'azure-ad'\nsecret_env = 'A'", `a client secret needs client_id`},
		"in vain":             {"[credentials.a]\nkind = 'aws4'\nusername = 'u'", `warning: credentials.a.username: has no meaning for the kind "aws4", ignored`},
		"unknown key":         {"[credentials.a]\nkind = 'aws4'\nprofil = 'u'", `did you mean profile?`},
		"no credential":       {"[grants.m.credentials.a]\nhostnames = ['h.example.com']", `there is no credential of that name; add a section [credentials.a]`},
		"no hostname":         {"[credentials.a]\nkind = 'aws4'\n[grants.m.credentials.a]\nhostnames = []", `hostnames: is missing`},
		"no header":           {"[credentials.a]\nkind = 'header'\nsecret_env = 'A'\n[grants.m.credentials.a]\nhostnames = ['h.example.com']", `header: is missing`},
		"no scope":            {"[credentials.a]\nkind = 'google-oauth2'\n[grants.m.credentials.a]\nhostnames = ['h.example.com']", `scopes: is missing`},
		"two scopes":          {"[credentials.a]\nkind = 'azure-ad'\n[grants.m.credentials.a]\nhostnames = ['h.example.com']\nscopes = ['a', 'b']", `must name one scope`},
		"secret is no string": {"[credentials.a]\nkind = 'bearer'\nsecret = 12345", "secret: this is a whole number; write a string in quotes"},
	} {
		t.Run(name, func(t *testing.T) {
			_, problems := loadOperator(t, tc.file, 0o600)
			if all := strings.Join(problems, "\n"); !strings.Contains(all, tc.want) {
				t.Errorf("got %q, want %q", all, tc.want)
			} else if strings.Contains(all, "12345") {
				t.Errorf("shows the secret: %q", all)
			}
		})
	}
}

func TestSecretsThatOthersCanRead(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("access control lists are not checked")
	}
	const file = "[credentials.a]\nkind = 'bearer'\nsecret = 'abcdefgh'\n"
	for mode, want := range map[os.FileMode]bool{0o600: false, 0o644: true} {
		_, problems := loadOperator(t, file, mode)
		if got := strings.Contains(strings.Join(problems, "\n"), "other users can read this file"); got != want {
			t.Errorf("mode %04o: %q", mode, problems)
		}
	}
	if _, problems := loadOperator(t, "[credentials.a]\nkind = 'bearer'\nsecret_env = 'A'\n", 0o644); len(problems) > 0 {
		t.Errorf("nothing secret is in the file: %q", problems)
	}
}
