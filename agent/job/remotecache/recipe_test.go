package remotecache_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/job/remotecache"
	"github.com/millwright-ci/millwright/agent/job/remotecache/storetest"
)

// recipe is the cache of docs/provisioning.md, as its configuration has it, once that is held against the commands that start its server.
func recipe(t *testing.T) *config.Cache {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "provisioning.md"))
	if err != nil {
		t.Fatal(err)
	}
	block := func(language string) string {
		_, text, found := strings.Cut(string(page), "```"+language+"\n")
		text, _, closed := strings.Cut(text, "```")
		if !found || !closed {
			t.Fatalf("the page has no block of %s", language)
		}
		return text
	}
	c, problems := config.Parse("config.toml", []byte(block("toml")))
	if len(problems) > 0 || len(c.Runners) != 1 {
		t.Fatalf("the page's configuration: %v", problems)
	}
	cache := &c.Runners[0].Cache
	server := regexp.MustCompile(`--name minio -p (\d+):9000 \\\s+-e MINIO_ROOT_USER=(\S+) -e MINIO_ROOT_PASSWORD=(\S+) -v (\S+):/data minio/minio server /data\s+mkdir -p (\S+)`).FindStringSubmatch(block("sh"))
	if server == nil {
		t.Fatal("the page starts no MinIO, or makes no bucket")
	}
	if cache.Type != "s3" || !cache.S3.Insecure || !strings.HasSuffix(cache.S3.ServerAddress, ":"+server[1]) || cache.S3.AccessKey != server[2] ||
		cache.S3.SecretKey.Reveal() != server[3] || server[4]+"/"+cache.S3.BucketName != server[5] {
		t.Errorf("the configuration is not for that server: %q and %+v", server[1:], cache.S3)
	}
	return cache
}

// TestRecipe follows the recipe for a cache server beside the machines, with a store in MinIO's place that has another bucket.
func TestRecipe(t *testing.T) {
	t.Parallel()
	cache := recipe(t)
	front := storetest.S3(t, "127.0.0.1:0", storetest.Keys{
		cache.S3.AccessKey: {AccessKeyID: cache.S3.AccessKey, SecretAccessKey: cache.S3.SecretKey.Reveal()},
	})
	cache.S3.ServerAddress, cache.S3.BucketName = front.Host, storetest.Bucket
	roundTrip(t, client(front), remotecache.New(remotecache.Options{}), cache, object("runner/abc/project/7/gems"))
}
