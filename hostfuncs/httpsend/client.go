package httpsend

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Limits bound one request. ABI.md states them.
const (
	MaxRequest      = 2 << 20 // bytes of a request's body
	MaxResponse     = 4 << 20 // bytes of an answer's body
	maxHeaders      = 64 << 10
	maxRedirects    = 5
	DefaultDeadline = 10 * time.Second
	MaxDeadline     = 60 * time.Second
)

// socketHost stands in the URL of a request that goes to a unix socket.
const socketHost = "localhost"

// Client sends the requests of one module over connections that it shares with nobody. It is safe for concurrent use.
type Client struct {
	tcp   *http.Transport
	roots *x509.CertPool // nil: those of the system

	mu      sync.Mutex // guards what follows
	sockets map[string]*http.Transport
	keyed   map[string]keyed // connections that show a certificate, by the credential's name
	secrets []string         // what was attached to requests lately, newest first; no answer to this module holds any
}

// NewClient returns a client without connections.
func NewClient() *Client {
	return &Client{tcp: transport(proxyOf, dialGranted), sockets: map[string]*http.Transport{}, keyed: map[string]keyed{}}
}

// Trust makes roots the certificates that servers must be vouched for by, in place of the system's; nil leaves it at those. It is called
// before the first request.
func (c *Client) Trust(roots *x509.CertPool) {
	if roots != nil {
		c.roots, c.tcp.TLSClientConfig = roots, &tls.Config{RootCAs: roots}
	}
}

func transport(proxy func(*http.Request) (*url.URL, error), dial func(context.Context, string, string) (net.Conn, error)) *http.Transport {
	return &http.Transport{
		Proxy:                  proxy,
		DialContext:            dial,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // else a small answer could unpack to a large one
		MaxIdleConns:           16,
		MaxConnsPerHost:        16,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    DefaultDeadline,
		MaxResponseHeaderBytes: maxHeaders,
	}
}

// Close closes the connections that are not in use. Requests under way go on to their end.
func (c *Client) Close() {
	c.tcp.CloseIdleConnections()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.sockets {
		t.CloseIdleConnections()
	}
	for _, k := range c.keyed {
		k.transport.CloseIdleConnections()
	}
}

// Send sends req if grants allow it, follows redirects as far as they do, and returns the whole answer. It blocks until then, until
// the request's own deadline or until ctx is done. A failure is in the answer's Error. No answer holds a credential that was attached
// to a request of this module.
func (c *Client) Send(ctx context.Context, grants Grants, req abi.HTTPRequest) abi.HTTPResponse {
	var attached []string
	res := c.send(ctx, grants, req, &attached)
	return clean(res, c.redactor(attached...))
}

// send is Send with an answer as it came; attached gets the secrets that went out with the request.
func (c *Client) send(ctx context.Context, grants Grants, req abi.HTTPRequest, attached *[]string) abi.HTTPResponse {
	deadline := DefaultDeadline
	if req.DeadlineMS > 0 {
		deadline = min(time.Duration(req.DeadlineMS)*time.Millisecond, MaxDeadline)
	}
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	ctx = context.WithValue(ctx, dialKey{}, &dial{grants: grants})

	hr, rt, err := c.prepare(ctx, grants, req)
	if err != nil {
		return answer(err)
	}
	carrier := rt
	if req.Sign != nil {
		if carrier, err = c.sign(grants, *req.Sign, hr, rt, attached); err != nil {
			return answer(err)
		}
	}
	check := func(next *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects {
			return refusal{kindInvalid, fmt.Sprintf("more than %d redirects", maxRedirects)}
		}
		if c.redactor(*attached...).FoundFolded(next.URL.String()) {
			return refusal{kindDenied, "redirected to a URL that holds the credential"}
		}
		return c.checkRedirect(grants, rt, next)
	}
	res, err := (&http.Client{Transport: carrier, CheckRedirect: check}).Do(hr)
	if err != nil {
		return answer(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, MaxResponse+1))
	switch {
	case err != nil:
		return answer(err)
	case len(body) > MaxResponse:
		return answer(refusal{kindTooLarge, fmt.Sprintf("the answer has more than %d bytes", MaxResponse)})
	}
	return abi.HTTPResponse{Status: res.StatusCode, Headers: res.Header, Body: body}
}

