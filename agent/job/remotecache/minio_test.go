//go:build minio

package remotecache_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/job/remotecache"
	"github.com/millwright-ci/millwright/agent/job/remotecache/storetest"
)

// minioVariable names a minio program; `go tool task e2e:cache` builds one and sets it.
const minioVariable = "MILLWRIGHT_MINIO"

// minio starts a MinIO server with an empty bucket and returns its address, host:port.
func minio(t *testing.T) string {
	t.Helper()
	program := os.Getenv(minioVariable)
	if program == "" {
		t.Fatal(minioVariable + " names no minio; `go tool task e2e:cache` builds one")
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	cmd := exec.Command(program, "server", t.TempDir(), "--quiet", "--address", address, "--console-address", "127.0.0.1:0")
	cmd.Env = append(os.Environ(), "MINIO_ROOT_USER="+accessKey, "MINIO_ROOT_PASSWORD="+secretKey, "MINIO_BROWSER=off", "MINIO_CALLHOME_ENABLE=off", "MINIO_UPDATE=off")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // how it ends is of no interest
	})
	empty := sha256.Sum256(nil)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) { // the next try
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+address+"/"+storetest.Bucket, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(empty[:]))
		err = v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secretKey}, req, hex.EncodeToString(empty[:]), "s3", "us-east-1", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		resp, err := bareClient.Do(req)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return address
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("MinIO makes no bucket: %v %v", resp, err)
		}
	}
}

var bareClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// MinIO takes the links that S3 takes, and refuses those that are another's or changed.
func TestMinIO(t *testing.T) {
	address := minio(t)
	store := remotecache.New(remotecache.Options{})
	for name, change := range map[string]func(*config.CacheS3){
		"keys":           func(*config.CacheS3) {},
		"region unknown": func(c *config.CacheS3) { c.BucketLocation = "" },
		"path style":     func(c *config.CacheS3) { c.PathStyle = aws.Bool(true) },
	} {
		t.Run(name, func(t *testing.T) {
			cache := s3(address)
			cache.S3.BucketLocation = "us-east-1"
			change(&cache.S3)
			roundTrip(t, bareClient, store, cache, object("project/7/a b+c=ü/"+name))
		})
	}
	t.Run("another's key", func(t *testing.T) {
		cache := s3(address)
		cache.S3.BucketLocation, cache.S3.SecretKey = "us-east-1", "another"
		l, err := store.Link(t.Context(), cache, remotecache.Put, object("project/7/k"))
		if err != nil {
			t.Fatal(err)
		}
		if code, text := use(t, bareClient, http.MethodPut, l, "x"); code != http.StatusForbidden {
			t.Errorf("status %d: %s", code, text)
		}
	})
	t.Run("another verb", func(t *testing.T) {
		cache := s3(address)
		cache.S3.BucketLocation = "us-east-1"
		l, err := store.Link(t.Context(), cache, remotecache.Get, object("project/7/k"))
		if err != nil {
			t.Fatal(err)
		}
		if code, text := use(t, bareClient, http.MethodPut, l, "x"); code != http.StatusForbidden {
			t.Errorf("status %d: %s", code, text)
		}
	})
}
