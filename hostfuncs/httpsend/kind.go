package httpsend

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"os"
	"strings"
)

// The kinds of abi.HTTPError.
const (
	kindDenied     = "denied"
	kindDNS        = "dns"
	kindConnect    = "connect"
	kindTLS        = "tls"
	kindTimeout    = "timeout"
	kindTooLarge   = "too_large"
	kindInvalid    = "invalid"
	kindClosed     = "closed" // kindCredential is a credential that is granted and can't be used at the moment.
	kindCredential = "credential"
)

// refusal is a failure that the host itself decided on.
type refusal struct{ kind, message string }

func (r refusal) Error() string { return r.message }

// kindOf sorts what net/http returns. What has no better kind was closed under way.
func kindOf(err error) string {
	var (
		dns    *net.DNSError
		op     *net.OpError
		verify *tls.CertificateVerificationError
		record tls.RecordHeaderError
		alert  tls.AlertError
	)
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.Is(err, os.ErrDeadlineExceeded):
		return kindTimeout
	case errors.As(err, &dns):
		return kindDNS
	case errors.As(err, &verify), errors.As(err, &record), errors.As(err, &alert), errors.Is(err, http.ErrSchemeMismatch):
		return kindTLS
	case strings.Contains(err.Error(), "TLS handshake timeout"): // net/http has no type for it
		return kindTimeout
	case errors.As(err, &op) && op.Op == "dial":
		return kindConnect
	}
	return kindClosed
}
