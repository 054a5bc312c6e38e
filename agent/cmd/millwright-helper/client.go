package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// coordinatorFlags say where the coordinator is and who asks.
type coordinatorFlags struct {
	url, token, id        string
	caFile, certFile, key string
	headerTimeout         time.Duration
}

func (f *coordinatorFlags) add(fs *flag.FlagSet) {
	fs.StringVar(&f.url, "url", os.Getenv("CI_SERVER_URL"), "the coordinator's address")
	fs.StringVar(&f.token, "token", "", "the job's token")
	fs.StringVar(&f.id, "id", "", "the job's id")
	fs.StringVar(&f.caFile, "tls-ca-file", os.Getenv("CI_SERVER_TLS_CA_FILE"), "certificates to trust beside the system's")
	fs.StringVar(&f.certFile, "tls-cert-file", os.Getenv("CI_SERVER_TLS_CERT_FILE"), "certificate to show")
	fs.StringVar(&f.key, "tls-key-file", os.Getenv("CI_SERVER_TLS_KEY_FILE"), "its key")
	fs.DurationVar(&f.headerTimeout, "response-header-timeout", 10*time.Minute, "wait so long for an answer at most")
}

func (f *coordinatorFlags) check(fs *flag.FlagSet) (*url.URL, error) {
	if err := required(fs, "url", f.url, "token", f.token, "id", f.id); err != nil {
		return nil, err
	}
	if _, err := strconv.ParseUint(f.id, 10, 63); err != nil {
		return nil, usageError{fmt.Errorf("%s: --id %q is no number", fs.Name(), f.id)}
	}
	u, err := url.Parse(f.url)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, usageError{fmt.Errorf("%s: --url %q is no address; it begins with http:// or https://", fs.Name(), f.url)}
	}
	u.Path = strings.TrimSuffix(strings.TrimSuffix(u.Path, "/"), "/ci")
	u.RawQuery, u.Fragment = "", ""
	return u, nil
}

// artifactsURL is where the artifacts of the job are, with query parameters that are not empty.
func (f *coordinatorFlags) artifactsURL(base *url.URL, query map[string]string) string {
	u := base.JoinPath("api/v4/jobs", f.id, "artifacts")
	q := url.Values{}
	for name, value := range query {
		if value != "" {
			q.Set(name, value)
		}
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// transport trusts what the flags say, and times out when an answer does not begin.
func (f *coordinatorFlags) transport() (*http.Transport, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = f.headerTimeout
	t.ExpectContinueTimeout = time.Second
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if f.caFile != "" {
		pem, err := os.ReadFile(f.caFile)
		if err != nil {
			return nil, fmt.Errorf("certificates to trust: %w", err)
		}
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("certificates to trust: %s holds none in PEM format", f.caFile)
		}
		t.TLSClientConfig.RootCAs = pool
	}
	if f.certFile != "" && f.key != "" {
		pair, err := tls.LoadX509KeyPair(f.certFile, f.key)
		if err != nil {
			return nil, fmt.Errorf("certificate to show: %w", err)
		}
		t.TLSClientConfig.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

// statusError is an answer that is no success.
type statusError struct {
	code  int
	text  string        // 403 Forbidden
	after time.Duration // what Retry-After asks for
}

func (e *statusError) Error() string { return e.text }

// newStatusError reads what the answer says of itself. The body's beginning often names the reason.
func newStatusError(resp *http.Response) *statusError {
	e := &statusError{code: resp.StatusCode, text: resp.Status}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
		e.after = min(time.Duration(s)*time.Second, time.Minute)
	}
	if b, err := io.ReadAll(io.LimitReader(resp.Body, 300)); err == nil && strings.HasPrefix(strings.TrimSpace(string(b)), "{") {
		e.text += " " + strings.Join(strings.Fields(string(b)), " ")
	}
	return e
}

// isStatus tells whether err is an answer with one of these codes.
func isStatus(err error, codes ...int) bool {
	var e *statusError
	if !errors.As(err, &e) {
		return false
	}
	for _, c := range codes {
		if e.code == c {
			return true
		}
	}
	return false
}

// pause waits before the next try: what the answer asked for, else wait. It is the cause of ctx when that ends first.
func pause(ctx context.Context, err error, wait time.Duration) error {
	var e *statusError
	if errors.As(err, &e) && e.after > 0 {
		wait = e.after
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// discard reads a small rest of a body, so that the connection can be used again.
func discard(resp *http.Response) {
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	resp.Body.Close()
}
