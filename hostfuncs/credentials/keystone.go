package credentials

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxTokenAnswer bounds a keystone's answer, which holds the catalogue of all services, in bytes.
const maxTokenAnswer = 4 << 20

// keystone is the fetch of a keystone credential: a token of OpenStack's identity service.
// Source: OpenStack Identity API v3, "Password authentication" and "Authenticating with an Application Credential".
func (h *host) keystone(c Config) fetch {
	return func(ctx context.Context, _ []string, _ string) (material, error) {
		secret, err := c.secret()
		if err != nil {
			return material{}, err
		}
		body, err := json.Marshal(keystoneRequest(c, secret))
		if err != nil {
			return material{}, err
		}
		endpoint, err := keystoneURL(c.AuthURL)
		if err != nil {
			return material{}, err
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, bytes.NewReader(body))
		if err != nil {
			return material{}, errors.New("auth_url is no URL")
		}
		r.Header.Set("Content-Type", "application/json")
		client, err := h.trusting(c.CAFile)
		if err != nil {
			return material{}, err
		}
		if client != h.client {
			defer client.CloseIdleConnections()
		}
		res, err := client.Do(r)
		if err != nil {
			return material{}, err
		}
		defer res.Body.Close()
		m, err := readToken(res)
		m.hidden = []string{secret}
		return m, err
	}
}

// keystoneURL is where tokens are had, for an auth_url with or without its version.
func keystoneURL(authURL string) (string, error) {
	u, err := url.Parse(authURL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return "", errors.New("auth_url is no URL; write it as https://cloud.example.com:5000/v3")
	}
	base := strings.TrimRight(authURL, "/")
	if !strings.HasSuffix(base, "/v3") {
		base += "/v3"
	}
	return base + "/auth/tokens", nil
}

func keystoneRequest(c Config, secret string) any {
	type object = map[string]any
	if c.ApplicationCredentialID != "" {
		return object{"auth": object{"identity": object{
			"methods":                []string{"application_credential"},
			"application_credential": object{"id": c.ApplicationCredentialID, "secret": secret},
		}}}
	}
	auth := object{"identity": object{
		"methods": []string{"password"},
		"password": object{"user": object{
			"name": c.Username, "password": secret, "domain": object{"name": cmp.Or(c.UserDomain, "Default")},
		}},
	}}
	switch {
	case c.ProjectID != "":
		auth["scope"] = object{"project": object{"id": c.ProjectID}}
	case c.Project != "":
		auth["scope"] = object{"project": object{"name": c.Project, "domain": object{"name": cmp.Or(c.ProjectDomain, "Default")}}}
	}
	return object{"auth": auth}
}

func readToken(res *http.Response) (material, error) {
	data, err := io.ReadAll(io.LimitReader(res.Body, maxTokenAnswer))
	if err != nil {
		return material{}, err
	}
	token := res.Header.Get("X-Subject-Token")
	if res.StatusCode != http.StatusCreated || token == "" {
		return material{}, fmt.Errorf("the identity service answered %s and no token", res.Status)
	}
	var answer struct {
		Token struct {
			ExpiresAt time.Time `json:"expires_at"`
		} `json:"token"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return material{}, errors.New("the identity service's answer does not say until when its token holds")
	}
	return material{token: token, expires: answer.Token.ExpiresAt}, nil
}

// trusting is the store's client, or one that takes the certificates of the authorities in a file.
func (h *host) trusting(caFile string) (*http.Client, error) {
	t, ok := h.client.Transport.(*http.Transport)
	if caFile == "" || !ok {
		return h.client, nil
	}
	roots, err := readRoots(caFile)
	if err != nil {
		return nil, err
	}
	t = t.Clone()
	t.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	client := *h.client
	client.Transport = t
	return &client, nil
}

// readRoots reads a file of certificates in PEM.
func readRoots(path string) (*x509.CertPool, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("%s: holds no certificate in PEM", path)
	}
	return roots, nil
}
