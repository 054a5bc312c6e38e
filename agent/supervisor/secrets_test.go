package supervisor

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestSecretsStayOut checks that what goes on to pools and journals holds a reference, and that it leads to the runner's latest value.
func TestSecretsStayOut(t *testing.T) {
	desc := abi.Describe{Name: "cloud", Options: []abi.Option{
		{Name: "cloud-token", Type: abi.OptionString, Secret: true, Credential: abi.CredentialSecret},
		{Name: "cloud-size", Type: abi.OptionString},
	}}
	var s secrets
	for _, value := range []string{"first-of-the-runner", "second-of-the-runner"} {
		given := abi.Options{"cloud-token": {value}, "cloud-size": {"small"}}
		options, g := without(desc, "ci/abc", given, []string{"cloud-token=" + value})
		if diff := cmp.Diff(abi.Options{"cloud-token": {"runner:ci/abc"}, "cloud-size": {"small"}}, options); diff != "" {
			t.Error(diff)
		}
		if given.Get("cloud-token") != value {
			t.Error("what was given has changed")
		}
		s.keep("cloud", "ci/abc", g)
		found, ok := s.find("cloud", options.Get("cloud-token"))
		if !ok || !found.written || found.Values["secret"].Reveal() != value {
			t.Errorf("found %t", ok)
		}
		if shown := fmt.Sprintf("%v %+v %#v", found, found, found); strings.Contains(shown, value) {
			t.Errorf("shows itself as %s", shown)
		}
	}
	if _, ok := s.find("cloud", "runner:other"); ok {
		t.Error("another runner has these too")
	}
	if _, g := without(desc, "ci/abc", abi.Options{"cloud-token": {"of-the-environment"}}, nil); g.written {
		t.Error("what the environment gave counts as written")
	}
}
