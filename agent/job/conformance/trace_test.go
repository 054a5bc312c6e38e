package conformance

import "github.com/millwright-ci/millwright/agent/coordinator"

// traceRows are about masking, and the trace's form.
func traceRows() []row {
	secret := script([]string{"echo abcd1234"})
	secret.Variables = coordinator.Variables{{Key: "S3CR", Value: "abcd1234", Masked: true}}
	return []row{
		{n: 21, name: "masked", payload: secret, want: []string{"$ echo [MASKED]\n[MASKED]\n"}, not: []string{"abcd1234"}},
	}
}
