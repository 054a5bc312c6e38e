package job_test

import (
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/job"
	"github.com/millwright-ci/millwright/agent/job/jobtest"
	"github.com/millwright-ci/millwright/agent/job/remotecache"
	"github.com/millwright-ci/millwright/agent/job/remotecache/storetest"
)

const storeSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

// cached is a job with a cache that no volume keeps.
func cached(line string, change ...string) coordinator.Job {
	j := jobtest.With(jobtest.Script([]string{line}), append([]string{"GIT_STRATEGY", "clone"}, change...)...)
	j.Cache = []coordinator.Cache{{Key: "k", Paths: []string{"deps"}, FallbackKeys: []string{"other"}}}
	return j
}

// What one job caches reaches the next one by the store alone, over addresses that the agent signed: the helper container has no
// credentials, and the trace none of their signatures, though it shows every command.
func TestRemoteCache(t *testing.T) {
	b := jobtest.New(t)
	front := storetest.S3(t, net.JoinHostPort(b.Gateway, "0"), storetest.Keys{"AKIDEXAMPLE": aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: storeSecret}})
	remote := func(_ *job.Params, r *config.Runner) {
		r.Docker.DisableCache = true
		r.Cache = config.Cache{Type: "s3", Path: "ci"}
		r.Cache.S3 = config.CacheS3{ServerAddress: front.Host, AccessKey: "AKIDEXAMPLE", SecretKey: storeSecret, BucketName: storetest.Bucket, BucketLocation: "eu-central-1", Insecure: true, ServerSideEncryption: "S3"}
	}
	sound := func(e jobtest.Ended) {
		t.Helper()
		for _, secret := range []string{storeSecret, "X-Amz-Signature=", "AKIDEXAMPLE"} {
			if strings.Contains(e.Raw, secret) {
				t.Errorf("the trace holds %q:\n%s", secret, e.Trace)
			}
		}
	}
	first := b.Run(t, t.Context(), cached("mkdir deps; echo kept >deps/f; env; cat /proc/*/environ | tr '\\0' '\\n'", "CI_DEBUG_TRACE", "true"), remote)
	// What the script says and what the helper says come as two streams, each in its own order.
	jobtest.CheckTrace(t, first, []string{"Checking cache for k...", "Failed to extract cache", "Checking cache for other...", "Creating cache k...", "Created cache", "Job succeeded"}, nil)
	jobtest.CheckTrace(t, first, []string{"file does not exist", "Uploading cache.zip to " + front.URL + "/caches/ci/runner/" + config.ShortToken(b.Runner.Token) + "/project/3/k\n"}, nil)
	sound(first)
	second := b.Run(t, t.Context(), cached("cat deps/f"), remote)
	jobtest.CheckTrace(t, second, []string{"Successfully extracted cache", "\nkept\n", "Created cache", "Job succeeded"}, []string{"Checking cache for other", "Uploading cache"})
	jobtest.CheckTrace(t, second, []string{"Downloading cache.zip from ", "Archive is up to date!"}, nil)
	sound(second)
	hashed := b.Run(t, t.Context(), cached("cat deps/f", "FF_HASH_CACHE_KEYS", "true"), remote)
	jobtest.CheckTrace(t, hashed, []string{"Successfully extracted cache", "\nkept\n", "Job succeeded"}, nil)
	jobtest.CheckTrace(t, hashed, []string{"file does not exist", "Downloading cache.zip from ",
		"Uploading cache.zip to " + front.URL + "/caches/ci/runner/" + config.ShortToken(b.Runner.Token) + "/project/3/82/8254c329a92850f6d539dd376f4816ee2764517da5e0235514af433164480d7a\n"}, nil)
	front.Down(true)
	down := b.Run(t, t.Context(), cached("mkdir deps; echo kept >deps/f"), remote)
	jobtest.CheckTrace(t, down, []string{"Failed to extract cache", "Creating cache k...", "Failed to create cache", "Job succeeded"}, nil)
	jobtest.CheckTrace(t, down, []string{"503 Service Unavailable", "503 Service Unavailable"}, nil)
	sound(down)

	puts := 0
	for _, r := range front.Requests() {
		if r.Method == http.MethodPut && r.Status == http.StatusOK {
			puts++
			if r.Header.Get("X-Amz-Meta-Cachekey") != "k" || r.Header.Get("X-Amz-Server-Side-Encryption") != "AES256" || r.Header.Get("Content-Type") != "application/octet-stream" {
				t.Errorf("an upload with %v", r.Header)
			}
		}
	}
	if puts != 2 {
		t.Errorf("%d uploads, want 2", puts)
	}
}

