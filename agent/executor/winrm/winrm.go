// Package winrm runs commands on Windows hosts over WS-Management, which WinRM speaks. Each command has a shell of its own there, each message is
// a request of its own, so that there is no connection that could be lost between two of them.
//
// Source: MS-WSMV, "Web Services Management Protocol Extensions for Windows Vista", sections 3.1.4.
package winrm

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
)

// Options say how a host is reached.
type Options struct {
	Address  string // HOST:PORT
	HTTPS    bool
	User     string
	Password config.Secret
	// TLS is how the host's certificate is checked, with HTTPS.
	TLS *tls.Config
	// Dial makes the connections; nil: they are made from here.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Poll is how long the host may hold an answer back while a command says nothing; 0 is 20 seconds.
	Poll time.Duration
}

// Client runs commands on one host. It is safe for concurrent use; Close it.
type Client struct {
	o    Options
	url  string
	http *http.Client
	ours *http.Transport
}

const (
	pollTime = 20 * time.Second
	// answerTime is what a host may take for an answer beyond what it was allowed to hold it back for.
	answerTime = 30 * time.Second
	// maxAnswer bounds what is read of one; the host was told of envelopeSize.
	maxAnswer    = 8 << 20
	envelopeSize = 512_000 // bytes; the default of WinRM 2.0 and later is 500 KB
)

// New returns a client; nothing is dialled yet.
func New(o Options) *Client {
	if o.Poll == 0 {
		o.Poll = pollTime
	}
	scheme := "http"
	if o.HTTPS {
		scheme = "https"
	}
	t := &http.Transport{DialContext: o.Dial, TLSClientConfig: o.TLS, MaxIdleConnsPerHost: 4, IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: answerTime}
	return &Client{o: o, url: scheme + "://" + o.Address + "/wsman", ours: t, http: &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("a WinRM host does not redirect") }, // it would get the password
	}}
}

// Close ends the connections that are kept for the next request.
func (c *Client) Close() { c.ours.CloseIdleConnections() }

// ErrLogin means that the host refused user or password.
var ErrLogin = errors.New("the host refuses the login")

// Ping asks the host for a sign of life, and whether the login works.
func (c *Client) Ping(ctx context.Context) error {
	_, err := c.call(ctx, identify, 0)
	return err
}

// call sends a message and returns the envelope of the answer. hold is how long the host may hold it back. A fault is a *Fault; what else goes
// wrong is the connection's.
func (c *Client) call(ctx context.Context, message string, hold time.Duration) (*envelope, error) {
	limit := hold + answerTime
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %s", limit))
	defer cancel()
	data, err := c.post(ctx, message)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("winrm at %s: %w", c.o.Address, err)
	}
	e, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("winrm at %s: %w", c.o.Address, err)
	}
	return e, e.fault()
}

func (c *Client) post(ctx context.Context, message string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader([]byte(message)))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", soapType+";charset=UTF-8")
	req.SetBasicAuth(c.o.User, c.o.Password.Reveal())
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	switch {
	case err != nil:
		return nil, err
	case res.StatusCode == http.StatusUnauthorized:
		return nil, fmt.Errorf("%w of %s; it offers %q, and basic authentication is what this agent has: check username and password, and `winrm get winrm/config/service/auth`",
			ErrLogin, c.o.User, res.Header.Values("WWW-Authenticate"))
	case len(data) > maxAnswer:
		return nil, fmt.Errorf("its answer has more than %d bytes", maxAnswer)
	case kind != soapType:
		return nil, fmt.Errorf("it answers with status %d and %q, which is not WS-Management", res.StatusCode, kind)
	}
	return data, nil // a fault has status 500
}
