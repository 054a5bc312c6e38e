package grants_test

import (
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/grants"
	"github.com/millwright-ci/millwright/hostfuncs/credentials"
)

// TestCredentialsCarryEverything checks that each key of a section arrives.
func TestCredentialsCarryEverything(t *testing.T) {
	var section config.Credential
	v := reflect.ValueOf(&section).Elem()
	for i := range v.NumField() {
		v.Field(i).SetString(v.Type().Field(i).Name)
	}
	got := reflect.ValueOf(grants.Credentials(map[string]config.Credential{"a": section})["a"])
	if got.NumField() != v.NumField() {
		t.Errorf("%d keys become %d fields", v.NumField(), got.NumField())
	}
	for i := range got.NumField() {
		if name := got.Type().Field(i).Name; got.Field(i).String() != name {
			t.Errorf("%s is %q", name, got.Field(i).String())
		}
	}
}

// TestKinds checks that both sides know the same kinds.
func TestKinds(t *testing.T) {
	store := credentials.NewStore(credentials.Options{})
	defer store.Close()
	for _, kind := range credentials.Kinds() {
		store.Set(map[string]credentials.Config{"a": {Kind: kind}})
		if got := store.Signer("a", credentials.Grant{}).Scheme(); got != kind {
			t.Errorf("%s signs by %q", kind, got)
		}
	}
}

func TestSigners(t *testing.T) {
	store := credentials.NewStore(credentials.Options{})
	defer store.Close()
	got, err := grants.Signers(store, map[string]config.CredentialGrant{"a": {Hostnames: []string{"https://api.example.com"}}})
	if err != nil || got["a"].Credential == nil || len(got["a"].Hosts.Missing([]string{"https://api.example.com"})) > 0 {
		t.Errorf("got %v, %v", got, err)
	}
	_, err = grants.Signers(store, map[string]config.CredentialGrant{"a": {Hostnames: []string{"*"}}})
	if err == nil || !strings.Contains(err.Error(), "credentials.a") {
		t.Errorf("got %v", err)
	}
}

func TestOfOptions(t *testing.T) {
	store := credentials.NewStore(credentials.Options{})
	defer store.Close()
	keys := map[string]config.Secret{"access_key_id": "AKIA-of-the-runner", "secret": "the-runners-secret-key"}
	own, err := grants.OfOptions(store, "amazonec2", "amazonec2 of runner:a", keys)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequest(http.MethodPost, "https://ec2.eu-west-1.amazonaws.com/", nil)
	if err != nil {
		t.Fatal(err)
	}
	secrets, err := own["amazonec2"].Sign(t.Context(), r, nil, map[string]string{"service": "ec2", "region": "eu-west-1"})
	if err != nil || !strings.Contains(r.Header.Get("Authorization"), "Credential=AKIA-of-the-runner/") || !slices.Contains(secrets, "the-runners-secret-key") {
		t.Errorf("signed as %q, %v", r.Header.Get("Authorization"), err)
	}
	if _, err := grants.OfOptions(store, "amazonec2", "a", map[string]config.Secret{"colour": "red"}); err == nil {
		t.Error("a key that no credential has is taken")
	}
	if _, err := grants.OfOptions(store, "generic", "a", keys); err == nil {
		t.Error("a driver that signs nothing takes keys")
	}
}

// TestNational checks that a driver has a credential for each of its provider's clouds, with the sign-in of that cloud.
func TestNational(t *testing.T) {
	store := credentials.NewStore(credentials.Options{})
	defer store.Close()
	want := []string{"azure", "azure-china", "azure-usgovernment"}
	if got := slices.Sorted(maps.Keys(grants.Builtin(store, "azure"))); !slices.Equal(got, want) {
		t.Errorf("it signs with %v", got)
	}
	keys := map[string]config.Secret{"tenant_id": "not a tenant", "client_id": "00000000-0000-0000-0000-000000000001", "secret": "the-runners-secret"}
	own, err := grants.OfOptions(store, "azure", "azure of runner:a", keys)
	if got := slices.Sorted(maps.Keys(own)); err != nil || !slices.Equal(got, want) {
		t.Errorf("it signs with %v, %v", got, err)
	}
}
