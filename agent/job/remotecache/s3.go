package remotecache

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/millwright-ci/millwright/agent/config"
)

// s3 signs links by Signature Version 4 in the query.
// Source: Amazon S3 API Reference, "Authenticating Requests: Using Query Parameters".
type s3 struct {
	config config.CacheS3
	keys   *s3Keys
	now    func() time.Time

	mu     sync.Mutex // guards region, and is held while it is asked for
	region string
}

func newS3(s *Store, c config.CacheS3) (*s3, error) {
	if c.BucketName == "" {
		return nil, fmt.Errorf("BucketName is empty; name the bucket in [runners.cache.s3]")
	}
	return &s3{config: c, keys: newS3Keys(c, s.roles), now: s.now, region: c.BucketLocation}, nil
}

// unsigned stands for a body that the signature does not cover: it is not known yet.
const unsigned = "UNSIGNED-PAYLOAD"

func (s *s3) sign(ctx context.Context, verb Verb, o Object) (Link, error) {
	return s.presign(ctx, string(verb), o, nil)
}

// presign signs one request for an object. One that brings the object, or begins to, says what it is and how it is encrypted.
func (s *s3) presign(ctx context.Context, method string, o Object, query url.Values) (Link, error) {
	var about map[string]string
	if method == http.MethodPut || query.Has("uploads") {
		about = encryption(s.config)
		about["Content-Type"], about["X-Amz-Meta-Cachekey"] = "application/octet-stream", metadata(o.Key)
	}
	sign, err := s.signing(ctx, method)
	if err != nil {
		return Link{}, err
	}
	return sign(ctx, o, query, about)
}

// signing returns what signs requests of a method, all with the same keys and of the same time.
func (s *s3) signing(ctx context.Context, method string) (func(ctx context.Context, o Object, query url.Values, about map[string]string) (Link, error), error) {
	region := s.locate(ctx)
	verb := Put // which UploadRoleARN is for
	if method == http.MethodGet || method == http.MethodHead {
		verb = Verb(method)
	}
	keys, err := s.keys.get(ctx, verb)
	if err != nil {
		return nil, err
	}
	signer, now := v4.NewSigner(), s.now()
	return func(ctx context.Context, o Object, query url.Values, about map[string]string) (Link, error) {
		address := s.address(region, o.Name)
		all := url.Values{"X-Amz-Expires": {strconv.Itoa(int(o.valid() / time.Second))}}
		maps.Copy(all, query)
		address.RawQuery = all.Encode()
		req := &http.Request{Method: method, URL: address, Host: address.Host, Header: http.Header{}}
		for name, value := range about {
			req.Header.Set(name, value)
		}
		signed, headers, err := signer.PresignHTTP(ctx, keys, req, unsigned, "s3", region, now, func(o *v4.SignerOptions) {
			o.DisableURIPathEscaping = true // address is escaped once, as S3 wants it
		})
		if err != nil {
			return Link{}, fmt.Errorf("the link can't be signed")
		}
		l := Link{URL: config.Secret(signed)}
		for name, values := range headers {
			if !strings.EqualFold(name, "Host") {
				l.Header = append(l.Header, name+": "+strings.Join(values, ","))
			}
		}
		slices.Sort(l.Header)
		return l, nil
	}, nil
}

// The names of ServerSideEncryption, ours and the API's.
var encryptions = map[string]string{
	"s3": "AES256", "aes256": "AES256", "kms": "aws:kms", "aws:kms": "aws:kms", "dsse-kms": "aws:kms:dsse", "aws:kms:dsse": "aws:kms:dsse",
}

// encryption is what an upload has to say of how the store encrypts it.
func encryption(c config.CacheS3) map[string]string {
	method := encryptions[strings.ToLower(c.ServerSideEncryption)]
	h := map[string]string{}
	if method == "" {
		return h // the configuration's check has told
	}
	h["X-Amz-Server-Side-Encryption"] = method
	if c.ServerSideEncryptionKeyID != "" && method != "AES256" {
		h["X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id"] = c.ServerSideEncryptionKeyID
	}
	return h
}

// defaultRegion counts where neither configuration nor bucket names one.
const defaultRegion = "us-east-1"

// locate is the bucket's region: the configured one, else what the bucket says of itself, which needs no permission.
func (s *s3) locate(ctx context.Context) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.region != "" {
		return s.region
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, s.address(defaultRegion, "").String(), nil)
	if err != nil {
		return defaultRegion
	}
	resp, err := plainClient.Do(req)
	if err != nil {
		return defaultRegion // asked again for the next link
	}
	resp.Body.Close()
	if s.region = resp.Header.Get("X-Amz-Bucket-Region"); s.region == "" {
		s.region = defaultRegion
	}
	return s.region
}

// plainClient asks for what everybody may know, and follows no redirect: the answer to the first request is what is wanted.
var plainClient = &http.Client{
	Timeout:       signTime,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// address is where an object lies; "" is the bucket itself.
func (s *s3) address(region, object string) *url.URL {
	u := &url.URL{Scheme: "https", Host: s.host(region)}
	if s.config.Insecure {
		u.Scheme = "http"
	}
	u.Host = strings.TrimSuffix(u.Host, map[string]string{"https": ":443", "http": ":80"}[u.Scheme])
	name := "/" + object
	if s.pathStyle(u) {
		name = "/" + s.config.BucketName + strings.TrimSuffix(name, "/")
	} else {
		u.Host = s.config.BucketName + "." + u.Host
	}
	u.Path, u.RawPath = name, escape(name)
	return u
}

// host is the server, without the bucket.
func (s *s3) host(region string) string {
	if server := s.config.ServerAddress; server != "" {
		if _, rest, ok := strings.Cut(server, "://"); ok {
			server = rest // the configuration's check has told
		}
		return strings.TrimSuffix(server, "/")
	}
	dual := ""
	if s.config.DualStack == nil || *s.config.DualStack {
		dual = ".dualstack"
	}
	if s.config.Accelerate {
		return "s3-accelerate" + dual + ".amazonaws.com"
	}
	domain := "amazonaws.com"
	if strings.HasPrefix(region, "cn-") {
		domain += ".cn"
	}
	return "s3" + dual + "." + region + "." + domain
}

// pathStyle tells whether the bucket is part of the path instead of the hostname. Without PathStyle it is, except on servers that are known
// to have a hostname for each bucket, if the bucket's name can be one below their certificate.
func (s *s3) pathStyle(u *url.URL) bool {
	if s.config.PathStyle != nil {
		return *s.config.PathStyle
	}
	if u.Scheme == "https" && strings.Contains(s.config.BucketName, ".") {
		return true
	}
	host := u.Hostname()
	for _, domain := range []string{"amazonaws.com", "amazonaws.com.cn", "storage.googleapis.com", "aliyuncs.com"} {
		if host == domain || strings.HasSuffix(host, "."+domain) {
			return false
		}
	}
	return true
}

// static are the keys of the configuration, where they count.
func static(c config.CacheS3) (aws.Credentials, bool) {
	kind := strings.ToLower(c.AuthenticationType)
	given := c.AccessKey != "" && c.SecretKey != ""
	if kind == "" && given && c.ServerAddress != "" {
		kind = "access-key"
	}
	if kind != "access-key" || !given {
		return aws.Credentials{}, false
	}
	return aws.Credentials{AccessKeyID: c.AccessKey, SecretAccessKey: c.SecretKey.Reveal(), SessionToken: c.SessionToken.Reveal()}, true
}
