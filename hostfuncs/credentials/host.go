package credentials

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
)

// host is what all credentials of a store share.
type host struct {
	client *http.Client

	awsClient config.HTTPClient // for the AWS library, which is particular
	now       func() time.Time
	log       *slog.Logger

	mu      sync.Mutex // guards closed, and keeps start and close apart
	closed  bool
	ctx     context.Context
	cancel  context.CancelFunc
	fetches sync.WaitGroup
}

// errClosed is a request that comes when the agent ends.
var errClosed = errors.New("the agent is ending")

func newHost(o Options) *host {
	h := &host{client: o.HTTP, awsClient: o.HTTP, now: o.Now, log: o.Logger}
	if h.client == nil {
		h.client, h.awsClient = newClient(), newAWSClient()
	}
	if h.now == nil {
		h.now = time.Now
	}
	if h.log == nil {
		h.log = slog.Default()
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h
}

// start runs f, which ends soon after its context, unless the store is closed.
func (h *host) start(f func(context.Context)) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.fetches.Go(func() { f(h.ctx) })
	return true
}

// close ends the fetches under way and waits for them.
func (h *host) close() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.cancel()
	h.fetches.Wait()
	h.client.CloseIdleConnections()
}

// newClient returns the client that sign-ins go through. It is the host's own: no guest chooses where it goes, so that it may reach
// metadata addresses, and it follows no redirect, since what it sends is for one server only.
func newClient() *http.Client {
	return &http.Client{
		Timeout: fetchTime,
		Transport: &http.Transport{
			Proxy:                  proxyOf,
			DialContext:            (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			ForceAttemptHTTP2:      true,
			MaxIdleConns:           8,
			IdleConnTimeout:        30 * time.Second,
			TLSHandshakeTimeout:    10 * time.Second,
			MaxResponseHeaderBytes: 256 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// proxyOf is the environment's proxy, but never for metadata: that is this machine's alone.
func proxyOf(r *http.Request) (*url.URL, error) {
	if ip, err := netip.ParseAddr(r.URL.Hostname()); err == nil && (ip.IsLinkLocalUnicast() || ip.IsLoopback() || ip == awsMetadata) {
		return nil, nil
	}
	proxy, err := http.ProxyFromEnvironment(r)
	if err != nil {
		return nil, errors.New("the proxy in the agent's environment is no URL") // whose text may hold a password
	}
	return proxy, nil
}

// awsMetadata is where EC2 serves metadata over IPv6.
var awsMetadata = netip.MustParseAddr("fd00:ec2::254")
