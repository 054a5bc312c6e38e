package conformance

import (
	"net"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/job"
	"github.com/millwright-ci/millwright/agent/job/jobtest"
	"github.com/millwright-ci/millwright/agent/job/remotecache/storetest"
)

// cacheRows are about what a job finds of the jobs before it.
func cacheRows() []row {
	return []row{
		{n: 91, name: "key with dots", payload: cached("mkdir c; echo 1 >c/f", coordinator.Cache{Key: "a/../b", Paths: []string{"c"}}),
			want: []string{`WARNING: cache key "a/../b" sanitized to "b"`, "Checking cache for b...", "Creating cache b...", "Created cache", "Job succeeded"}},
		{n: 92, name: "key that is no name", payload: cached("echo ran", coordinator.Cache{Key: "..", Paths: []string{"c"}}),
			want: []string{"Skipping cache extraction due to ", "\nran\n", "Job succeeded"}},
		{n: 93, name: "fallback key", run: fallback},
		{n: 94, name: "pull only", payload: cached("mkdir c; echo 1 >c/f", coordinator.Cache{Key: "k", Paths: []string{"c"}, Policy: "pull"}),
			want: []string{"Checking cache for k...", "Not uploading cache k due to policy", "Job succeeded"}, not: []string{"Creating cache"}},
		{n: 95, name: "unknown policy", payload: with(cached("echo ran", coordinator.Cache{Key: "k", Paths: []string{"c"}, Policy: "$P"}), "P", "bogus"),
			want: []string{`ERROR: Job failed (system failure): unknown cache policy "bogus"`}, not: []string{"\nran\n"}, reason: coordinator.RunnerSystemFailure},
		{n: 96, name: "nothing new", run: unchanged},
		{n: 97, name: "object in S3", run: object},
	}
}

// cached is a job with caches, in a fresh checkout.
func cached(line string, caches ...coordinator.Cache) coordinator.Job {
	j := with(script([]string{line}), "GIT_STRATEGY", "clone")
	j.Cache = caches
	return j
}

// onVolume keeps caches on the engine for the next job.
func onVolume(_ *job.Params, r *config.Runner) { r.Docker.Volumes = []string{"/cache"} }

func fallback(t *testing.T, b *jobtest.Bench) {
	_ = b.Run(t, t.Context(), cached("mkdir c; echo kept >c/f", coordinator.Cache{Key: "other", Paths: []string{"c"}}), onVolume)
	e := b.Run(t, t.Context(), cached("cat c/f", coordinator.Cache{Key: "k", Paths: []string{"c"}, FallbackKeys: []string{"other"}}), onVolume)
	jobtest.CheckTrace(t, e, []string{"Checking cache for k...", "Failed to extract cache", "Checking cache for other...", "Successfully extracted cache", "\nkept\n", "Creating cache k...", "Job succeeded"}, nil)
}

func unchanged(t *testing.T, b *jobtest.Bench) {
	cache := coordinator.Cache{Key: "k", Paths: []string{"c"}}
	_ = b.Run(t, t.Context(), cached("mkdir c; echo kept >c/f", cache), onVolume)
	e := b.Run(t, t.Context(), cached("cat c/f", cache), onVolume)
	jobtest.CheckTrace(t, e, []string{"Successfully extracted cache", "\nkept\n", "Creating cache k...", "Created cache", "Job succeeded"}, nil)
	jobtest.CheckTrace(t, e, []string{"\nkept\n", "Archive is up to date!", "Job succeeded"}, nil) // on the other stream, so before or after the lines around it
}

// object has a job save a cache to S3 and looks at the object's name.
func object(t *testing.T, b *jobtest.Bench) {
	keys := aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret-of-the-store"}
	store := storetest.S3(t, net.JoinHostPort(b.Gateway, "0"), storetest.Keys{keys.AccessKeyID: keys})
	payload := cached("mkdir c; echo kept >c/f", coordinator.Cache{Key: "k", Paths: []string{"c"}})
	payload.Info.ProjectID = 7
	e := b.Run(t, t.Context(), payload, func(_ *job.Params, r *config.Runner) {
		r.Cache = config.Cache{Type: "s3", S3: config.CacheS3{
			ServerAddress: store.Host, AccessKey: keys.AccessKeyID, SecretKey: config.Secret(keys.SecretAccessKey), BucketName: storetest.Bucket, BucketLocation: "eu-central-1", Insecure: true,
		}}
	})
	jobtest.CheckTrace(t, e, []string{"Creating cache k...", "Created cache", "Job succeeded"}, []string{keys.SecretAccessKey})
	want := "/" + storetest.Bucket + "/runner/" + config.ShortToken(b.Runner.Token) + "/project/7/k"
	saved := false
	for _, r := range store.Requests() {
		saved = saved || r.Method == http.MethodPut && r.Status == http.StatusOK && r.Path == want
	}
	if !saved {
		t.Errorf("nothing was saved to %s: %+v", want, store.Requests())
	}
}
