package remotecache_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"go.uber.org/goleak"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/job/remotecache"
	"github.com/millwright-ci/millwright/agent/job/remotecache/storetest"
)

func TestMain(m *testing.M) {
	// What lies on the machine that runs the tests must not be used.
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "GOOGLE_APPLICATION_CREDENTIALS"} {
		os.Unsetenv(name)
	}
	os.Setenv("AWS_CONFIG_FILE", os.DevNull)
	os.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	os.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	goleak.VerifyTestMain(m)
}

const (
	accessKey = "AKIDEXAMPLE"
	secretKey = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

// s3 is the configuration for a store with keys of its own.
func s3(host string) *config.Cache {
	c := &config.Cache{Type: "s3"}
	c.S3 = config.CacheS3{ServerAddress: host, AccessKey: accessKey, SecretKey: secretKey, BucketName: storetest.Bucket, BucketLocation: "eu-central-1", Insecure: true}
	return c
}

// client reaches the store by whatever name.
func client(front *storetest.Front) *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, front.Host)
	}}}
}

// use sends the request that a link is for, as the helper does.
func use(t *testing.T, c *http.Client, verb string, l remotecache.Link, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), verb, l.URL.Reveal(), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range l.Header {
		name, value, _ := strings.Cut(h, ":")
		req.Header.Add(name, strings.TrimSpace(value))
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(content)
}

// roundTrip looks for an object, uploads it, and reads it again.
func roundTrip(t *testing.T, c *http.Client, s *remotecache.Store, cache *config.Cache, o remotecache.Object) {
	t.Helper()
	want := "archive of " + o.Name
	for _, step := range []struct {
		verb    remotecache.Verb
		status  int
		content string
	}{{remotecache.Head, 404, ""}, {remotecache.Get, 404, "?"}, {remotecache.Put, 200, "?"}, {remotecache.Head, 200, ""}, {remotecache.Get, 200, want}} {
		l, err := s.Link(t.Context(), cache, step.verb, o)
		if err != nil {
			t.Fatal(err)
		}
		if text := fmt.Sprintf("%v %+v %#v", l, l, l); strings.Contains(text, "ignature") || strings.Contains(text, "sig=") {
			t.Errorf("a link shows itself: %s", text)
		}
		body := ""
		if step.verb == remotecache.Put {
			body = want
		}
		code, content := use(t, c, string(step.verb), l, body)
		if code/100 != step.status/100 || step.status/100 != 2 && code != step.status || step.content != "?" && content != step.content {
			t.Fatalf("%s: status %d, want %d: %s", step.verb, code, step.status, content)
		}
	}
}

func object(name string) remotecache.Object {
	return remotecache.Object{Name: name, Key: "k of " + name, Valid: time.Hour}
}

func TestS3(t *testing.T) {
	front := storetest.S3(t, "127.0.0.1:0", storetest.Keys{
		accessKey: {AccessKeyID: accessKey, SecretAccessKey: secretKey},
		"ASIA":    {AccessKeyID: "ASIA", SecretAccessKey: secretKey, SessionToken: "session/+="},
	})
	store := remotecache.New(remotecache.Options{})
	for name, change := range map[string]func(*config.CacheS3){
		"keys":            func(*config.CacheS3) {},
		"session":         func(c *config.CacheS3) { c.AccessKey, c.SessionToken = "ASIA", "session/+=" },
		"region unknown":  func(c *config.CacheS3) { c.BucketLocation = "" },
		"path style":      func(c *config.CacheS3) { c.PathStyle = aws.Bool(true) },
		"S3's encryption": func(c *config.CacheS3) { c.ServerSideEncryption = "S3" },
		"KMS":             func(c *config.CacheS3) { c.ServerSideEncryption, c.ServerSideEncryptionKeyID = "KMS", "alias/caches" },
		"DSSE-KMS": func(c *config.CacheS3) {
			c.ServerSideEncryption, c.ServerSideEncryptionKeyID = "aws:kms:dsse", "arn:aws:kms:eu-central-1:1:key/2"
		},
		"an encryption nobody has": func(c *config.CacheS3) { c.ServerSideEncryption = "ROT13" },
		"authentication in capitals": func(c *config.CacheS3) {
			c.AuthenticationType = "Access-Key"
		},
	} {
		t.Run(name, func(t *testing.T) {
			cache := s3(front.Host)
			change(&cache.S3)
			roundTrip(t, client(front), store, cache, object("project/7/a b+c=ü/"+name))
		})
	}
	want := map[string]string{
		"S3's encryption": "AES256 ", "KMS": "aws:kms alias/caches", "DSSE-KMS": "aws:kms:dsse arn:aws:kms:eu-central-1:1:key/2", "an encryption nobody has": " ", "keys": " ",
	}
	for _, r := range front.Requests() {
		name := r.Path[strings.LastIndex(r.Path, "/")+1:]
		got := r.Header.Get("X-Amz-Server-Side-Encryption") + " " + r.Header.Get("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id")
		if w, ok := want[name]; ok && r.Method == http.MethodPut && got != w {
			t.Errorf("%s: encryption %q, want %q", name, got, w)
		}
		if r.Method == http.MethodPut && !strings.Contains(r.Header.Get("X-Amz-Meta-Cachekey"), "k_of_project/7/a_b+c=3D=C3=BC") {
			t.Errorf("%s: metadata %q", name, r.Header.Get("X-Amz-Meta-Cachekey"))
		}
	}
}