// framing are headers that follow from the URL and the body, whatever a guest says.
var framing = []string{"Host", "Content-Length", "Transfer-Encoding"}

// prepare checks req and returns it with the transport that reaches its target.
func (c *Client) prepare(ctx context.Context, grants Grants, req abi.HTTPRequest) (*http.Request, http.RoundTripper, error) {
	switch {
	case len(req.Body) > MaxRequest:
		return nil, nil, refusal{kindTooLarge, fmt.Sprintf("the request has more than %d bytes", MaxRequest)}
	case strings.EqualFold(req.Method, http.MethodConnect):
		return nil, nil, refusal{kindInvalid, "the method CONNECT opens a tunnel, which no module may"}
	}
	target, rt, err := c.target(grants, req.URL)
	if err != nil {
		return nil, nil, err
	}
	hr, err := http.NewRequestWithContext(ctx, req.Method, target, bytes.NewReader(req.Body))
	if err != nil {
		return nil, nil, refusal{kindInvalid, err.Error()}
	}
	for name, values := range req.Headers {
		if slices.Contains(framing, http.CanonicalHeaderKey(name)) {
			continue
		}
		if !httpguts.ValidHeaderFieldName(name) {
			return nil, nil, refusal{kindInvalid, fmt.Sprintf("%q is no name for a header", name)}
		}
		for _, v := range values {
			if !httpguts.ValidHeaderFieldValue(v) {
				return nil, nil, refusal{kindInvalid, fmt.Sprintf("the header %s has a value with control characters", name)}
			}
			hr.Header.Add(name, v)
		}
	}
	return hr, rt, nil
}

// target returns the URL to ask for and the transport that reaches it, once both are granted.
func (c *Client) target(grants Grants, raw string) (string, http.RoundTripper, error) {
	if strings.HasPrefix(raw, "http+unix:") {
		socket, rest, ok := abi.SplitUnixURL(raw)
		switch {
		case !ok:
			return "", nil, refusal{kindInvalid, "the URL names no socket; write http+unix://%2Fpath%2Fto.sock/path"}
		case !grants.AllowsSocket(socket):
			return "", nil, refusal{kindDenied, fmt.Sprintf("the socket %s is not granted to this module", socket)}
		}
		return "http://" + socketHost + rest, c.socket(socket), nil
	}
	u, err := url.Parse(raw)
	if err != nil {
		return "", nil, refusal{kindInvalid, "the URL: " + err.Error()}
	}
	if err := granted(grants, u); err != nil {
		return "", nil, err
	}
	return raw, c.tcp, nil
}

// checkRedirect holds the next request of a redirect to the same grants. A server behind a socket may redirect to itself only.
func (c *Client) checkRedirect(grants Grants, rt http.RoundTripper, next *http.Request) error {
	if rt == http.RoundTripper(c.tcp) {
		return granted(grants, next.URL)
	}
	if next.URL.Scheme != "http" || next.URL.Host != socketHost {
		return refusal{kindDenied, "redirected from a socket to " + next.URL.Host}
	}
	return nil
}

func granted(grants Grants, u *url.URL) error {
	switch {
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return refusal{kindInvalid, fmt.Sprintf("the URL %s; use https, http or http+unix with a host", u.Redacted())}
	case u.User != nil:
		return refusal{kindInvalid, "the URL holds a user; send credentials another way"}
	case !grants.Allows(u):
		return refusal{kindDenied, fmt.Sprintf("%s://%s is not granted to this module", u.Scheme, u.Host)}
	}
	return nil
}

// socket returns the transport for the server behind one socket. There are no more of them than granted sockets.
func (c *Client) socket(path string) http.RoundTripper {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, ok := c.sockets[path]
	if !ok {
		t = transport(nil, func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		})
		c.sockets[path] = t
	}
	return t
}

// answer turns an error into data.
func answer(err error) abi.HTTPResponse {
	var r refusal
	if errors.As(err, &r) {
		return abi.HTTPResponse{Error: &abi.HTTPError{Kind: r.kind, Message: r.message}}
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // the URL may hold a token; the guest knows it anyway
	}
	return abi.HTTPResponse{Error: &abi.HTTPError{Kind: kindOf(err), Message: err.Error()}}
}
