package need

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Image needs a local Docker engine that holds the image tag; hint says how to make it. It returns tag.
func Image(t testing.TB, tag, hint string) string {
	t.Helper()
	network, address, _ := strings.Cut(Docker(t), "://")
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, address)
		},
	}
	res, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Get("http://docker/images/" + tag + "/json")
	if err != nil {
		missing(t, "the image "+tag+": "+err.Error())
		return tag
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		missing(t, "the image "+tag+"; "+hint)
	}
	return tag
}
