package main

import (
	"strings"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// cloud implements the driver. It has no state: the provider's tags say what belongs to whom.
type cloud struct{}

// Names of the options.
const (
	optEndpoint   = "fakecloud-endpoint"
	optCredential = "fakecloud-credential"
	optZone       = "fakecloud-zone"
	optType       = "fakecloud-type"
	optSpot       = "fakecloud-spot"
)

// Describe lists the options, and the one hostname that the driver wants to reach: that of the API.
func (cloud) Describe() abi.Describe {
	return abi.Describe{
		Name: "fakecloud", Version: "1", Summary: "machines of the cloud that Millwright's tests run against",
		Hostnames: []string{"{" + optEndpoint + "}"},
		Options: []abi.Option{
			{Name: optEndpoint, Type: abi.OptionString, Required: true, Role: abi.RoleAccount, Help: "address of the API: http://host:port"},
			{Name: optCredential, Type: abi.OptionString, Role: abi.RoleAccount,
				Help: "name of the credential in millwright.toml that requests bear (default: none)"},
			{Name: optZone, Type: abi.OptionString, Default: "a", Role: abi.RoleZone, Help: "zone of the machine"},
			{Name: optType, Type: abi.OptionString, Default: "small", Role: abi.RoleType, Help: "type of the machine"},
			{Name: optSpot, Type: abi.OptionBool, Default: "false", Role: abi.RoleSpot, Help: "take a spot machine, which may be taken back"},
		},
	}
}

// Validate looks at the options without asking the provider.
func (cloud) Validate(req abi.ValidateRequest) []abi.Problem {
	var problems []abi.Problem
	if where := req.Options.Get(optEndpoint); !endpointLike(where) {
		problems = append(problems, abi.Problem{Option: optEndpoint, Message: "`" + where + "` is not allowed; use http://host:port or https://host"})
	}
	for _, name := range []string{optZone, optType} {
		if v := req.Options.Get(name); strings.ContainsAny(v, " \t\n") {
			problems = append(problems, abi.Problem{Option: name, Message: "`" + v + "` is not allowed; use one word"})
		}
	}
	return problems
}

// usable is nil, or the first problem as an error.
func usable(o abi.Options) error {
	for _, p := range (cloud{}).Validate(abi.ValidateRequest{Options: o}) {
		return &abi.Error{Kind: abi.Invalid, Message: p.Option + ": " + p.Message}
	}
	return nil
}

func endpointLike(s string) bool {
	rest, plain := strings.CutPrefix(s, "http://")
	if !plain {
		var secure bool
		if rest, secure = strings.CutPrefix(s, "https://"); !secure {
			return false
		}
	}
	return rest != "" && !strings.ContainsAny(rest, "/?#@ ")
}
