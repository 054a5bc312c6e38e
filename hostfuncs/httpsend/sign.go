package httpsend

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// guarded are headers that a guest can't set on a signed request: they carry credentials, or would make an answer in which a
// credential can't be found.
var guarded = map[string]bool{
	"Authorization": true, "Proxy-Authorization": true, "X-Auth-Token": true, "X-Amz-Date": true, "X-Amz-Security-Token": true, "X-Amz-Content-Sha256": true,
	"Connection": true, "Upgrade": true, "Te": true, "Trailer": true, "Expect": true, "Range": true, "If-Range": true,
}

// signing sends one request, with its redirects, and attaches a credential as long as they stay at the server that it began with.
type signing struct {
	client     *Client
	name       string
	credential Credential
	params     map[string]string
	base       http.RoundTripper // reaches the target without a credential
	home       string            // scheme, host and port of the server
	left       bool              // a redirect led elsewhere; there is no way back
	attached   *[]string         // secrets
}

// sign returns what carries the signed request, once all that can be checked before is. It notes in attached what it attaches.
func (c *Client) sign(grants Grants, sign abi.Sign, r *http.Request, base http.RoundTripper, attached *[]string) (http.RoundTripper, error) {
	credential, err := grants.credential(sign, r.URL, c.socketOf(base))
	if err != nil {
		return nil, err
	}
	if r.Method == http.MethodTrace {
		return nil, refusal{kindInvalid, "TRACE would send the credential back; use another method"}
	}
	for name := range r.Header {
		if guarded[name] {
			return nil, collision(name)
		}
	}
	if coding := r.Header.Get("Accept-Encoding"); coding != "" && coding != "identity" {
		return nil, refusal{kindInvalid, "the answer to a signed request must not be compressed; leave Accept-Encoding out"}
	}
	return &signing{
		client: c, name: sign.Credential, credential: credential, params: sign.Params, base: base, home: origin(r.URL), attached: attached,
	}, nil
}

func collision(header string) error {
	return refusal{kindInvalid, fmt.Sprintf("the header %s of a signed request is the host's to set; leave it out", header)}
}

// RoundTrip sends one request of the chain.
func (s *signing) RoundTrip(r *http.Request) (*http.Response, error) {
	if s.left = s.left || origin(r.URL) != s.home; s.left {
		return s.base.RoundTrip(r)
	}
	out, err := s.attach(r)
	if err != nil {
		return nil, err
	}
	carrier, err := s.carrier()
	if err != nil {
		return nil, s.failure(err)
	}
	res, err := carrier.RoundTrip(out)
	if err != nil {
		return nil, err
	}
	if res.StatusCode == http.StatusUnauthorized {
		s.credential.Refused()
	}
	if coding := res.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		res.Body.Close()
		return nil, refusal{kindInvalid, "the answer is compressed, so that the credential could not be found in it"}
	}
	return res, nil
}

// attach returns a copy of r with the credential on it. What the guest set stays as it set it.
func (s *signing) attach(r *http.Request) (*http.Request, error) {
	body, err := bodyOf(r)
	if err != nil {
		return nil, err
	}
	out := r.Clone(r.Context())
	secrets, err := s.credential.Sign(r.Context(), out, body, s.params)
	*s.attached = append(*s.attached, secrets...)
	s.client.remember(secrets)
	if err != nil {
		return nil, s.failure(err)
	}
	for name, values := range r.Header {
		if !slices.Equal(out.Header[name], values) {
			return nil, collision(name)
		}
	}
	out.Header.Set("Accept-Encoding", "identity")
	out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	if len(body) == 0 {
		out.Body = http.NoBody
	}
	return out, nil
}

// bodyOf returns the body that r sends, which the client can make again at each redirect.
func bodyOf(r *http.Request) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	defer r.Body.Close()
	return io.ReadAll(r.Body)
}

// carrier is what sends to the server: connections of the credential's own if it belongs to those.
func (s *signing) carrier() (http.RoundTripper, error) {
	config, err := s.credential.TLS()
	switch {
	case err != nil:
		return nil, err
	case config == nil:
		return s.base, nil
	case !strings.HasPrefix(s.home, "https://"):
		return nil, refusal{kindInvalid, "a client certificate needs https"}
	}
	return s.client.keyedTransport(s.name, config), nil
}

// failure is why there is no signature, as data for the guest.
func (s *signing) failure(err error) error {
	var own refusal
	var kinded interface{ Kind() string }
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &kinded):
		return refusal{kinded.Kind(), fmt.Sprintf("the credential %q: %s", s.name, err)}
	case kindOf(err) == kindTimeout:
		return refusal{kindTimeout, fmt.Sprintf("the credential %q: the deadline passed while it was fetched", s.name)}
	}
	return refusal{kindCredential, fmt.Sprintf("the credential %q can't be used at the moment", s.name)}
}

// origin is the scheme, host and port of u in one spelling.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = defaultPort(u.Scheme)
	}
	return u.Scheme + "://" + net.JoinHostPort(canonical(u.Hostname()), port)
}

// keyed are the connections of one client-tls credential, which only its signed requests use.
type keyed struct {
	config    *tls.Config
	transport *http.Transport
}

func (c *Client) keyedTransport(name string, config *tls.Config) *http.Transport {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, ok := c.keyed[name]
	if ok && k.config == config {
		return k.transport
	}
	if ok {
		k.transport.CloseIdleConnections() // those in use end with IdleConnTimeout
	}
	t := transport(proxyOf, dialGranted)
	t.TLSClientConfig = config.Clone()
	if t.TLSClientConfig.RootCAs == nil {
		t.TLSClientConfig.RootCAs = c.roots
	}
	c.keyed[name] = keyed{config, t}
	return t
}

// socketOf is the path of the socket that a transport reaches, "" when it reaches none.
func (c *Client) socketOf(rt http.RoundTripper) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for path, t := range c.sockets {
		if rt == http.RoundTripper(t) {
			return path
		}
	}
	return ""
}
