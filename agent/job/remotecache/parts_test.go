package remotecache_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/internal/need"
	"github.com/millwright-ci/millwright/agent/job/remotecache"
	"github.com/millwright-ci/millwright/agent/job/remotecache/storetest"
)

// cutting hands requests on, and breaks the connection in the middle of the first one that brings a part named so.
type cutting struct {
	to   http.Handler
	part string // in the query

	mu    sync.Mutex // guards parts
	parts []string   // that were begun, in their order
	cut   bool
}

func (c *cutting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if part := q.Get("partNumber") + q.Get("blockid"); r.Method == http.MethodPut && part != "" {
		c.mu.Lock()
		c.parts = append(c.parts, part)
		cut := part == c.part && !c.cut
		c.cut = c.cut || cut
		c.mu.Unlock()
		if cut {
			_, _ = io.CopyN(io.Discard, r.Body, r.ContentLength/2)
			panic(http.ErrAbortHandler)
		}
	}
	c.to.ServeHTTP(w, r)
}

// begun returns the parts that were begun.
func (c *cutting) begun() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.parts, " ")
}

// saved has the helper, as a job's script does, cache a file of random bytes, and returns the archive and what was said.
func saved(t *testing.T, l remotecache.Link, parts string) (archive []byte, said string, err error) {
	t.Helper()
	need.Command(t, "go")
	helper := filepath.Join(t.TempDir(), "helper")
	if out, err := exec.Command("go", "build", "-o", helper, "../../cmd/millwright-helper").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	project, file := t.TempDir(), filepath.Join(t.TempDir(), "cache.zip")
	content := make([]byte, 5<<19) // 2.5 MiB
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(content)
	if err := os.WriteFile(filepath.Join(project, "f"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"cache-archiver", "--file", file, "--path", "f", "--url", l.URL.Reveal()}
	for _, h := range l.Header {
		args = append(args, "--header", h)
	}
	cmd := exec.Command(helper, args...)
	cmd.Dir, cmd.Env = project, append(os.Environ(), "CACHE_UPLOAD_PARTS="+parts)
	out, err := cmd.CombinedOutput()
	archive, _ = os.ReadFile(file)
	return archive, string(out), err
}

// An archive of several parts survives a connection that breaks: what was there already is not sent again. With a role, whose keys stay with the
// agent, and without one where the limit for archives says that they may be larger than one request.
func TestS3Parts(t *testing.T) {
	front := storetest.S3(t, "127.0.0.1:0", storetest.Keys{
		accessKey: {AccessKeyID: accessKey, SecretAccessKey: secretKey},
		"ASIA":    {AccessKeyID: "ASIA", SecretAccessKey: secretKey, SessionToken: "session/+="},
	})
	t.Setenv("AWS_ENDPOINT_URL_STS", cloud(t, &[]url.Values{}))
	cut := &cutting{to: httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: front.Host}), part: "2"}
	proxy := httptest.NewServer(cut)
	t.Cleanup(proxy.Close)
	cache := s3(strings.TrimPrefix(proxy.URL, "http://"))
	cache.S3.RoleARN, cache.S3.ServerSideEncryption = "arn:aws:iam::1:role/a", "S3"
	store := remotecache.New(remotecache.Options{PartSize: 1 << 20})
	o := object("project/7/a b+c=ü/k")
	parts, err := store.Parts(t.Context(), cache, o)
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprintf("%v %+v %s", parts.URL, parts.Complete, parts.Text()); strings.Contains(text, "uploadId") {
		t.Errorf("an upload shows itself: %s", text)
	}
	l, err := store.Link(t.Context(), cache, remotecache.Put, o)
	if err != nil {
		t.Fatal(err)
	}
	archive, said, err := saved(t, l, parts.Text().Reveal())
	if err != nil || strings.Count(said, "retrying") != 1 || strings.Contains(said, "Signature") || strings.Contains(said, "uploadId") {
		t.Fatalf("%v: %s", err, said)
	}
	if got := cut.begun(); got != "1 2 2 3" {
		t.Errorf("parts were sent as %s, want 1 2 2 3", got)
	}
	get, err := store.Link(t.Context(), cache, remotecache.Get, o)
	if err != nil {
		t.Fatal(err)
	}
	if code, body := use(t, client(front), http.MethodGet, get, ""); code != http.StatusOK || !bytes.Equal([]byte(body), archive) {
		t.Errorf("the store has status %d and %d bytes, want the archive's %d", code, len(body), len(archive))
	}
	for _, r := range front.Requests() {
		if begins := r.Method == http.MethodPost && r.Header.Get("X-Amz-Meta-Cachekey") != ""; begins && r.Header.Get("X-Amz-Server-Side-Encryption") != "AES256" {
			t.Errorf("the upload was begun with %v", r.Header)
		}
	}
	if err := store.Abort(t.Context(), parts); err != nil {
		t.Errorf("the end of an upload that is complete: %v", err)
	}
}

