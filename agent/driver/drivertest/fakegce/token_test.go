package fakegce_test

import (
	"context"
	"crypto/tls"
	"net/http"

	"github.com/millwright-ci/millwright/hostfuncs/httpsend"
)

// nobody is the driver's credential towards a cloud that asks for none.
func nobody() map[string]httpsend.Credential {
	return map[string]httpsend.Credential{"google": anonymous{}}
}

type anonymous struct{}

func (anonymous) Scheme() string { return "google-oauth2" }

func (anonymous) Sign(context.Context, *http.Request, []byte, map[string]string) ([]string, error) {
	return nil, nil
}

func (anonymous) TLS() (*tls.Config, error) { return nil, nil }

func (anonymous) Refused() {}
