package rest

import (
	"strings"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// KindOf is what a status of 300 or more is to the host when nothing says more.
func KindOf(status int) abi.ErrorKind {
	switch {
	case status == 401 || status == 403:
		return abi.Auth
	case status == 404:
		return abi.NotFound
	case status == 409:
		return abi.Conflict
	case status == 429:
		return abi.RateLimited
	case status == 408 || status >= 500 || status < 400: // a redirect is no answer of an API
		return abi.Transient
	}
	return abi.Invalid
}

// longest is how many bytes of a provider's words are shown.
const longest = 1000

// Shorten makes a provider's words fit to be a part of ours: without a full stop, and so many bytes at most.
func Shorten(message string) string {
	if len(message) > longest {
		message = strings.ToValidUTF8(message[:longest], "") + "..."
	}
	return strings.TrimRight(message, ". \n")
}

// Told is an error in the provider's words, with what to do about it.
func Told(kind abi.ErrorKind, code, message, todo string) *abi.Error {
	message = Shorten(message)
	if todo != "" {
		message += "; " + todo
	}
	return &abi.Error{Kind: kind, Code: code, Message: message}
}

// RefusedAltogether tells a token that a provider does not take, or that the host can't give, from one that lacks a right.
func RefusedAltogether(err error) bool {
	e, ok := err.(*abi.Error)
	return ok && e.Kind == abi.Auth && (e.Code == "401" || strings.EqualFold(e.Code, "unauthorized") || e.Code == "credential" || e.Code == "denied")
}
