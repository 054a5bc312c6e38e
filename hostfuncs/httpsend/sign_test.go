package httpsend_test

import (
	"compress/gzip"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"html"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/hostfuncs/credentials"
	"github.com/millwright-ci/millwright/hostfuncs/httpsend"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// held is what the operator holds in these tests; none of it may reach a guest.
var held = map[string]credentials.Config{
	"token":  {Kind: credentials.Bearer, Secret: "bearer-S3cret/with+signs&<more>"},
	"pair":   {Kind: credentials.Basic, Username: "ci", Secret: `pass"word-S3cret`},
	"gitlab": {Kind: credentials.Header, Secret: "glpat-S3cretS3cretS3cret"},
	"aws":    {Kind: credentials.AWS4, AccessKeyID: "AKIAIOSFODNN7EXAMPLE", Secret: "wJalrXUtnFEMI/K7MDENG/S3cret", SessionToken: "session-S3cret-token"},
}

var ec2 = map[string]string{"service": "ec2", "region": "eu-west-1"}

// signs are how a guest asks for each.
var signs = map[string]*abi.Sign{
	"token": {Scheme: "bearer", Credential: "token"}, "pair": {Scheme: "basic", Credential: "pair"},
	"gitlab": {Scheme: "header", Credential: "gitlab"}, "aws": {Scheme: "aws4", Credential: "aws", Params: ec2},
}

// leaks returns what of the operator's is in text, whatever the spelling.
func leaks(text string) []string {
	var found []string
	text = strings.ToLower(text)
	for _, c := range held {
		secret := string(c.Secret)
		forms := []string{
			secret, string(c.SessionToken), c.AccessKeyID, url.QueryEscape(secret), url.PathEscape(secret), html.EscapeString(secret),
			hex.EncodeToString([]byte(secret)), base64.StdEncoding.EncodeToString([]byte(secret)),
			base64.StdEncoding.EncodeToString([]byte(c.Username + ":" + secret)),
		}
		for _, f := range append(forms, "S3cret", "UzNjcmV0", "AWS4-HMAC") {
			if f != "" && strings.Contains(text, strings.ToLower(f)) {
				found = append(found, f)
			}
		}
	}
	return found
}

// echo repeats a request in every way that servers have.
func echo(other func() string) http.Handler {
	sent := func(r *http.Request) string {
		var b strings.Builder
		fmt.Fprintf(&b, "%s %s\n", r.Method, r.URL)
		r.Header.Write(&b)
		return b.String()
	}
	values := func(r *http.Request) []string {
		var all []string
		for _, name := range []string{"Authorization", "Private-Token", "X-Amz-Security-Token"} {
			if v := r.Header.Get(name); v != "" {
				_, rest, ok := strings.Cut(v, " ")
				if all = append(all, v); ok {
					all = append(all, rest)
				}
			}
		}
		if _, password, ok := r.BasicAuth(); ok {
			all = append(all, password)
		}
		return all
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/body", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, sent(r))
		for _, v := range values(r) {
			data, _ := json.Marshal(v)
			fmt.Fprintln(w, string(data), url.QueryEscape(v), url.PathEscape(v), html.EscapeString(v), hex.EncodeToString([]byte(v)))
			for i := range 3 {
				fmt.Fprintln(w, base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", i)+v+"y")), base64.URLEncoding.EncodeToString([]byte(strings.Repeat("x", i)+v)))
			}
		}
	})
	mux.HandleFunc("/headers", func(w http.ResponseWriter, r *http.Request) {
		for i, v := range values(r) {
			w.Header().Add("X-Echo", v)
			w.Header().Add("Set-Cookie", "t="+url.QueryEscape(v))
			name := strings.Map(func(c rune) rune {
				if strings.ContainsRune("/+=, &<>\"", c) {
					return -1
				}
				return c
			}, v)
			w.Header().Add(fmt.Sprint("X-Long-", i, "-", len(name)), v)
			if name == v {
				w.Header().Add("X-"+v, "1")
			}
		}
		w.WriteHeader(http.StatusTeapot)
	})
	mux.HandleFunc("/error", func(w http.ResponseWriter, r *http.Request) { http.Error(w, sent(r), http.StatusInternalServerError) })
	mux.HandleFunc("/unauthorized", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("WWW-Authenticate", "Bearer realm="+strings.Join(values(r), ","))
		http.Error(w, sent(r), http.StatusUnauthorized)
	})
	mux.HandleFunc("/chunked", func(w http.ResponseWriter, r *http.Request) {
		for _, c := range []byte(sent(r)) { // each byte by itself
			w.Write([]byte{c})
			w.(http.Flusher).Flush()
		}
	})
	mux.HandleFunc("/huge", func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte(strings.Repeat(sent(r), httpsend.MaxResponse/len(sent(r)))))
	})
	mux.HandleFunc("/toolarge", func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte(strings.Repeat(sent(r), httpsend.MaxResponse/len(sent(r))+1)))
	})
	mux.HandleFunc("/gzip", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		io.WriteString(z, sent(r))
		z.Close()
	})
	mux.HandleFunc("/cut", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100000")
		io.WriteString(w, sent(r))
	})
	for name, target := range map[string]func(string) string{
		"/redirect/path":    func(v string) string { return "/body?t=" + url.QueryEscape(v) },
		"/redirect/host":    func(v string) string { return "https://" + hex.EncodeToString([]byte(v)) + ".example.com/" },
		"/redirect/invalid": func(v string) string { return "http://[" + v },
		"/redirect/other":   func(v string) string { return other() + "/body?t=" + url.QueryEscape(v) },
	} {
		mux.HandleFunc(name, func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Location"] = []string{target(append(values(r), "none")[0])}
			w.WriteHeader(http.StatusFound)
		})
	}
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other()+r.URL.Query().Get("to"), http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/home", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/body", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/hangup", func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			fmt.Fprintf(conn, "HTTP/1.1 200 %s\r\nX-%s\r\n", sent(r), sent(r)) // no header at all
			conn.Close()
		}
	})
	return mux
}

