package native

import (
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/driver/wasm"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Validating is what of a driver in Go its tests of options need.
type Validating interface {
	Describe() abi.Describe
	Validate(abi.ValidateRequest) []abi.Problem
}

// Validate holds what a driver says of MachineOptions to the words that its first problem must have, and to whether that is a warning. Without words
// there must be no problem at all.
func Validate(t testing.TB, d Validating, list []string, words string, warning bool) {
	t.Helper()
	o, wrong := wasm.ParseOptions(d.Describe(), list, nil)
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	problems := d.Validate(abi.ValidateRequest{ABI: abi.Version, Options: o})
	switch {
	case words == "" && len(problems) > 0, words != "" && len(problems) == 0:
		t.Errorf("got %+v, want %q", problems, words)
	case words != "" && (!strings.Contains(problems[0].Message, words) || problems[0].Warning != warning):
		t.Errorf("got %+v, want %q", problems[0], words)
	}
}
