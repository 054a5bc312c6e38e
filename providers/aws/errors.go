package main

import (
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/providers/internal/awsapi"
	opts "github.com/millwright-ci/millwright/providers/internal/settings"
	"github.com/millwright-ci/millwright/sdk/go/abi"

	"github.com/millwright-ci/millwright/providers/internal/rest"
)

const (
	todoKeys   = "the credential is refused: see profile in plugin_config, [credentials.aws] in millwright.toml, or AWS's own chain"
	todoRights = "give the agent's identity the policy of docs/drivers/aws.md"
)

// kinds are those of the APIs' codes. One that ends in NotFound, or begins with Invalid, needs no line here.
// Source: EC2 Auto Scaling API Reference, EC2 API Reference and EC2 Instance Connect API Reference, "Errors" of each action.
var kinds = map[string]abi.ErrorKind{
	"Throttling": abi.RateLimited, "ThrottlingException": abi.RateLimited, "RequestLimitExceeded": abi.RateLimited, "RequestThrottled": abi.RateLimited,
	"ResourceContention": abi.Conflict, "ResourceInUse": abi.Conflict, "ScalingActivityInProgress": abi.Conflict, "IncorrectInstanceState": abi.Conflict,
	"EC2InstanceStateInvalidException": abi.Conflict, "EC2InstanceUnavailableException": abi.Transient, "EC2InstanceNotFoundException": abi.NotFound,
	"EC2InstanceTypeInvalidException": abi.Invalid, "InvalidArgsException": abi.Invalid, "ServiceException": abi.Transient,
	"LimitExceeded": abi.Quota, "ServiceLinkedRoleFailure": abi.Transient, "ValidationError": abi.Invalid, "ValidationException": abi.Invalid,
	"AuthFailure": abi.Auth, "AuthException": abi.Auth, "InvalidClientTokenId": abi.Auth, "SignatureDoesNotMatch": abi.Auth, "ExpiredToken": abi.Auth,
	"ExpiredTokenException": abi.Auth, "MissingAuthenticationToken": abi.Auth, "IncompleteSignature": abi.Auth, "UnrecognizedClientException": abi.Auth,
	"RequestExpired": abi.Auth, "Blocked": abi.Auth, "OptInRequired": abi.Auth,
	"UnauthorizedOperation": abi.Auth, "AccessDenied": abi.Auth, "AccessDeniedException": abi.Auth,
	"InternalError": abi.Transient, "InternalFailure": abi.Transient, "Unavailable": abi.Transient, "ServiceUnavailable": abi.Transient,
}

// rights are the codes of a permission that is missing, rather than of a credential that is refused.
var rights = map[string]bool{"UnauthorizedOperation": true, "AccessDenied": true, "AccessDeniedException": true, "AuthException": true}

// refused is the error for an answer with a status of 300 or more. The code says more than the status.
func refused(s service, action string, res abi.HTTPResponse, root awsapi.Element) *abi.Error {
	code, message := root.At("Error", "Code"), root.At("Error", "Message")
	if code == "" { // as EC2 puts it
		code, message = root.At("Errors", "Error", "Code"), root.At("Errors", "Error", "Message")
	}
	return failure(s, action, res, code, message)
}

// failure is the error of a code and its message, either of which may be missing.
func failure(s service, action string, res abi.HTTPResponse, code, message string) *abi.Error {
	kind, known := kinds[code]
	switch {
	case known:
	case strings.HasSuffix(code, "NotFound"):
		kind = abi.NotFound
	case strings.HasPrefix(code, "Invalid"), strings.HasPrefix(code, "Missing"), strings.HasPrefix(code, "Malformed"):
		kind = abi.Invalid
	default:
		kind = awsapi.KindOf(res.Status)
		if kind == abi.NotFound { // a 404 of something that is none of these APIs
			kind = abi.Transient
		}
	}
	e := &abi.Error{Kind: kind, Code: opts.Or(code, strconv.Itoa(res.Status)), Message: rest.Shorten(opts.Or(message, s.name+" answered "+action+" with status "+strconv.Itoa(res.Status)))}
	switch {
	case kind == abi.Auth && (rights[code] || !known):
		if !strings.Contains(e.Message, s.name+":") {
			e.Message += ": " + s.name + ":" + action + " is refused"
		}
		e.Message += "; " + todoRights
	case code == "RequestExpired":
		e.Message += "; the clock of the agent's host is wrong"
	case kind == abi.Auth:
		e.Message += "; " + todoKeys
	case kind == abi.RateLimited || kind == abi.Transient:
		e.RetryAfterS = rest.RetryAfter(res.Headers)
	}
	return e
}

// unanswered is the error for a request that got no answer. It may have been carried out all the same.
func unanswered(action, where string, err *abi.HTTPError) *abi.Error {
	e := &abi.Error{Kind: abi.Transient, Code: err.Kind, Message: action + " at " + where + ": " + err.Message}
	switch err.Kind {
	case "denied":
		e.Kind = abi.Auth
	case "credential":
		e.Kind = abi.Auth
		e.Message += "; " + todoKeys
	case "invalid":
		e.Kind = abi.Invalid
	}
	return e
}

// codeOf is the cloud's code of an error, "" when it has none.
func codeOf(err error) string {
	if e, ok := err.(*abi.Error); ok {
		return e.Code
	}
	return ""
}
