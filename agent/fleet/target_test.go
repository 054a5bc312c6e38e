package fleet

import (
	"testing"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

func TestTargetOf(t *testing.T) {
	for _, tt := range []struct {
		name, driver string
		options      abi.Options
		want         Target
	}{
		{"google's region comes from its zone", "google", abi.Options{"google-zone": {"europe-west1-b"}, "google-project": {"p"}, "google-machine-type": {"e2-medium"}},
			Target{"europe-west1-b", "europe-west1", "p", "e2-medium"}},
		{"a zone of no region", "google", abi.Options{"google-zone": {"nowhere"}}, Target{Zone: "nowhere"}},
		{"amazon's zone is a letter", "amazonec2", abi.Options{"amazonec2-zone": {"c"}, "amazonec2-region": {"eu-west-1"}, "amazonec2-instance-type": {"m5.large"}},
			Target{"eu-west-1c", "eu-west-1", "", "m5.large"}},
		{"a whole zone stays", "amazonec2", abi.Options{"amazonec2-zone": {"eu-west-1a"}, "amazonec2-region": {"eu-west-1"}}, Target{Zone: "eu-west-1a", Region: "eu-west-1"}},
		{"an option without a value", "azure", abi.Options{"azure-location": nil, "azure-size": {"B2"}}, Target{MachineType: "B2"}},
		{"an unknown driver", "own", abi.Options{"own-zone": {"z"}}, Target{}},
		{"no options", "google", nil, Target{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := TargetOf(tt.driver, tt.options); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}
