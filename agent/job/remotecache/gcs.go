package remotecache

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
)

// gcs signs links by Google's V4 process, in the query.
// Source: Cloud Storage documentation, "V4 signing process with your own program".
type gcs struct {
	config config.CacheGCS
	keys   *gcsKeys
	now    func() time.Time
}

func newGCS(s *Store, c config.CacheGCS) (*gcs, error) {
	if c.BucketName == "" {
		return nil, fmt.Errorf("BucketName is empty; name the bucket in [runners.cache.gcs]")
	}
	return &gcs{config: c, keys: newGCSKeys(s, c), now: s.now}, nil
}

func universe(c config.CacheGCS) string { return cmp.Or(c.UniverseDomain, "googleapis.com") }

// What every link has in common.
const (
	gcsAlgorithm = "GOOG4-RSA-SHA256"
	gcsScope     = "/auto/storage/goog4_request"
	gcsTime      = "20060102T150405Z"
)

func (g *gcs) sign(ctx context.Context, verb Verb, o Object) (Link, error) {
	signer, err := g.keys.get(ctx)
	if err != nil {
		return Link{}, fmt.Errorf("credentials: %w", err)
	}
	host, path := "storage."+universe(g.config), escape("/"+g.config.BucketName+"/"+o.Name)
	headers := map[string]string{"host": host}
	if verb == Put {
		headers["content-type"] = "application/octet-stream"
		headers["x-goog-meta-cachekey"] = metadata(o.Key)
		if o.Limit > 0 {
			headers["x-goog-content-length-range"] = "0," + strconv.FormatInt(o.Limit, 10)
		}
	}
	names, canonical, l := canonicalHeaders(headers)
	at := g.now().UTC()
	scope := at.Format("20060102") + gcsScope
	query := url.Values{
		"X-Goog-Algorithm": {gcsAlgorithm}, "X-Goog-Credential": {signer.email + "/" + scope}, "X-Goog-Date": {at.Format(gcsTime)},
		"X-Goog-Expires": {strconv.Itoa(int(o.valid() / time.Second))}, "X-Goog-SignedHeaders": {names},
	}.Encode()
	sum := sha256.Sum256([]byte(strings.Join([]string{string(verb), path, query, canonical, names, unsigned}, "\n")))
	signature, err := signer.sign(ctx, []byte(strings.Join([]string{gcsAlgorithm, at.Format(gcsTime), scope, hex.EncodeToString(sum[:])}, "\n")))
	if err != nil {
		return Link{}, err
	}
	l.URL = config.Secret("https://" + host + path + "?" + query + "&X-Goog-Signature=" + hex.EncodeToString(signature))
	return l, nil
}

// canonicalHeaders are the headers as a signature takes them: their names, and all of them in lines. What the request has to send, all but
// the host, is in the link.
func canonicalHeaders(headers map[string]string) (names, lines string, l Link) {
	var list []string
	for name := range headers {
		list = append(list, name)
	}
	slices.Sort(list)
	for _, name := range list {
		lines += name + ":" + headers[name] + "\n"
		if name != "host" {
			l.Header = append(l.Header, name+": "+headers[name])
		}
	}
	return strings.Join(list, ";"), lines, l
}