// A link is good for its object, its verb, its headers and its time, and nothing else.
func TestS3Refusals(t *testing.T) {
	front := storetest.S3(t, "127.0.0.1:0", storetest.Keys{accessKey: {AccessKeyID: accessKey, SecretAccessKey: secretKey}})
	cache := s3(front.Host)
	cache.S3.ServerSideEncryption = "S3"
	link := func(verb remotecache.Verb, now time.Time) remotecache.Link {
		t.Helper()
		l, err := remotecache.New(remotecache.Options{Now: func() time.Time { return now }}).Link(t.Context(), cache, verb, object("project/7/k"))
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	put := link(remotecache.Put, time.Now())
	other := put
	other.URL = config.Secret(strings.Replace(put.URL.Reveal(), "project/7/k", "project/8/k", 1))
	plain := put
	plain.Header = nil
	longer := link(remotecache.Get, time.Now().Add(-2*time.Hour))
	longer.URL = config.Secret(strings.Replace(longer.URL.Reveal(), "X-Amz-Expires=3600", "X-Amz-Expires=36000", 1))
	for name, c := range map[string]struct {
		verb string
		link remotecache.Link
	}{
		"another verb":         {http.MethodPut, link(remotecache.Get, time.Now())},
		"removal":              {http.MethodDelete, put},
		"another object":       {http.MethodPut, other},
		"without encryption":   {http.MethodPut, plain},
		"too late":             {http.MethodGet, link(remotecache.Get, time.Now().Add(-2*time.Hour))},
		"a time of its own":    {http.MethodGet, longer},
		"of the future":        {http.MethodGet, link(remotecache.Get, time.Now().Add(time.Hour))},
		"no signature at all":  {http.MethodGet, remotecache.Link{URL: config.Secret(front.URL + "/" + storetest.Bucket + "/project/7/k")}},
		"signature of another": {http.MethodGet, remotecache.Link{URL: config.Secret(strings.Replace(link(remotecache.Get, time.Now()).URL.Reveal(), accessKey, "AKIDOTHER", 1))}},
	} {
		if code, said := use(t, client(front), c.verb, c.link, "x"); code != http.StatusForbidden {
			t.Errorf("%s: status %d: %s", name, code, said)
		}
	}
	if code, said := use(t, client(front), http.MethodPut, put, "x"); code != http.StatusOK {
		t.Errorf("the link itself: status %d: %s", code, said)
	}
}

func TestS3Addresses(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		change     func(*config.CacheS3)
	}{
		{"AWS", "https://caches.s3.dualstack.eu-central-1.amazonaws.com/k", func(c *config.CacheS3) {}},
		{"no dual stack", "https://caches.s3.eu-central-1.amazonaws.com/k", func(c *config.CacheS3) { c.DualStack = aws.Bool(false) }},
		{"accelerated", "https://caches.s3-accelerate.dualstack.amazonaws.com/k", func(c *config.CacheS3) { c.Accelerate = true }},
		{"accelerated, one stack", "https://caches.s3-accelerate.amazonaws.com/k", func(c *config.CacheS3) { c.Accelerate, c.DualStack = true, aws.Bool(false) }},
		{"China", "https://caches.s3.dualstack.cn-north-1.amazonaws.com.cn/k", func(c *config.CacheS3) { c.BucketLocation = "cn-north-1" }},
		{"dots in the bucket", "https://s3.dualstack.eu-central-1.amazonaws.com/my.caches/k", func(c *config.CacheS3) { c.BucketName = "my.caches" }},
		{"path style", "https://s3.dualstack.eu-central-1.amazonaws.com/caches/k", func(c *config.CacheS3) { c.PathStyle = aws.Bool(true) }},
		{"AWS by its name", "https://caches.s3.amazonaws.com/k", func(c *config.CacheS3) { c.ServerAddress = "s3.amazonaws.com" }},
		{"another server", "https://minio.example.com:9000/caches/k", func(c *config.CacheS3) { c.ServerAddress = "minio.example.com:9000" }},
		{"its bucket as a hostname", "https://caches.minio.example.com/k", func(c *config.CacheS3) { c.ServerAddress, c.PathStyle = "minio.example.com", aws.Bool(false) }},
		{"Google's", "https://caches.storage.googleapis.com/k", func(c *config.CacheS3) { c.ServerAddress = "storage.googleapis.com" }},
		{"the usual port", "https://minio.example.com/caches/k", func(c *config.CacheS3) { c.ServerAddress = "minio.example.com:443" }},
		{"the usual port in the clear", "http://minio.example.com/caches/k", func(c *config.CacheS3) { c.ServerAddress, c.Insecure = "minio.example.com:80", true }},
		{"with a scheme, which is not asked for", "https://minio.example.com/caches/k", func(c *config.CacheS3) { c.ServerAddress = "http://minio.example.com/" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cache := &config.Cache{Type: "s3", S3: config.CacheS3{BucketName: "caches", BucketLocation: "eu-central-1", AccessKey: accessKey, SecretKey: secretKey, AuthenticationType: "access-key"}}
			tt.change(&cache.S3)
			l, err := remotecache.New(remotecache.Options{}).Link(t.Context(), cache, remotecache.Get, object("k"))
			if err != nil {
				t.Fatal(err)
			}
			if got, _, _ := strings.Cut(l.URL.Reveal(), "?"); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// cloud is where keys come from in AWS: its STS, and an instance's metadata.
func cloud(t *testing.T, asked *[]url.Values) string {
	t.Helper()
	const keys = `<Credentials><AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>` + secretKey + `</SecretAccessKey><SessionToken>session/+=</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>`
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/latest/api/token":
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "600")
			io.WriteString(w, "token")
		case "/latest/meta-data/iam/security-credentials/":
			io.WriteString(w, "a-role")
		case "/latest/meta-data/iam/security-credentials/a-role":
			io.WriteString(w, `{"Code":"Success","AccessKeyId":"ASIA","SecretAccessKey":"`+secretKey+`","Token":"session/+=","Expiration":"2099-01-01T00:00:00Z"}`)
		case "/":
			_ = r.ParseForm()
			*asked = append(*asked, r.PostForm)
			action := r.PostForm.Get("Action")
			if strings.Contains(r.PostForm.Get("RoleArn"), "forbidden") {
				w.WriteHeader(http.StatusForbidden)
				io.WriteString(w, `<ErrorResponse><Error><Code>AccessDenied</Code><Message>not authorized</Message></Error></ErrorResponse>`)
				return
			}
			fmt.Fprintf(w, "<%[1]sResponse><%[1]sResult>%[2]s</%[1]sResult></%[1]sResponse>", action, keys)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	return s.URL
}

func TestS3Credentials(t *testing.T) {
	front := storetest.S3(t, "127.0.0.1:0", storetest.Keys{
		accessKey: {AccessKeyID: accessKey, SecretAccessKey: secretKey},
		"ASIA":    {AccessKeyID: "ASIA", SecretAccessKey: secretKey, SessionToken: "session/+="},
	})
	var asked []url.Values
	address := cloud(t, &asked)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("an identity"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		env    map[string]string
		change func(*config.CacheS3)
		asks   string // of the STS, once
		fails  string
	}{
		{name: "environment", env: map[string]string{"AWS_ACCESS_KEY_ID": accessKey, "AWS_SECRET_ACCESS_KEY": secretKey}},
		{name: "iam wins over keys", env: map[string]string{"AWS_ACCESS_KEY_ID": "ASIA", "AWS_SECRET_ACCESS_KEY": secretKey, "AWS_SESSION_TOKEN": "session/+="},
			change: func(c *config.CacheS3) { c.AccessKey, c.SecretKey, c.AuthenticationType = "wrong", "wrong", "iam" }},
		{name: "instance role", env: map[string]string{"AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT": address}},
		{name: "web identity", env: map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": token, "AWS_ROLE_ARN": "arn:aws:iam::1:role/a"}, asks: "AssumeRoleWithWebIdentity"},
		{name: "role of keys", asks: "AssumeRole", change: func(c *config.CacheS3) {
			c.AccessKey, c.SecretKey, c.RoleARN = accessKey, secretKey, "arn:aws:iam::1:role/a"
		}},
		{name: "role of the instance", asks: "AssumeRole", env: map[string]string{"AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT": address},
			change: func(c *config.CacheS3) { c.RoleARN = "arn:aws:iam::1:role/a" }},
		{name: "role for uploads", asks: "AssumeRole", change: func(c *config.CacheS3) {
			c.AccessKey, c.SecretKey, c.UploadRoleARN = accessKey, secretKey, "arn:aws:iam::1:role/a"
		}},
		{name: "role that is refused", fails: "AccessDenied", change: func(c *config.CacheS3) {
			c.AccessKey, c.SecretKey, c.RoleARN = accessKey, secretKey, "arn:aws:iam::1:role/forbidden"
		}},
		{name: "none at all", fails: "credentials"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked = nil
			t.Setenv("AWS_ENDPOINT_URL_STS", address)
			for k, v := range tt.env {
				t.Setenv(k, v)
			}
			cache := s3(front.Host)
			cache.S3.AccessKey, cache.S3.SecretKey = "", ""
			if tt.change != nil {
				tt.change(&cache.S3)
			}
			var roles told
			store := remotecache.New(remotecache.Options{Roles: &roles})
			if tt.fails != "" {
				_, err := store.Link(t.Context(), cache, remotecache.Put, object("k"))
				if err == nil || !strings.Contains(err.Error(), tt.fails) || strings.Contains(err.Error(), secretKey) {
					t.Errorf("got %v, want %s in it", err, tt.fails)
				}
				if refused := tt.fails == "AccessDenied"; refused && roles.failed == 0 || roles.hits+roles.misses+roles.kept > 0 {
					t.Errorf("told %+v", &roles)
				}
				return
			}
			roundTrip(t, client(front), store, cache, object("project/7/"+tt.name))
			switch {
			case tt.asks == "" && len(asked) > 0:
				t.Errorf("the STS was asked: %v", asked)
			case tt.asks != "" && (len(asked) != 1 || asked[0].Get("Action") != tt.asks):
				t.Errorf("the STS was asked %v, want %s once", asked, tt.asks)
			}
			if tt.asks != "AssumeRole" { // the library's own chain asks for the others
				return
			}
			if roles.waits != 1 || roles.asked != 1 || roles.failed != 0 || roles.asking != 0 || roles.misses != 1 || roles.hits == 0 && tt.name != "role for uploads" || roles.kept != 1 {
				t.Errorf("told %+v", &roles)
			}
		})
	}
}

// told counts what a store tells of roles.
type told struct {
	waits, asking, asked, failed, hits, misses, kept int
}

func (r *told) Waited(time.Duration) { r.waits++ }
func (r *told) Asking(n int)         { r.asking += n }
func (r *told) Kept(n int)           { r.kept += n }

func (r *told) Asked(_ time.Duration, err error) {
	if r.asked++; err != nil {
		r.failed++
	}
}

func (r *told) Cached(hit bool) {
	if hit {
		r.hits++
	} else {
		r.misses++
	}
}

func TestWrongConfigurations(t *testing.T) {
	for name, tt := range map[string]struct {
		cache config.Cache
		want  string
	}{
		"unknown type": {config.Cache{Type: "floppy"}, "use s3, gcs or azure"},
		"no bucket":    {config.Cache{Type: "s3"}, "BucketName is empty"},
	} {
		if _, err := remotecache.New(remotecache.Options{}).Link(t.Context(), &tt.cache, remotecache.Get, object("k")); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %s", name, err, tt.want)
		}
	}
}