// A cache that is larger than one request may be goes in parts; what was made ready for one that needs none is taken back. No part's address shows.
func TestRemoteCacheInParts(t *testing.T) {
	b := jobtest.New(t)
	front := storetest.S3(t, net.JoinHostPort(b.Gateway, "0"), storetest.Keys{"AKIDEXAMPLE": aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: storeSecret}})
	remote := func(_ *job.Params, r *config.Runner) {
		r.Docker.DisableCache = true
		r.Cache = config.Cache{Type: "s3", MaxUploadedArchiveSize: 6 << 30} // in parts of 6.2 MiB, by a small PartSize
		r.Cache.S3 = config.CacheS3{ServerAddress: front.Host, AccessKey: "AKIDEXAMPLE", SecretKey: storeSecret, BucketName: storetest.Bucket, BucketLocation: "eu-central-1", Insecure: true}
	}
	small := func(p *job.Params, r *config.Runner) {
		p.Caches = remotecache.New(remotecache.Options{PartSize: 1 << 20})
		remote(p, r)
	}
	count := func(method string, status int) (n int) {
		for _, r := range front.Requests() {
			if r.Method == method && r.Status == status {
				n++
			}
		}
		return n
	}
	first := b.Run(t, t.Context(), cached("mkdir deps; dd if=/dev/urandom of=deps/f bs=1000000 count=14", "CI_DEBUG_TRACE", "true"), small)
	jobtest.CheckTrace(t, first, []string{"Creating cache k...", "Created cache", "Job succeeded"}, nil)
	if strings.Contains(first.Raw, "X-Amz-Signature=") || strings.Contains(first.Raw, "uploadId") {
		t.Errorf("the trace holds a part's address:\n%s", first.Trace)
	}
	// Begun and completed, in three parts, and nothing to take back any more.
	if begun, parts, back := count(http.MethodPost, 200), count(http.MethodPut, 200), count(http.MethodDelete, 404); begun != 2 || parts != 3 || back != 1 {
		t.Errorf("%d posts, %d parts, %d taken back: %+v", begun, parts, back, front.Requests())
	}
	second := b.Run(t, t.Context(), cached("test 14000000 = $(wc -c <deps/f)"), remote)
	jobtest.CheckTrace(t, second, []string{"Successfully extracted cache", "Created cache", "Job succeeded"}, nil)
	if begun, back := count(http.MethodPost, 200), count(http.MethodDelete, 204); begun != 3 || back != 1 {
		t.Errorf("an archive that is up to date: %d posts, %d taken back", begun, back)
	}
}

// Credentials that can't be had cost the remote cache, not the job. The user learns that, the operator why.
func TestRemoteCacheWithoutCredentials(t *testing.T) {
	b := jobtest.New(t)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	e := b.Run(t, t.Context(), cached("mkdir deps; echo kept >deps/f"), func(_ *job.Params, r *config.Runner) {
		r.Cache = config.Cache{Type: "s3", S3: config.CacheS3{BucketName: "caches", BucketLocation: "eu-central-1"}}
	})
	jobtest.CheckTrace(t, e, []string{"WARNING: The cache server can't be used", "Failed to extract cache", "WARNING: The cache server can't be used", "Created cache", "Job succeeded"}, nil)
	jobtest.CheckTrace(t, e, []string{"No URL provided, cache will not be uploaded"}, nil)
}
