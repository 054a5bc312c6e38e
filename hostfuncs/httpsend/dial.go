package httpsend

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync/atomic"
	"syscall"
	"time"
)

// dial travels with a request to where its connection is made.
type dial struct {
	grants Grants
	proxy  atomic.Pointer[string] // host and port of the proxy of the last request, nil for none
}

type dialKey struct{}

// proxyOf is the environment's proxy for a request. Where it lies is the operator's matter, so it is noted for the check of addresses.
func proxyOf(r *http.Request) (*url.URL, error) {
	proxy, err := http.ProxyFromEnvironment(r)
	if err != nil {
		return nil, refusal{kindConnect, "the proxy in the agent's environment is no URL"} // whose text may hold a password
	}
	if d, ok := r.Context().Value(dialKey{}).(*dial); ok {
		d.proxy.Store(nil)
		if proxy != nil {
			port := proxy.Port()
			if port == "" {
				port = defaultPort(proxy.Scheme)
			}
			address := net.JoinHostPort(proxy.Hostname(), port)
			d.proxy.Store(&address)
		}
	}
	return proxy, nil
}

// dialGranted connects for a request, to addresses that its grants allow. It checks the address that is really dialled, whatever name
// led there.
func dialGranted(ctx context.Context, network, address string) (net.Conn, error) {
	check := refuseLinkLocal
	if d, ok := ctx.Value(dialKey{}).(*dial); ok {
		if proxy := d.proxy.Load(); proxy == nil || *proxy != address {
			check = d.refuse
		}
	}
	dialer := net.Dialer{Timeout: DefaultDeadline, KeepAlive: 30 * time.Second, ControlContext: check}
	return dialer.DialContext(ctx, network, address)
}

// refuse keeps guests away from private addresses that nobody granted.
func (d *dial) refuse(ctx context.Context, network, address string, c syscall.RawConn) error {
	if err := refuseLinkLocal(ctx, network, address, c); err != nil {
		return err
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil // not an IP network
	}
	if ip := ap.Addr().WithZone("").Unmap(); !d.grants.allowsAddress(ip) {
		return refusal{kindDenied, fmt.Sprintf("%s is a private address, which is not granted to this module", ip)}
	}
	return nil
}

// refuseLinkLocal keeps guests away from link-local addresses, where clouds serve their credentials, whatever name leads there. It
// sees the address that is really dialled.
func refuseLinkLocal(_ context.Context, _, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil // not an IP network
	}
	if ip := ap.Addr().Unmap(); ip.IsLinkLocalUnicast() || ip.WithZone("") == awsMetadata {
		return refusal{kindDenied, fmt.Sprintf("%s is a link-local or metadata address, which no module may reach", ip)}
	}
	return nil
}

// awsMetadata is where EC2 serves metadata over IPv6.
var awsMetadata = netip.MustParseAddr("fd00:ec2::254")
