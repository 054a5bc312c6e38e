package httpsend

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"syscall"
)

// The kinds of abi.HTTPError.
const (
	kindDenied   = "denied"
	kindDNS      = "dns"
	kindConnect  = "connect"
	kindTLS      = "tls"
	kindTimeout  = "timeout"
	kindTooLarge = "too_large"
	kindInvalid  = "invalid"
	kindClosed   = "closed"
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

// refuseLinkLocal keeps guests away from link-local addresses, where clouds serve their credentials, whatever name leads there. It
// sees the address that is really dialled.
func refuseLinkLocal(_ context.Context, _, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil // not an IP network
	}
	if ip := ap.Addr().Unmap(); ip.IsLinkLocalUnicast() || ip == awsMetadata {
		return refusal{kindDenied, fmt.Sprintf("%s is a link-local or metadata address, which no module may reach", ip)}
	}
	return nil
}

// awsMetadata is where EC2 serves metadata over IPv6.
var awsMetadata = netip.MustParseAddr("fd00:ec2::254")
