package config

import (
	"regexp"
	"strings"
)

var tokenPrefix = regexp.MustCompile(`^(glrt-(t[123]_)?|t[123]_|glrtr-|glcbt-|GR[0-9a-fA-F]{7})`)

// shortTokenLength is what the runner uses; GitLab's documentation of CI_RUNNER_SHORT_TOKEN says eight.
const shortTokenLength = 9

// ShortToken returns the part of a runner token that may be shown: it names machines, cache paths and metrics. The known prefix
// is stripped and the first nine characters are kept.
func ShortToken(token Secret) string {
	t := tokenPrefix.ReplaceAllString(string(token), "")
	if len(t) > shortTokenLength {
		t = t[:shortTokenLength]
	}
	return t
}

// Created tells whether a token belongs to a runner that was made in GitLab's user interface or by its API: GitLab holds what such a
// runner is, and several runner managers may share it.
func Created(token Secret) bool { return strings.HasPrefix(string(token), "glrt-") }