// scene is a client with grants for two servers, of which only the first may get credentials.
type scene struct {
	client        *httpsend.Client
	grants        httpsend.Grants
	server, other *httptest.Server
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{client: httpsend.NewClient()}
	t.Cleanup(s.client.Close)
	s.other = httptest.NewServer(echo(func() string { return s.server.URL }))
	s.server = httptest.NewServer(echo(func() string { return s.other.URL }))
	t.Cleanup(s.server.Close)
	t.Cleanup(s.other.Close)
	store := credentials.NewStore(credentials.Options{})
	t.Cleanup(store.Close)
	store.Set(held)
	hosts := grants(t, s.server.URL)
	granted := map[string]httpsend.CredentialGrant{}
	for name := range held {
		granted[name] = httpsend.CredentialGrant{Credential: store.Signer(name, credentials.Grant{Header: "Private-Token"}), Hosts: hosts}
	}
	s.grants = grants(t, s.server.URL, s.other.URL).WithCredentials("thief", granted)
	return s
}

func grants(t *testing.T, patterns ...string) httpsend.Grants {
	t.Helper()
	g, err := httpsend.ParseGrants(patterns)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestSigned(t *testing.T) {
	for name, want := range map[string]string{
		"token": "Authorization: Bearer bearer-S3cret/with+signs&<more>", "pair": "Authorization: Basic Y2k6cGFzcyJ3b3JkLVMzY3JldA==",
		"gitlab": "Private-Token: glpat-S3cretS3cretS3cret", "aws": "Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/",
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			var got strings.Builder
			s.server.Config.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				r.Header.Write(&got)
				io.Copy(&got, r.Body)
			})
			res := s.client.Send(t.Context(), s.grants, abi.HTTPRequest{Method: "POST", URL: s.server.URL, Body: []byte("the body"), Sign: signs[name]})
			if res.Error != nil || !strings.Contains(got.String(), want) || !strings.HasSuffix(got.String(), "the body") {
				t.Errorf("answered %+v, the server got %s", res.Error, got.String())
			}
		})
	}
}

