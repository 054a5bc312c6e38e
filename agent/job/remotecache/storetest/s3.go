package storetest

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Keys are those of S3 that a front accepts: secret keys, by access key, with the session token that belongs to them.
type Keys map[string]aws.Credentials

// S3 starts a store at address (host:0) that accepts keys.
func S3(t testing.TB, address string, keys Keys) *Front {
	t.Helper()
	return start(t, address, backend(t, "./s3"), func(r *http.Request) error { return checkS3(r, keys, time.Now()) })
}

// checkS3 signs the request once more, as whoever has the keys would, and compares.
// Source: Amazon S3 API Reference, "Authenticating Requests: Using Query Parameters".
func checkS3(r *http.Request, accepted Keys, now time.Time) error {
	q := r.URL.Query()
	if r.Method == http.MethodHead && strings.Count(r.URL.Path, "/") < 3 && len(q) == 0 {
		return nil // everybody may ask where a bucket is
	}
	given := q.Get("X-Amz-Signature")
	if given == "" {
		return errUnsigned
	}
	scope := strings.Split(q.Get("X-Amz-Credential"), "/")
	keys, ok := accepted[scope[0]]
	if !ok || len(scope) != 5 || q.Get("X-Amz-Security-Token") != keys.SessionToken {
		return fmt.Errorf("the key %s is not known", scope[0])
	}
	at, err := time.Parse("20060102T150405Z", q.Get("X-Amz-Date"))
	if err != nil {
		return err
	}
	valid, err := strconv.Atoi(q.Get("X-Amz-Expires"))
	if err != nil || valid < 1 || valid > 7*24*3600 || now.Before(at.Add(-time.Minute)) || now.After(at.Add(time.Duration(valid)*time.Second)) {
		return errExpired
	}
	signed := strings.Split(q.Get("X-Amz-SignedHeaders"), ";")
	again := &http.Request{Method: r.Method, Host: r.Host, Header: http.Header{}}
	for _, name := range signed {
		if values := r.Header.Values(name); len(values) > 0 {
			again.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Amz-") && again.Header.Get(name) == "" {
			return fmt.Errorf("the header %s is not signed", name)
		}
	}
	for _, name := range []string{"X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Algorithm", "X-Amz-Security-Token"} {
		q.Del(name)
	}
	again.URL = &url.URL{Scheme: "http", Host: r.Host, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: q.Encode()}
	address, _, err := v4.NewSigner().PresignHTTP(context.Background(), keys, again, "UNSIGNED-PAYLOAD", "s3", scope[2], at, func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	if err != nil {
		return err
	}
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	if u.Query().Get("X-Amz-Signature") != given || u.Query().Get("X-Amz-SignedHeaders") != strings.Join(signed, ";") {
		return errSignature
	}
	return nil
}
