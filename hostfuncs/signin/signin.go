// Package signin gives the HTTP client by which the agent itself signs in with clouds, for machines and for caches: where it goes is the
// operator's choice, never a guest's or a job's.
package signin

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

// Client returns a client whose requests take timeout at most, body included. It may reach metadata addresses, and follows no redirect,
// since what it sends is for one server only.
func Client(timeout time.Duration) *http.Client {
	return &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			Proxy:                  Proxy,
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

// awsMetadata is where EC2 serves metadata over IPv6.
// Source: Amazon EC2 User Guide, "Use the Instance Metadata Service".
var awsMetadata = netip.MustParseAddr("fd00:ec2::254")

// Proxy is the environment's proxy, but never for metadata: that is this machine's alone. Its error holds no address, whose text may hold a
// password.
func Proxy(r *http.Request) (*url.URL, error) {
	if ip, err := netip.ParseAddr(r.URL.Hostname()); err == nil && (ip.IsLinkLocalUnicast() || ip.IsLoopback() || ip == awsMetadata) {
		return nil, nil
	}
	proxy, err := http.ProxyFromEnvironment(r)
	if err != nil {
		return nil, errors.New("the proxy in the agent's environment is no URL")
	}
	return proxy, nil
}