// TestEchoes checks that no answer, of whatever kind, gives a credential away, nor a later one to a request without a signature.
func TestEchoes(t *testing.T) {
	paths := []string{"body", "headers", "error", "unauthorized", "chunked", "huge", "toolarge", "gzip", "cut", "hangup", "home", "away?to=/body",
		"redirect/path", "redirect/host", "redirect/invalid", "redirect/other"}
	for name, sign := range signs {
		for _, path := range paths {
			t.Run(name+"/"+path, func(t *testing.T) {
				s := newScene(t)
				res := s.client.Send(t.Context(), s.grants, abi.HTTPRequest{Method: "POST", URL: s.server.URL + "/" + path, Body: []byte("x"), Sign: sign})
				data, err := json.Marshal(res)
				if err != nil {
					t.Fatal(err)
				}
				if found := leaks(string(data) + string(res.Body)); len(found) > 0 {
					t.Errorf("the guest reads %q in %.600s %.2000s", found, data, res.Body)
				}
			})
		}
	}
}

func TestEchoOfAnEarlierRequest(t *testing.T) {
	s := newScene(t)
	var before string
	s.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "the request before had "+before)
		before = r.Header.Get("Authorization")
	})
	s.client.Send(t.Context(), s.grants, abi.HTTPRequest{URL: s.server.URL, Sign: signs["token"]})
	res := s.client.Send(t.Context(), s.grants, abi.HTTPRequest{URL: s.server.URL})
	if found := leaks(string(res.Body)); len(found) > 0 || !strings.Contains(string(res.Body), "[redacted]") {
		t.Errorf("the guest reads %q", res.Body)
	}
}

// TestRedirectsGoWithout checks that what a redirect leads to gets no credential, and that no redirect leads back to it.
func TestRedirectsGoWithout(t *testing.T) {
	for name, sign := range signs {
		for _, to := range []string{"/body", "/away?to=/body"} { // to the other server, and from there back
			s := newScene(t)
			res := s.client.Send(t.Context(), s.grants, abi.HTTPRequest{URL: s.server.URL + "/away?to=" + url.QueryEscape(to), Sign: sign})
			body := string(res.Body)
			if res.Error != nil || !strings.Contains(body, "GET /body") {
				t.Fatalf("%s: got %+v %s", name, res.Error, body)
			}
			if strings.Contains(body, "[redacted]") || strings.Contains(body, "Authorization") || strings.Contains(body, "Private-Token") || len(leaks(body)) > 0 {
				t.Errorf("%s: the end of a redirect got %s", name, body)
			}
		}
		s := newScene(t)
		res := s.client.Send(t.Context(), s.grants, abi.HTTPRequest{Method: "POST", URL: s.server.URL + "/home", Body: []byte("b"), Sign: sign})
		if !strings.Contains(string(res.Body), "[redacted]") {
			t.Errorf("%s: a redirect at the same server goes without", name)
		}
	}
}

