//go:build !wasip1

package host

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

func TestHTTPSendNatively(t *testing.T) {
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Method", r.Method)
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, r.Host+r.URL.RequestURI()+" "+string(body))
	})
	tcp := httptest.NewServer(echo)
	defer tcp.Close()

	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Skipf("no unix sockets here: %v", err)
	}
	unix := httptest.NewUnstartedServer(echo)
	unix.Listener.Close()
	unix.Listener = l
	unix.Start()
	defer unix.Close()

	for url, want := range map[string]string{
		tcp.URL + "/a?b=c":              tcp.Listener.Addr().String() + "/a?b=c hello",
		abi.UnixURL(socket, "/v1/info"): "localhost/v1/info hello",
	} {
		res := HTTPSend(abi.HTTPRequest{Method: "PUT", URL: url, Body: []byte("hello")})
		if res.Error != nil || res.Status != http.StatusTeapot || string(res.Body) != want || res.Headers["X-Method"][0] != "PUT" {
			t.Errorf("%s: got %+v (%s), want %s", url, res, res.Body, want)
		}
	}
}

func TestHTTPSendNativelyFailsAsData(t *testing.T) {
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer slow.Close()
	for kind, req := range map[string]abi.HTTPRequest{
		"timeout": {Method: "GET", URL: slow.URL, DeadlineMS: int(10 * time.Millisecond / time.Millisecond)},
		"connect": {Method: "GET", URL: abi.UnixURL("/no/such/socket", "/")},
		"invalid": {Method: "BAD METHOD", URL: slow.URL},
	} {
		if res := HTTPSend(req); res.Error == nil || res.Error.Kind != kind {
			t.Errorf("got %+v, want the kind %s", res.Error, kind)
		}
	}
}
