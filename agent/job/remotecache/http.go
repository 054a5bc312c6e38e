package remotecache

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

// newClient is what credentials are fetched through. It follows no redirect, since what it sends is for one server only, and never goes
// through a proxy to where a machine's metadata is.
func newClient() *http.Client {
	return &http.Client{
		Timeout: signTime,
		Transport: &http.Transport{
			Proxy:                  proxyOf,
			DialContext:            (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			ForceAttemptHTTP2:      true,
			MaxIdleConns:           4,
			IdleConnTimeout:        30 * time.Second,
			TLSHandshakeTimeout:    10 * time.Second,
			MaxResponseHeaderBytes: 256 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func proxyOf(r *http.Request) (*url.URL, error) {
	if ip, err := netip.ParseAddr(r.URL.Hostname()); err == nil && (ip.IsLinkLocalUnicast() || ip.IsLoopback()) {
		return nil, nil
	}
	proxy, err := http.ProxyFromEnvironment(r)
	if err != nil {
		return nil, fmt.Errorf("the proxy in the agent's environment is no URL") // whose text may hold a password
	}
	return proxy, nil
}

// maxAnswer bounds what a server of credentials says, in bytes.
const maxAnswer = 1 << 20

// answer sends a request and returns the body of a success.
func answer(c *http.Client, r *http.Request) ([]byte, error) {
	resp, err := c.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s %s: %s%s", r.Method, r.URL.Host+r.URL.Path, resp.Status, reason(body))
	}
	return body, nil
}

// reason is what Google's APIs say of an error; "" for another form, which may repeat what it was sent.
func reason(body []byte) string {
	var e struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &e) != nil || e.Error.Message == "" {
		return ""
	}
	return ": " + e.Error.Message
}
