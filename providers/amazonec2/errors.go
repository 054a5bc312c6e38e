package main

import (
	"slices"
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/providers/internal/awsapi"
	"github.com/millwright-ci/millwright/providers/internal/rest"
	opts "github.com/millwright-ci/millwright/providers/internal/settings"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// meaning is what a code of the cloud's is to the host, and what to do about it.
type meaning struct {
	kind abi.ErrorKind
	todo string
}

const (
	todoCapacity = "try another " + optZone + " or " + optType + ": alternatives in millwright.toml"
	todoQuota    = "raise the quota, or lower limit"
	todoKeys     = "the credential is refused: see " + optAccessKey + ", [credentials.amazonec2] in millwright.toml, or AWS's own chain"
	todoRights   = "give the agent's identity the policy of the driver's documentation"
)

// meanings are those of the API's codes. A code that ends in .NotFound or begins with Invalid, Missing or Malformed needs no line here.
// Source: EC2 API Reference, "Error codes for the Amazon EC2 API"; "StateReason" of instances.
var meanings = map[string]meaning{
	"InsufficientInstanceCapacity": {abi.Capacity, todoCapacity}, "InsufficientHostCapacity": {abi.Capacity, todoCapacity},
	"InsufficientReservedInstanceCapacity": {abi.Capacity, todoCapacity}, "InsufficientCapacity": {abi.Capacity, todoCapacity},
	"InsufficientVolumeCapacity": {abi.Capacity, todoCapacity}, "Unsupported": {abi.Capacity, todoCapacity},
	"UnfulfillableCapacity": {abi.Capacity, todoCapacity}, "SpotMaxPriceTooLow": {abi.Capacity, "raise " + optSpotPrice + ", leave it empty, or " + todoCapacity},
	"InsufficientFreeAddressesInSubnet": {abi.Capacity, "the subnet is full: use a larger one, or " + todoCapacity},
	"SpotInstanceTermination":           {abi.Capacity, ""}, "capacity-not-available": {abi.Capacity, todoCapacity},

	"InstanceLimitExceeded": {abi.Quota, todoQuota}, "VcpuLimitExceeded": {abi.Quota, todoQuota}, "VolumeLimitExceeded": {abi.Quota, todoQuota},
	"AddressLimitExceeded": {abi.Quota, todoQuota}, "SecurityGroupLimitExceeded": {abi.Quota, todoQuota}, "MaxSpotInstanceCountExceeded": {abi.Quota, todoQuota},
	"RulesPerSecurityGroupLimitExceeded": {abi.Quota, todoQuota}, "NetworkInterfaceLimitExceeded": {abi.Quota, todoQuota}, "ResourceLimitExceeded": {abi.Quota, todoQuota},
	"SecurityGroupsPerInstanceLimitExceeded": {abi.Invalid, ""}, "TagLimitExceeded": {abi.Invalid, ""},

	"RequestLimitExceeded": {abi.RateLimited, ""}, "Throttling": {abi.RateLimited, ""}, "ThrottlingException": {abi.RateLimited, ""},
	"ResourceCountExceeded": {abi.RateLimited, ""}, "BandwidthLimitExceeded": {abi.RateLimited, ""}, "EC2ThrottledException": {abi.RateLimited, ""},

	"AuthFailure": {abi.Auth, todoKeys}, "InvalidClientTokenId": {abi.Auth, todoKeys}, "SignatureDoesNotMatch": {abi.Auth, todoKeys},
	"ExpiredToken": {abi.Auth, todoKeys}, "ExpiredTokenException": {abi.Auth, todoKeys}, "MissingAuthenticationToken": {abi.Auth, todoKeys},
	"IncompleteSignature": {abi.Auth, todoKeys}, "UnrecognizedClientException": {abi.Auth, todoKeys}, "InvalidAccessKeyId": {abi.Auth, todoKeys},
	"RequestExpired": {abi.Auth, "the clock of the agent's host is wrong"}, "Blocked": {abi.Auth, "AWS has blocked the account; ask its support"},
	"UnauthorizedOperation": {abi.Auth, todoRights}, "AccessDenied": {abi.Auth, todoRights}, "AccessDeniedException": {abi.Auth, todoRights},
	"OptInRequired": {abi.Auth, "subscribe the account to what the image or the region wants"}, "PendingVerification": {abi.Auth, "AWS is still verifying the account; try later"},

	"InvalidKeyPair.Duplicate": {abi.Conflict, ""}, "InvalidGroup.Duplicate": {abi.Conflict, ""}, "InvalidPermission.Duplicate": {abi.Conflict, ""},
	"IdempotentParameterMismatch": {abi.Conflict, ""}, "IncorrectInstanceState": {abi.Conflict, ""}, "IdempotentInstanceTerminated": {abi.Conflict, ""},
	"IncorrectState": {abi.Conflict, ""}, "DependencyViolation": {abi.Conflict, ""},

	"InternalError": {abi.Transient, ""}, "InternalFailure": {abi.Transient, ""}, "Unavailable": {abi.Transient, ""}, "ServiceUnavailable": {abi.Transient, ""},
	"VPCIdNotSpecified":    {abi.Invalid, "give " + optVPC + " or " + optSubnet},
	"UnsupportedOperation": {abi.Invalid, ""}, "OperationNotPermitted": {abi.Invalid, ""},
}

// clientInternal is the reason of an instance that ended at once, most often since it may not use the volume's key.
const clientInternal = "Client.InternalError"

// meaningOf returns what a code means; false when nothing is known of it.
func meaningOf(code string) (meaning, bool) {
	if code == clientInternal {
		return meaning{abi.Auth, "let the agent's identity use the volume's KMS key"}, true
	}
	code = strings.TrimPrefix(strings.TrimPrefix(code, "Server."), "Client.")
	if m, ok := meanings[code]; ok {
		return m, true
	}
	switch {
	case strings.HasSuffix(code, ".NotFound"):
		return meaning{kind: abi.NotFound}, true
	case strings.HasSuffix(code, "LimitExceeded"):
		return meaning{abi.Quota, todoQuota}, true
	case strings.HasPrefix(code, "Invalid"), strings.HasPrefix(code, "Missing"), strings.HasPrefix(code, "Malformed"), strings.HasPrefix(code, "Unknown"):
		return meaning{kind: abi.Invalid}, true
	}
	return meaning{}, false
}

// refused is the error for an answer with a status of 300 or more. The cloud's code says more than its status.
func refused(action string, res abi.HTTPResponse, root awsapi.Element) *abi.Error {
	code, message := root.At("Errors", "Error", "Code"), root.At("Errors", "Error", "Message")
	if code == "" { // as other services of AWS put it
		code, message = root.At("Error", "Code"), root.At("Error", "Message")
	}
	m, known := meaningOf(code)
	if !known {
		m = meaning{kind: awsapi.KindOf(res.Status)}
		if m.kind == abi.Auth {
			m.todo = todoRights
		}
	}
	if m.kind == abi.NotFound && code == "" { // a 404 of something that is no EC2
		m.kind = abi.Transient
	}
	message = decoded(action, m, opts.Or(message, "the cloud answered "+action+" with status "+strconv.Itoa(res.Status)))
	e := told(m, opts.Or(code, strconv.Itoa(res.Status)), message)
	if e.Kind == abi.RateLimited || e.Kind == abi.Transient {
		e.RetryAfterS = rest.RetryAfter(res.Headers)
	}
	return e
}

// encodedMark comes before what AWS tells of a refusal to those alone who may decode it. It is a thousand characters.
const encodedMark = "Encoded authorization failure message:"

// tagging are the actions that tag what they make, which takes a right of its own.
var tagging = []string{"CreateSecurityGroup", "ImportKeyPair", "RunInstances"}

// decoded says in words what was refused, in the place of what is encoded.
func decoded(action string, m meaning, message string) string {
	before, _, encoded := strings.Cut(message, encodedMark)
	if m.kind != abi.Auth || m.todo != todoRights {
		return message
	}
	message = strings.TrimSpace(before)
	if !strings.Contains(message, "ec2:") {
		message = strings.TrimRight(message, ".") + ": ec2:" + action + " is refused"
		if slices.Contains(tagging, action) {
			message += ", or ec2:CreateTags for its tags"
		}
	}
	if encoded {
		message += ", for reasons that `aws sts decode-authorization-message` tells of the event in CloudTrail"
	}
	return message
}

// told is an error in the cloud's words with what to do.
func told(m meaning, code, message string) *abi.Error {
	message = rest.Shorten(message)
	if m.todo != "" {
		message += "; " + m.todo
	}
	return &abi.Error{Kind: m.kind, Code: code, Message: message}
}

// codeOf is the cloud's code of an error, "" when it has none.
func codeOf(err error) string {
	if e, ok := err.(*abi.Error); ok {
		return e.Code
	}
	return ""
}

// unanswered is the error for a request that got no answer. It may have been carried out all the same.
func (p place) unanswered(action string, err *abi.HTTPError) *abi.Error {
	e := &abi.Error{Kind: abi.Transient, Code: err.Kind, Message: action + " at " + p.endpoint + ": " + err.Message}
	switch err.Kind {
	case "denied":
		e.Kind = abi.Auth
	case "credential":
		e.Kind = abi.Auth
		e.Message += "; see " + optAccessKey + ", [credentials.amazonec2] in millwright.toml, or AWS's own chain"
	case "invalid":
		e.Kind = abi.Invalid
	}
	return e
}