func TestSignRefused(t *testing.T) {
	s := newScene(t)
	s.server.Config.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("sent: %s %s", r.Method, r.URL) })
	header := func(name, value string) map[string][]string { return map[string][]string{name: {value}} }
	ask := func(mend func(*abi.HTTPRequest)) abi.HTTPRequest {
		req := abi.HTTPRequest{URL: s.server.URL, Sign: &abi.Sign{Scheme: "bearer", Credential: "token"}}
		mend(&req)
		return req
	}
	lines := "[grants.thief.credentials.token]\nhostnames = [\"" + s.server.URL + "\", \"" + s.other.URL + "\"]"
	for name, tc := range map[string]struct {
		req        abi.HTTPRequest
		kind, want string
	}{
		"another host":         {ask(func(r *abi.HTTPRequest) { r.URL = s.other.URL }), "denied", lines},
		"a host without grant": {ask(func(r *abi.HTTPRequest) { r.URL = "https://evil.example.com/" }), "denied", "https://evil.example.com is not granted"},
		"an unknown credential": {ask(func(r *abi.HTTPRequest) { r.Sign.Credential = "root" }), "denied",
			"put these lines into millwright.toml:\n[grants.thief.credentials.root]\nhostnames = [\"" + s.server.URL + "\"]"},
		"a credential that is TOML": {ask(func(r *abi.HTTPRequest) { r.Sign.Credential = "x]\nhostnames = []" }), "denied", `[grants.thief.credentials."x]\nhostnames = []"]`},
		"no credential":             {ask(func(r *abi.HTTPRequest) { r.Sign.Credential = "" }), "denied", "is not granted"},
		"another scheme":            {ask(func(r *abi.HTTPRequest) { r.Sign.Scheme = "header" }), "invalid", "signs with the scheme bearer"},
		"a parameter":               {ask(func(r *abi.HTTPRequest) { r.Sign.Params = map[string]string{"header": "X-Mine"} }), "invalid", "takes none"},
		"a header of the guest's":   {ask(func(r *abi.HTTPRequest) { r.Headers = header("authorization", "x") }), "invalid", "the header Authorization"},
		"the proxy's header":        {ask(func(r *abi.HTTPRequest) { r.Headers = header("Proxy-Authorization", "x") }), "invalid", "Proxy-Authorization"},
		"a part of the answer":      {ask(func(r *abi.HTTPRequest) { r.Headers = header("Range", "bytes=0-9") }), "invalid", "Range"},
		"compression":               {ask(func(r *abi.HTTPRequest) { r.Headers = header("Accept-Encoding", "gzip") }), "invalid", "Accept-Encoding"},
		"hop by hop":                {ask(func(r *abi.HTTPRequest) { r.Headers = header("Connection", "Authorization") }), "invalid", "Connection"},
		"TRACE":                     {ask(func(r *abi.HTTPRequest) { r.Method = "TRACE" }), "invalid", "TRACE"},
		"the granted header": {abi.HTTPRequest{URL: s.server.URL, Headers: header("private-token", "mine"), Sign: signs["gitlab"]},
			"invalid", "the header Private-Token"},
		"a date of the guest's": {abi.HTTPRequest{URL: s.server.URL, Headers: header("X-Amz-Date", "20150830T123600Z"), Sign: signs["aws"]}, "invalid", "X-Amz-Date"},
		"a service that gives credentials": {abi.HTTPRequest{URL: s.server.URL, Sign: &abi.Sign{
			Scheme: "aws4", Credential: "aws", Params: map[string]string{"service": "sts", "region": "us-east-1"}}}, "denied", "gives out credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			res := s.client.Send(t.Context(), s.grants, tc.req)
			if res.Error == nil || res.Error.Kind != tc.kind || !strings.Contains(res.Error.Message, tc.want) {
				t.Errorf("got %+v, want %s with %q", res.Error, tc.kind, tc.want)
			}
			if res.Error != nil && len(leaks(res.Error.Message)) > 0 {
				t.Errorf("it shows a credential: %s", res.Error.Message)
			}
		})
	}
}

// TestLinesGrant checks that the lines for a credential name what its scheme needs beside.
func TestLinesGrant(t *testing.T) {
	s := newScene(t)
	for scheme, want := range map[string]string{"header": "\nheader = ", "google-oauth2": "\nscopes = [", "azure-ad": "\nscopes = [", "bearer": ""} {
		res := s.client.Send(t.Context(), grants(t, s.server.URL), abi.HTTPRequest{URL: s.server.URL, Sign: &abi.Sign{Scheme: scheme, Credential: "c"}})
		if res.Error == nil || !strings.Contains(res.Error.Message, "[grants.NAME.credentials.c]\nhostnames = [\""+s.server.URL+"\"]"+want) {
			t.Errorf("%s: got %+v", scheme, res.Error)
		}
	}
}

// TestSignedSocket signs a request to a server behind a socket.
func TestSignedSocket(t *testing.T) {
	s := newScene(t)
	store := credentials.NewStore(credentials.Options{})
	defer store.Close()
	store.Set(held)
	g := grants(t, "unix:///run/a.sock", "unix:///run/b.sock").WithCredentials("m", map[string]httpsend.CredentialGrant{
		"token": {Credential: store.Signer("token", credentials.Grant{}), Hosts: grants(t, "unix:///run/a.sock")},
	})
	for socket, kind := range map[string]string{"/run/a.sock": "connect", "/run/b.sock": "denied"} {
		res := s.client.Send(t.Context(), g, abi.HTTPRequest{URL: abi.UnixURL(socket, "/"), Sign: signs["token"]})
		if res.Error == nil || res.Error.Kind != kind {
			t.Errorf("%s: got %+v, want %s", socket, res.Error, kind)
		}
	}
}

