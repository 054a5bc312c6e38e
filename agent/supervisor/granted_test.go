package supervisor

import (
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/hostfuncs/credentials"
)

func TestGranted(t *testing.T) {
	store := credentials.NewStore(credentials.Options{})
	defer store.Close()
	operator := func(hostname string) *config.Operator {
		return &config.Operator{
			Credentials: map[string]config.Credential{"api": {Kind: "bearer", Secret: "not to be shown"}},
			Grants: map[string]config.Grant{"queue": {
				Hostnames:   []string{"https://gitlab.example.com"},
				Credentials: map[string]config.CredentialGrant{"api": {Hostnames: []string{hostname}}},
			}},
		}
	}
	one, err := granted(operator("https://gitlab.example.com"), store)
	if err != nil {
		t.Fatal(err)
	}
	got := one["queue"].Credentials["api"]
	if got.Credential == nil || got.Credential.Scheme() != "bearer" {
		t.Errorf("the credential is %+v; it should sign by bearer", got)
	}
	other, err := granted(operator("https://gitlab.example.org"), store)
	if err != nil {
		t.Fatal(err)
	}
	if one["queue"].Signing == other["queue"].Signing {
		t.Error("a credential that is granted for another hostname looks like the same grant, so the module would not be loaded again")
	}
	if strings.Contains(one["queue"].Signing, "shown") {
		t.Error("the secret stands in what tells grants apart")
	}
	if _, err := granted(operator("*"), store); err == nil || !strings.Contains(err.Error(), "grants.queue.credentials.api") {
		t.Errorf("a bad hostname gives %v; it should name the section", err)
	}
}
