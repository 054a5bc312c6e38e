package coordinator

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// What an authority's server may take, and how many issuers a chain may lack.
const (
	issuerTime = 10 * time.Second // for all of a chain's
	maxIssuer  = 64 << 10         // bytes
	maxIssuers = 8
)

// fullChains extends each verified chain to a root that signed itself (FF_RESOLVE_FULL_TLS_CHAIN): where an intermediate certificate is what
// the host trusts, git and others in a job need its root. Missing issuers are fetched from where the certificates say, then the host's own
// are asked. The error says what could not be completed; the chains are as long as they could be made.
// Source: GitLab Runner documentation, "Feature flags".
func fullChains(ctx context.Context, chains [][]*x509.Certificate) (full [][]*x509.Certificate, err error) {
	ctx, cancel := context.WithTimeout(ctx, issuerTime)
	defer cancel()
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, MaxResponseHeaderBytes: maxIssuer}
	get := func(ctx context.Context, url string) (*x509.Certificate, error) {
		return fetchIssuer(ctx, &http.Client{Transport: transport}, url)
	}
	var errs []error
	for _, chain := range chains {
		if len(chain) == 0 {
			continue
		}
		extended, err := extend(ctx, get, slices.Clone(chain))
		full, errs = append(full, extended), append(errs, err)
	}
	return full, errors.Join(errs...)
}

// extend adds issuers to a chain until one is its own.
func extend(ctx context.Context, get func(context.Context, string) (*x509.Certificate, error), chain []*x509.Certificate) ([]*x509.Certificate, error) {
	var why []error
	for range maxIssuers {
		last := chain[len(chain)-1]
		if bytes.Equal(last.RawSubject, last.RawIssuer) && last.CheckSignatureFrom(last) == nil {
			return chain, nil
		}
		var issuer *x509.Certificate
		for _, url := range last.IssuingCertificateURL {
			found, err := get(ctx, url)
			if err == nil {
				err = last.CheckSignatureFrom(found)
			}
			if err == nil {
				issuer = found
				break
			}
			why = append(why, fmt.Errorf("%s: %w", url, err))
		}
		if issuer == nil {
			break
		}
		chain = append(chain, issuer)
	}
	last := chain[len(chain)-1]
	found, err := last.Verify(x509.VerifyOptions{KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return chain, fmt.Errorf("the issuer of %q is not to be had: %w", last.Subject, errors.Join(append(why, err)...))
	}
	return append(chain, found[0][1:]...), nil
}

// fetchIssuer reads a certificate, in DER or PEM, from an authority's server.
func fetchIssuer(ctx context.Context, client *http.Client, url string) (*x509.Certificate, error) {
	if !strings.HasPrefix(url, "http://") && !strings.HasPrefix(url, "https://") {
		return nil, errors.New("neither http nor https")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxIssuer))
	if err != nil || resp.StatusCode != http.StatusOK {
		return nil, errors.Join(errors.New(resp.Status), err)
	}
	if block, _ := pem.Decode(data); block != nil {
		data = block.Bytes
	}
	return x509.ParseCertificate(data)
}
