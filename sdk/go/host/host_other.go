//go:build !wasip1

package host

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// defaultDeadline and maxBody are those of the host, see hostfuncs/ABI.md.
const (
	defaultDeadline = 10 * time.Second
	maxBody         = 4 << 20
)

func log(r abi.LogRecord) {
	var level slog.Level
	if level.UnmarshalText([]byte(r.Level)) != nil {
		level = slog.LevelInfo
	}
	args := make([]any, 0, len(r.Fields))
	for k, v := range r.Fields {
		args = append(args, slog.String(k, v))
	}
	slog.Log(context.Background(), level, r.Message, args...)
}

// httpSend sends on a connection of its own, so that a test leaves nothing behind.
func httpSend(req abi.HTTPRequest) abi.HTTPResponse {
	deadline := defaultDeadline
	if req.DeadlineMS > 0 {
		deadline = time.Duration(req.DeadlineMS) * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()

	transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true}
	url := req.URL
	if socket, path, ok := abi.SplitUnixURL(req.URL); ok {
		url = "http://localhost" + path
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}
	}
	hr, err := http.NewRequestWithContext(ctx, req.Method, url, bytes.NewReader(req.Body))
	if err != nil {
		return failed("invalid", err)
	}
	for k, v := range req.Headers {
		hr.Header[http.CanonicalHeaderKey(k)] = v
	}
	res, err := (&http.Client{Transport: transport}).Do(hr)
	if err != nil {
		return failed(kindOf(err), err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	if err != nil {
		return failed(kindOf(err), err)
	}
	if len(body) > maxBody {
		return failed("too_large", errors.New("the answer has more than 4 MB"))
	}
	return abi.HTTPResponse{Status: res.StatusCode, Headers: res.Header, Body: body}
}

// kindOf gives err the kind that the host would.
func kindOf(err error) string {
	var dns *net.DNSError
	var op *net.OpError
	var verify *tls.CertificateVerificationError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.As(err, &dns):
		return "dns"
	case errors.As(err, &verify):
		return "tls"
	case errors.As(err, &op) && op.Op == "dial":
		return "connect"
	}
	return "closed"
}
