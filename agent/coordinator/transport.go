package coordinator

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
)

// The settings of connections, as GitLab Runner has them.
const (
	defaultConnectionMaxAge = 15 * time.Minute
	dialTimeout             = 30 * time.Second
	keepAlive               = 30 * time.Second
	handshakeTimeout        = 10 * time.Second
	continueTimeout         = time.Second
	headerTimeout           = 10 * time.Minute // long polls and big uploads survive it
	requestTimeout          = time.Hour
	idleTimeout             = 90 * time.Second
	maxIdle                 = 100
	// pingAfter is the silence after which an HTTP/2 connection is probed: a long poll on a dead one would hang for minutes.
	pingAfter = 30 * time.Second
)

// TLSFiles are PEM files for the connection. Where one is empty, Dir is looked into for <host>.crt, <host>.auth.crt or <host>.auth.key.
type TLSFiles struct {
	CA   string // tls-ca-file, added to the system's authorities
	Cert string // tls-cert-file
	Key  string // tls-key-file
	Dir  string // the certs folder beside config.toml; "" means none
}

// resolve puts the fall-back files in.
func (f TLSFiles) resolve(host string) TLSFiles {
	fallback := func(path, name string) string {
		if path != "" || f.Dir == "" {
			return path
		}
		path = filepath.Join(f.Dir, name)
		if info, err := os.Stat(path); err != nil || info.IsDir() {
			return ""
		}
		return path
	}
	f.CA = fallback(f.CA, host+".crt")
	f.Cert = fallback(f.Cert, host+".auth.crt")
	f.Key = fallback(f.Key, host+".auth.key")
	return f
}

// version changes when a file does.
func (f TLSFiles) version() string {
	v := ""
	for _, path := range []string{f.CA, f.Cert, f.Key} {
		if info, err := os.Stat(path); err == nil {
			v += fmt.Sprint(path, info.ModTime().UnixNano(), info.Size())
		}
		v += "|"
	}
	return v
}

// tlsContent is what the files held when the connection was made.
type tlsContent struct {
	ca, cert string
	key      config.Secret
}

// read reads the files. A certificate without its key, or a key without its certificate, is left out.
func (f TLSFiles) read() (tlsContent, error) {
	var c tlsContent
	var key string
	both := f.Cert != "" && f.Key != ""
	for _, file := range []struct {
		option, path string
		into         *string
		want         bool
	}{
		{"tls-ca-file", f.CA, &c.ca, f.CA != ""}, {"tls-cert-file", f.Cert, &c.cert, both}, {"tls-key-file", f.Key, &key, both},
	} {
		if !file.want {
			continue
		}
		data, err := os.ReadFile(file.path)
		if err != nil {
			return tlsContent{}, fmt.Errorf("%w: %s: %w", ErrClient, file.option, err)
		}
		*file.into = string(data)
	}
	c.key = config.Secret(key)
	return c, nil
}

// config makes the TLS settings of connections.
func (c tlsContent) config() (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.ca != "" {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM([]byte(c.ca)) {
			return nil, fmt.Errorf("%w: tls-ca-file holds no certificate; it needs PEM", ErrClient)
		}
		conf.RootCAs = pool
	}
	if c.cert != "" {
		pair, err := tls.X509KeyPair([]byte(c.cert), []byte(c.key.Reveal()))
		if err != nil {
			return nil, fmt.Errorf("%w: tls-cert-file and tls-key-file: %w", ErrClient, err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return conf, nil
}

// transport is the pool of connections. It is made anew when a TLS file changes, so that certificates can be renewed in place; while
// the new files are no good the old pool serves on.
type transport struct {
	https  bool
	host   string
	files  TLSFiles
	maxAge time.Duration // less than 0 is without end
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
	log    *slog.Logger

	mu      sync.Mutex // guards all below
	client  *http.Client
	pool    *http.Transport
	content tlsContent
	version string    // of the files when they were last read
	fresh   time.Time // when idle connections were last closed
}

// get returns the client for the next request.
func (t *transport) get() (*http.Client, tlsContent, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	files, version := TLSFiles{}, ""
	if t.https {
		files = t.files.resolve(t.host)
		version = files.version()
	}
	if t.client == nil || version != t.version {
		err := t.make(files)
		switch {
		case err == nil:
			t.version, t.fresh = version, time.Now()
		case t.client == nil:
			return nil, tlsContent{}, err
		default:
			t.version = version
			t.log.Warn("changed TLS files are no good; keeping the connections as they are", "error", err)
		}
	}
	if t.maxAge > 0 && time.Since(t.fresh) > t.maxAge {
		t.pool.CloseIdleConnections()
		t.fresh = time.Now()
	}
	return t.client, t.content, nil
}

func (t *transport) make(files TLSFiles) error {
	content, err := files.read()
	if err != nil {
		return err
	}
	conf, err := content.config()
	if err != nil {
		return err
	}
	if (files.Cert == "") != (files.Key == "") {
		t.log.Warn("a client certificate needs both tls-cert-file and tls-key-file; going on without", "cert", files.Cert, "key", files.Key)
	}
	dial := t.dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}).DialContext
	}
	if t.pool != nil {
		t.pool.CloseIdleConnections()
	}
	t.pool = &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dial,
		TLSClientConfig:       conf,
		TLSHandshakeTimeout:   handshakeTimeout,
		ExpectContinueTimeout: continueTimeout,
		ResponseHeaderTimeout: headerTimeout,
		IdleConnTimeout:       idleTimeout,
		MaxIdleConns:          maxIdle,
		MaxIdleConnsPerHost:   maxIdle,
		ForceAttemptHTTP2:     true,
		HTTP2:                 &http.HTTP2Config{SendPingTimeout: pingAfter},
	}
	t.client = &http.Client{Transport: t.pool, Timeout: requestTimeout, CheckRedirect: sameHost}
	t.content = content
	return nil
}

func (t *transport) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pool != nil {
		t.pool.CloseIdleConnections()
	}
}

// sameHost follows only redirects that keep the method, and so the body, and the host: a token never goes to another one. All others
// end in an error that names where they point to.
func sameHost(req *http.Request, via []*http.Request) error {
	first := via[0]
	safe := req.URL.Scheme == first.URL.Scheme || req.URL.Scheme == "https"
	if len(via) > 5 || req.Method != first.Method || req.URL.Hostname() != first.URL.Hostname() || !safe {
		return http.ErrUseLastResponse
	}
	return nil
}