// An upload that was made ready and not used is taken back: its parts have no place to go any more.
func TestS3PartsTakenBack(t *testing.T) {
	front := storetest.S3(t, "127.0.0.1:0", storetest.Keys{accessKey: aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secretKey}})
	cache, store := s3(front.Host), remotecache.New(remotecache.Options{})
	o := object("project/7/k")
	o.Limit = 6 << 30
	parts, err := store.Parts(t.Context(), cache, o)
	if err != nil || len(parts.Signatures) != 62 { // of 100 MiB each
		t.Fatalf("%d parts, %v", len(parts.Signatures), err)
	}
	first := remotecache.Link{URL: config.Secret(strings.NewReplacer("{part}", "1", "{signature}", parts.Signatures[0]).Replace(parts.URL.Reveal()))}
	if code, text := use(t, client(front), http.MethodPut, first, "x"); code != http.StatusOK {
		t.Fatalf("status %d: %s", code, text)
	}
	if err := store.Abort(t.Context(), parts); err != nil {
		t.Fatal(err)
	}
	if code, text := use(t, client(front), http.MethodPut, first, "x"); code != http.StatusNotFound {
		t.Errorf("after its end: status %d: %s", code, text)
	}
}

// What one request can't bring, and parts are not wanted for, is refused before anything is sent. Nothing is begun at the store for that.
func TestOneRequestAlone(t *testing.T) {
	front := storetest.S3(t, "127.0.0.1:0", storetest.Keys{accessKey: aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secretKey}})
	store := remotecache.New(remotecache.Options{})
	own, amazon := s3(front.Host), s3("")
	for name, tt := range map[string]struct {
		cache *config.Cache
		limit int64
	}{"another server": {own, 0}, "Amazon": {amazon, 5 << 30}, "Google": {&config.Cache{Type: "gcs", GCS: config.CacheGCS{BucketName: "b"}}, 0}} {
		parts, err := store.Parts(t.Context(), tt.cache, object("project/7/k"))
		if err != nil || parts.Kind != "" || parts.Limit != tt.limit {
			t.Errorf("%s: %+v, %v", name, parts, err)
		}
	}
	if n := len(front.Requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
	l, err := store.Link(t.Context(), own, remotecache.Put, object("project/7/k"))
	if err != nil {
		t.Fatal(err)
	}
	_, said, err := saved(t, l, remotecache.Parts{Limit: 1000}.Text().Reveal())
	if err == nil || !strings.Contains(said, "and the store takes 1000 in one request; for uploads in parts set RoleARN") || len(front.Requests()) != 0 {
		t.Errorf("%v: %s", err, said)
	}
}

// In Azure the blocks of a blob need no more than the link for a whole one.
func TestAzureParts(t *testing.T) {
	a := storetest.AzureBlobs(t)
	to := &url.URL{Scheme: "https", Host: a.Account + ".blob.core.windows.net"}
	cut := &cutting{part: "MDAwMDAy", to: &httputil.ReverseProxy{Transport: a.Client.Transport, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }}}
	proxy := httptest.NewServer(cut)
	t.Cleanup(proxy.Close)
	cache, store, o := azureCache(a, a.Key), remotecache.New(remotecache.Options{PartSize: 1 << 20}), object("project/7/a b/k")
	parts, err := store.Parts(t.Context(), cache, o)
	if err != nil {
		t.Fatal(err)
	}
	l, err := store.Link(t.Context(), cache, remotecache.Put, o)
	if err != nil {
		t.Fatal(err)
	}
	near := func(s config.Secret) string { return strings.ReplaceAll(s.Reveal(), to.String(), proxy.URL) }
	l.URL = config.Secret(near(l.URL))
	archive, said, err := saved(t, l, near(parts.Text()))
	if err != nil || strings.Count(said, "retrying") != 1 || strings.Contains(said, "sig=") {
		t.Fatalf("%v: %s", err, said)
	}
	if got := cut.begun(); got != "MDAwMDAx MDAwMDAy MDAwMDAy MDAwMDAz" {
		t.Errorf("parts were sent as %s", got)
	}
	get, err := store.Link(t.Context(), cache, remotecache.Get, o)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, get.URL.Reveal(), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := a.Client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || !bytes.Equal(body, archive) || resp.Header.Get("X-Ms-Meta-Cachekey") != "k of project/7/a b/k" || resp.Header.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("the store has %d bytes, want %d; %v, %v", len(body), len(archive), resp.Header, err)
	}
}
