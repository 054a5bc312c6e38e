package awsapi

import "github.com/millwright-ci/millwright/sdk/go/abi"

// KindOf is what the status of a refusal says where its code says nothing.
func KindOf(status int) abi.ErrorKind {
	switch {
	case status == 401 || status == 403:
		return abi.Auth
	case status == 404:
		return abi.NotFound
	case status == 429:
		return abi.RateLimited
	case status == 408 || status >= 500 || status < 400: // a redirect is no answer of these APIs
		return abi.Transient
	}
	return abi.Invalid
}
