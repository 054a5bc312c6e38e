package credentials

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"golang.org/x/oauth2"
)

// The kinds of a problem, as ABI.md lists those of http_send.
const (
	kindInvalid    = "invalid"
	kindDenied     = "denied"
	kindCredential = "credential"
)

// problem is why a request can't be signed, in words that a guest may read.
type problem struct{ kind, message string }

func (p problem) Error() string { return p.message }

// Kind is the kind of the failure by ABI.md.
func (p problem) Kind() string { return p.kind }

// describe is err for the operator's log, in one line, without what a sign-in answered beyond its code: that may repeat what it was
// sent.
func describe(err error) string {
	var (
		oauth *oauth2.RetrieveError
		azure *azidentity.AuthenticationFailedError
		u     *url.Error
	)
	switch {
	case errors.As(err, &oauth):
		status := "nothing"
		if oauth.Response != nil {
			status = oauth.Response.Status
		}
		return strings.TrimRight(fmt.Sprintf("the sign-in answered %s %.100s", status, oauth.ErrorCode), " ")
	case errors.As(err, &azure):
		return azureFailure(azure)
	case errors.As(err, &u):
		err = fmt.Errorf("%s %s: %w", u.Op, place(u.URL), u.Err)
	}
	line, _, _ := strings.Cut(answered.ReplaceAllString(err.Error(), "$1"), "\n")
	return fmt.Sprintf("%.300s", line)
}

// answered is where x/oauth2 goes on with the body of an answer.
var answered = regexp.MustCompile(`(?s)(status code \d+):.*`)

// place is a URL without what may be secret in it.
func place(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "a URL"
	}
	return u.Scheme + "://" + u.Host + u.Path
}
