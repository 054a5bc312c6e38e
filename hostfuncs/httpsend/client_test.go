package httpsend

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a granted server, one that is not, and a granted socket.
type world struct {
	client          *Client
	grants          Grants
	granted, denied *httptest.Server
	socket          string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{client: NewClient(), socket: filepath.Join(t.TempDir(), "s")}
	t.Cleanup(w.client.Close)
	w.denied = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		t.Errorf("a request for %s reached the server that is not granted", r.URL)
	}))
	t.Cleanup(w.denied.Close)

	mux := http.NewServeMux()
	mux.HandleFunc("/echo", func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		rw.Header().Set("Retry-After", "7")
		rw.WriteHeader(http.StatusTooManyRequests)
		io.WriteString(rw, r.Method+" "+r.Header.Get("X-Test")+" "+string(body))
	})
	mux.HandleFunc("/away", func(rw http.ResponseWriter, r *http.Request) {
		http.Redirect(rw, r, w.denied.URL+"/", http.StatusFound)
	})
	mux.HandleFunc("/around", func(rw http.ResponseWriter, r *http.Request) { http.Redirect(rw, r, "/around", http.StatusFound) })
	mux.HandleFunc("/home", func(rw http.ResponseWriter, r *http.Request) {
		http.Redirect(rw, r, "/echo", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/slow", func(rw http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/cut", func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Length", "10")
		rw.Write([]byte("half"))
	})
	mux.HandleFunc("/large", func(rw http.ResponseWriter, r *http.Request) { rw.Write(make([]byte, MaxResponse+1)) })
	w.granted = httptest.NewServer(mux)
	t.Cleanup(w.granted.Close)

	l, err := net.Listen("unix", w.socket)
	if err != nil {
		t.Skipf("no unix sockets here: %v", err)
	}
	unix := httptest.NewUnstartedServer(mux)
	unix.Listener.Close()
	unix.Listener = l
	unix.Start()
	t.Cleanup(unix.Close)

	if w.grants, err = ParseGrants([]string{w.granted.URL, "unix://" + w.socket, "http://127.0.0.1:1", "http://name.invalid", "https://" + w.granted.Listener.Addr().String(),
		"http://169.254.169.254", "http://[fe80::1]"}); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestSend(t *testing.T) {
	w := newWorld(t)
	for name, url := range map[string]string{
		"tcp":                            w.granted.URL + "/echo",
		"socket":                         abi.UnixURL(w.socket, "/echo"),
		"redirect":                       w.granted.URL + "/home",
		"redirect of a socket to itself": abi.UnixURL(w.socket, "/home"),
	} {
		t.Run(name, func(t *testing.T) {
			res := w.client.Send(t.Context(), w.grants, abi.HTTPRequest{Method: "PUT", URL: url, Headers: map[string][]string{"X-Test": {"v"}}, Body: []byte("hello")})
			if res.Error != nil || res.Status != http.StatusTooManyRequests || string(res.Body) != "PUT v hello" {
				t.Fatalf("got %+v %+v", res, res.Error)
			}
			if got := res.Headers["Retry-After"]; len(got) != 1 || got[0] != "7" {
				t.Errorf("Retry-After is %v", got)
			}
		})
	}
}

func TestSendFailsAsData(t *testing.T) {
	w := newWorld(t)
	for name, tc := range map[string]struct {
		req  abi.HTTPRequest
		kind string
	}{
		"not granted":                    {abi.HTTPRequest{URL: w.denied.URL}, kindDenied},
		"redirect to not granted":        {abi.HTTPRequest{URL: w.granted.URL + "/away"}, kindDenied},
		"redirect away from a socket":    {abi.HTTPRequest{URL: abi.UnixURL(w.socket, "/away")}, kindDenied},
		"socket not granted":             {abi.HTTPRequest{URL: abi.UnixURL("/run/other.sock", "/")}, kindDenied},
		"credential not granted":         {abi.HTTPRequest{URL: w.granted.URL + "/echo", Sign: &abi.Sign{Scheme: "bearer", Credential: "gitlab"}}, kindDenied},
		"metadata by address":            {abi.HTTPRequest{URL: "http://169.254.169.254/latest/"}, kindDenied},
		"link-local IPv6":                {abi.HTTPRequest{URL: "http://[fe80::1]/"}, kindDenied},
		"redirects without end":          {abi.HTTPRequest{URL: w.granted.URL + "/around"}, kindInvalid},
		"no URL":                         {abi.HTTPRequest{URL: ""}, kindInvalid},
		"a file":                         {abi.HTTPRequest{URL: "file:///etc/passwd"}, kindInvalid},
		"bad socket URL":                 {abi.HTTPRequest{URL: "http+unix:///x"}, kindInvalid},
		"a user in the URL":              {abi.HTTPRequest{URL: strings.Replace(w.granted.URL, "http://", "http://u:p@", 1)}, kindInvalid},
		"bad method":                     {abi.HTTPRequest{Method: "G ET", URL: w.granted.URL + "/echo"}, kindInvalid},
		"a tunnel":                       {abi.HTTPRequest{Method: "connect", URL: w.granted.URL + "/echo"}, kindInvalid},
		"header with a line break":       {abi.HTTPRequest{URL: w.granted.URL + "/echo", Headers: map[string][]string{"X": {"a\r\nY: b"}}}, kindInvalid},
		"header with a bad name":         {abi.HTTPRequest{URL: w.granted.URL + "/echo", Headers: map[string][]string{"X Y": {"a"}}}, kindInvalid},
		"request too large":              {abi.HTTPRequest{URL: w.granted.URL + "/echo", Body: make([]byte, MaxRequest+1)}, kindTooLarge},
		"answer too large":               {abi.HTTPRequest{URL: w.granted.URL + "/large"}, kindTooLarge},
		"answer cut":                     {abi.HTTPRequest{URL: w.granted.URL + "/cut"}, kindClosed},
		"deadline":                       {abi.HTTPRequest{URL: w.granted.URL + "/slow", DeadlineMS: 20}, kindTimeout},
		"nobody listens":                 {abi.HTTPRequest{URL: "http://127.0.0.1:1/"}, kindConnect},
		"no such name":                   {abi.HTTPRequest{URL: "http://name.invalid/"}, kindDNS},
		"TLS with a server that has not": {abi.HTTPRequest{URL: "https://" + w.granted.Listener.Addr().String() + "/"}, kindTLS},
	} {
		t.Run(name, func(t *testing.T) {
			res := w.client.Send(t.Context(), w.grants, tc.req)
			if res.Error == nil || res.Error.Kind != tc.kind || res.Error.Message == "" || res.Status != 0 {
				t.Errorf("got status %d, error %+v; want the kind %s", res.Status, res.Error, tc.kind)
			}
		})
	}
}

func TestSendEndsWithItsContext(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if res := w.client.Send(ctx, w.grants, abi.HTTPRequest{URL: w.granted.URL + "/slow"}); res.Error == nil || res.Error.Kind != kindTimeout {
		t.Errorf("got %+v", res)
	}
}

func TestHostHeaderIsTheURLs(t *testing.T) {
	var got bytes.Buffer
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got.WriteString(r.Host) }))
	defer srv.Close()
	c := NewClient()
	defer c.Close()
	g, err := ParseGrants([]string{srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	c.Send(t.Context(), g, abi.HTTPRequest{URL: srv.URL, Headers: map[string][]string{"Host": {"other.example.com"}}})
	if got.String() != srv.Listener.Addr().String() {
		t.Errorf("the server saw the host %q", got.String())
	}
}

// TestTrust sends to a server whose certificate only an authority of the operator's vouches for.
func TestTrust(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }))
	defer server.Close()
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	grants, err := ParseGrants([]string{server.URL})
	if err != nil {
		t.Fatal(err)
	}
	own := x509.NewCertPool()
	own.AddCert(server.Certificate())
	for name, tc := range map[string]struct {
		roots *x509.CertPool
		kind  string
	}{
		"the system's": {nil, "tls"},
		"another's":    {x509.NewCertPool(), "tls"},
		"the server's": {own, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := NewClient()
			c.Trust(tc.roots)
			defer c.Close()
			res := c.Send(t.Context(), grants, abi.HTTPRequest{URL: server.URL})
			if kind := kindIn(res); kind != tc.kind || kind == "" && string(res.Body) != "hello" {
				t.Errorf("got %+v, want the kind %q", res, tc.kind)
			}
		})
	}
}

func kindIn(res abi.HTTPResponse) string {
	if res.Error == nil {
		return ""
	}
	return res.Error.Kind
}
