package gce

import (
	"errors"
	"testing"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

var api = API{Texts: &Texts{Driver: "mine", Capacity: "go elsewhere", Missing: "look again"}}

func TestFailure(t *testing.T) {
	for code, kind := range map[string]abi.ErrorKind{
		"ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS": abi.Capacity, "STOCKOUT": abi.Capacity, "VM_MIN_COUNT_NOT_REACHED": abi.Capacity,
		"QUOTA_EXCEEDED": abi.Quota, "IP_SPACE_EXHAUSTED_WITH_DETAILS": abi.Quota, "RESOURCE_OPERATION_RATE_EXCEEDED": abi.RateLimited,
		"RESOURCE_NOT_FOUND": abi.Invalid, "EXTERNAL_RESOURCE_NOT_FOUND": abi.Invalid, "INVALID_USAGE": abi.Invalid, "UNSUPPORTED_OPERATION": abi.Invalid,
		"RESOURCE_ALREADY_EXISTS": abi.Conflict, "PERMISSIONS_ERROR": abi.Auth, "SOMETHING_NEW": abi.Transient,
	} {
		var op Operation
		op.Error.Errors = []Problem{{Code: "SOMETHING_ELSE", Message: "x"}, {Code: code, Message: "the words."}}
		var e *abi.Error
		if !errors.As(api.Failure(op), &e) || e.Kind != kind {
			t.Errorf("%s: %v; the kind must be %s", code, e, kind)
		}
	}
	if err := api.Failure(Operation{HTTPStatus: 503}); !driver.Is(err, abi.Transient) {
		t.Errorf("a status alone: %v", err)
	}
	if err := api.Failure(Operation{Status: "DONE"}); err != nil {
		t.Errorf("a success: %v", err)
	}
}

func TestRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		status int
		body   string
		want   abi.Error
	}{
		"a reason that is known": {503, `{"error":{"message":"None left.","errors":[{"reason":"RESOURCE_POOL_EXHAUSTED"}]}}`,
			abi.Error{Kind: abi.Capacity, Code: "RESOURCE_POOL_EXHAUSTED", Message: "None left; go elsewhere"}},
		"a reason in details": {403, `{"error":{"message":"Off","details":[{"reason":"SERVICE_DISABLED"}]}}`,
			abi.Error{Kind: abi.Auth, Code: "SERVICE_DISABLED", Message: "Off; enable the Compute Engine API in the project"}},
		"no reason": {401, `{}`, abi.Error{Kind: abi.Auth, Code: "401",
			Message: "the cloud answered with status 401; the credential is refused: see GOOGLE_APPLICATION_CREDENTIALS or [credentials.mine] in millwright.toml"}},
		"a right that lacks": {403, `junk`, abi.Error{Kind: abi.Auth, Code: "403", Message: "the cloud answered with status 403; " + todoRole}},
		"changed meanwhile":  {412, `{"error":{"message":"Fingerprint"}}`, abi.Error{Kind: abi.Conflict, Code: "412", Message: "Fingerprint"}},
		"not there is not there": {404, `{"error":{"message":"Gone","errors":[{"reason":"quotaExceeded"}]}}`,
			abi.Error{Kind: abi.NotFound, Code: "quotaExceeded", Message: "Gone"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := api.Texts.refused(abi.HTTPResponse{Status: tc.status, Body: []byte(tc.body)}); *got != tc.want {
				t.Errorf("got %+v\nwant %+v", *got, tc.want)
			}
		})
	}
}

// TestRightsEndpoint has the API of rights asked where it answers.
func TestRightsEndpoint(t *testing.T) {
	for endpoint, want := range map[string]string{
		Endpoint: "https://cloudresourcemanager.googleapis.com", "https://compute-mine.p.googleapis.com": "https://cloudresourcemanager-mine.p.googleapis.com",
		"http://127.0.0.1:1": "http://127.0.0.1:1",
	} {
		if got := (API{Endpoint: endpoint}).rightsEndpoint(); got != want {
			t.Errorf("%s: %s, want %s", endpoint, got, want)
		}
	}
}

func TestSeconds(t *testing.T) {
	for text, want := range map[string]string{"2026-08-24T03:00:00.123-07:00": "2026-08-24T10:00:00Z", "yesterday": "", "": ""} {
		if got := Seconds(text); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