// pair writes a self-signed certificate and its key, and returns both paths.
func pair(t *testing.T, name string) (certFile, keyFile string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour), DNSNames: []string{name}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

// TestClientTLS checks that a certificate is shown for signed requests alone, on connections that others do not use.
func TestClientTLS(t *testing.T) {
	certFile, keyFile := pair(t, "ci")
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := "nobody"
		if len(r.TLS.PeerCertificates) > 0 {
			who = r.TLS.PeerCertificates[0].Subject.CommonName
		}
		io.WriteString(w, who)
	}))
	srv.TLS = &tls.Config{ClientAuth: tls.RequestClientCert} // of any authority
	srv.StartTLS()
	defer srv.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	store := credentials.NewStore(credentials.Options{})
	defer store.Close()
	store.Set(map[string]credentials.Config{
		"cert":    {Kind: credentials.ClientTLS, CertFile: certFile, KeyFile: keyFile, CAFile: ca},
		"missing": {Kind: credentials.ClientTLS, CertFile: "/nonexistent/cert.pem", KeyFile: keyFile},
	})
	plain := strings.Replace(srv.URL, "https:", "http:", 1)
	hosts := grants(t, srv.URL, plain)
	g := hosts.WithCredentials("m", map[string]httpsend.CredentialGrant{
		"cert":    {Credential: store.Signer("cert", credentials.Grant{}), Hosts: hosts},
		"missing": {Credential: store.Signer("missing", credentials.Grant{}), Hosts: hosts},
	})
	c := httpsend.NewClient()
	defer c.Close()
	send := func(url, credential string) abi.HTTPResponse {
		req := abi.HTTPRequest{URL: url}
		if credential != "" {
			req.Sign = &abi.Sign{Scheme: "client-tls", Credential: credential}
		}
		return c.Send(t.Context(), g, req)
	}
	for range 2 {
		if res := send(srv.URL, "cert"); string(res.Body) != "ci" {
			t.Errorf("with the certificate: %s %+v", res.Body, res.Error)
		}
		if res := send(srv.URL, ""); res.Error == nil || res.Error.Kind != "tls" {
			t.Errorf("a request without a signature went over the connection of one with: %s", res.Body)
		}
	}
	if res := send(plain, "cert"); res.Error == nil || res.Error.Kind != "invalid" {
		t.Errorf("over http: %+v", res.Error)
	}
	if res := send(srv.URL, "missing"); res.Error == nil || res.Error.Kind != "credential" || strings.Contains(res.Error.Message, "/nonexistent") {
		t.Errorf("a missing file: %+v", res.Error)
	}
	otherCert, otherKey := pair(t, "renewed")
	for from, to := range map[string]string{otherCert: certFile, otherKey: keyFile} {
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, data, 0o600); err != nil {
			t.Fatal(err)
		}
		later := time.Now().Add(time.Minute)
		if err := os.Chtimes(to, later, later); err != nil {
			t.Fatal(err)
		}
	}
	if res := send(srv.URL, "cert"); string(res.Body) != "renewed" {
		t.Errorf("after the certificate was renewed: %s %+v", res.Body, res.Error)
	}
}

// TestMetadataIsNeverSigned checks that metadata stays out of reach for guests, granted or not.
func TestMetadataIsNeverSigned(t *testing.T) {
	s := newScene(t)
	store := credentials.NewStore(credentials.Options{})
	defer store.Close()
	store.Set(held)
	hosts := grants(t, "http://169.254.169.254", "http://[fd00:ec2::254]")
	g := hosts.WithCredentials("m", map[string]httpsend.CredentialGrant{"token": {Credential: store.Signer("token", credentials.Grant{}), Hosts: hosts}})
	for _, url := range []string{"http://169.254.169.254/latest/", "http://[fd00:ec2::254]/latest/"} {
		if res := s.client.Send(t.Context(), g, abi.HTTPRequest{URL: url, Sign: signs["token"]}); res.Error == nil || res.Error.Kind != "denied" {
			t.Errorf("%s: got %+v", url, res)
		}
	}
}
