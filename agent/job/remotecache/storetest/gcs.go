package storetest

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Accounts are the service accounts that a front accepts: the public keys, by e-mail address.
type Accounts map[string]*rsa.PublicKey

// GCS starts a store at address (host:0) that accepts accounts. host is the name that its clients know it by.
func GCS(t testing.TB, address, host string, accounts Accounts) *Front {
	t.Helper()
	return start(t, address, backend(t, "./gcs", host), func(r *http.Request) error { return checkGCS(r, accounts, time.Now()) })
}

// checkGCS checks the signature with the account's public key.
// Source: Cloud Storage documentation, "Signatures" and "Canonical requests".
func checkGCS(r *http.Request, accounts Accounts, now time.Time) error {
	q := r.URL.Query()
	signature, err := hex.DecodeString(q.Get("X-Goog-Signature"))
	if err != nil || len(signature) == 0 {
		return errUnsigned
	}
	email, scope, _ := strings.Cut(q.Get("X-Goog-Credential"), "/")
	key := accounts[email]
	if key == nil || q.Get("X-Goog-Algorithm") != "GOOG4-RSA-SHA256" {
		return fmt.Errorf("the account %s is not known", email)
	}
	at, err := time.Parse("20060102T150405Z", q.Get("X-Goog-Date"))
	if err != nil || scope != at.Format("20060102")+"/auto/storage/goog4_request" {
		return fmt.Errorf("the scope %q is not that of the time", scope)
	}
	valid, err := strconv.Atoi(q.Get("X-Goog-Expires"))
	if err != nil || valid < 1 || valid > 7*24*3600 || now.Before(at.Add(-time.Minute)) || now.After(at.Add(time.Duration(valid)*time.Second)) {
		return errExpired
	}
	headers, err := signedHeaders(r, q.Get("X-Goog-SignedHeaders"))
	if err != nil {
		return err
	}
	raw := r.URL.RawQuery[:strings.Index(r.URL.RawQuery, "&X-Goog-Signature=")]
	canonical := strings.Join([]string{r.Method, r.URL.EscapedPath(), raw, headers, q.Get("X-Goog-SignedHeaders"), "UNSIGNED-PAYLOAD"}, "\n")
	if sorted := sortedQuery(raw); sorted != raw {
		return fmt.Errorf("the query is not in order: %s", raw)
	}
	sum := sha256.Sum256([]byte(canonical))
	text := sha256.Sum256([]byte(strings.Join([]string{"GOOG4-RSA-SHA256", q.Get("X-Goog-Date"), scope, hex.EncodeToString(sum[:])}, "\n")))
	if rsa.VerifyPKCS1v15(key, crypto.SHA256, text[:], signature) != nil {
		return errSignature
	}
	return checkLength(r)
}

// signedHeaders are the headers in canonical lines. Those that matter to the store must be among them.
func signedHeaders(r *http.Request, names string) (string, error) {
	signed, lines := strings.Split(names, ";"), ""
	if !slices.IsSorted(signed) || !slices.Contains(signed, "host") {
		return "", fmt.Errorf("the signed headers are %q", names)
	}
	for _, name := range signed {
		value := strings.Join(r.Header.Values(name), ",")
		if name == "host" {
			value = r.Host
		}
		lines += name + ":" + strings.TrimSpace(value) + "\n"
	}
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Goog-") && !slices.Contains(signed, strings.ToLower(name)) {
			return "", fmt.Errorf("the header %s is not signed", name)
		}
	}
	return lines, nil
}

func sortedQuery(raw string) string {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return ""
	}
	return values.Encode()
}

// checkLength holds an upload to the length that its link allows.
func checkLength(r *http.Request) error {
	_, most, ok := strings.Cut(r.Header.Get("X-Goog-Content-Length-Range"), ",")
	if !ok {
		return nil
	}
	if n, err := strconv.ParseInt(most, 10, 64); err != nil || r.ContentLength < 0 || r.ContentLength > n {
		return fmt.Errorf("%d bytes are more than %s", r.ContentLength, most)
	}
	return nil
}
