package job_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/coordinator/embedded"
	"github.com/millwright-ci/millwright/agent/executor/docker/dockertest"
	"github.com/millwright-ci/millwright/agent/job"
	"github.com/millwright-ci/millwright/agent/job/jobtest"
)

// remove removes the containers of one of a bench's jobs, as somebody does who tidies up the engine.
func remove(ctx context.Context, t *testing.T, b *jobtest.Bench, role string) {
	api := dockertest.Engine(t)
	list, err := api.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(
		filters.Arg("label", "com.gitlab.gitlab-runner.runner.id="+config.ShortToken(b.Runner.Token)), filters.Arg("label", "com.gitlab.gitlab-runner.type="+role))})
	for _, c := range list {
		err = errors.Join(err, api.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true}))
	}
	if err != nil || len(list) != 1 {
		t.Errorf("%d %s containers: %v", len(list), role, err)
	}
}

// Each variable that counts attempts has its stage run again, at once or after a wait, and says so; without one the job fails.
// GET_SOURCES_ATTEMPTS is example 54 of agent/job/conformance.
func TestAttempts(t *testing.T) {
	site := jobtest.NewSite(t)
	t.Run("RESTORE_CACHE_ATTEMPTS", func(t *testing.T) {
		t.Parallel()
		b := site.Bench(t)
		var asked atomic.Int32
		store := b.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet && asked.Add(1) == 1 { // the helper's container vanishes while it waits for the cache
				remove(context.WithoutCancel(r.Context()), t, b, "predefined")
			}
			w.WriteHeader(http.StatusNotFound)
		}))
		e := b.Run(t, t.Context(), cached("echo ran", "RESTORE_CACHE_ATTEMPTS", "3", "FF_USE_EXPONENTIAL_BACKOFF_STAGE_RETRY", "false"), func(_ *job.Params, r *config.Runner) {
			r.Cache = config.Cache{Type: "s3", S3: config.CacheS3{ServerAddress: strings.TrimPrefix(store, "http://"), AccessKey: "AKIDEXAMPLE", SecretKey: storeSecret,
				BucketName: "caches", BucketLocation: "eu-central-1", Insecure: true}}
		})
		jobtest.CheckTrace(t, e, []string{"Restoring cache", "WARNING: Retry 1 of 2: ", "Restoring cache", "Failed to extract cache", "\nran\n", "Job succeeded"}, []string{"trying again in"})
		jobtest.CheckEnd(t, e, "", 0)
	})
	download := func(attempts string) (*jobtest.Bench, jobtest.Ended) {
		b := site.Bench(t)
		maker := b.Run(t, t.Context(), jobtest.Archived(jobtest.Script([]string{"mkdir out; echo made >out/f"}), coordinator.Artifact{Paths: []string{"out"}}), nil)
		if len(maker.Coordinator.Artifacts) != 1 {
			t.Fatal(maker.Trace)
		}
		j := jobtest.With(jobtest.Script([]string{"cat out/f"}), "GIT_STRATEGY", "clone", "ARTIFACT_DOWNLOAD_ATTEMPTS", attempts)
		d := coordinator.Dependency{ID: maker.Coordinator.ID, Name: "maker"}
		d.ArtifactsFile = &struct {
			Filename string `json:"filename"`
			Size     int64  `json:"size"`
		}{maker.Coordinator.Artifacts[0].Filename, maker.Coordinator.Artifacts[0].Size}
		j.Dependencies = []coordinator.Dependency{d}
		b.Server.Fail(embedded.EndpointDownload, http.StatusNotFound, 1)
		return b, b.Run(t, t.Context(), j, nil)
	}
	t.Run("ARTIFACT_DOWNLOAD_ATTEMPTS", func(t *testing.T) {
		t.Parallel()
		_, e := download("2")
		jobtest.CheckTrace(t, e, []string{"Downloading artifacts for maker", "WARNING: Retry 1 of 1: exit code 1; trying again in 5s", "Downloading artifacts for maker", "\nmade\n", "Job succeeded"}, nil)
		jobtest.CheckEnd(t, e, "", 0)
	})
	t.Run("a number out of range", func(t *testing.T) {
		t.Parallel()
		_, e := download("0")
		jobtest.CheckTrace(t, e, []string{`WARNING: ARTIFACT_DOWNLOAD_ATTEMPTS: "0" must be a number from 1 to 10; using 1`, "Downloading artifacts for maker", "ERROR: Job failed: exit code 1"}, []string{"Retry", "made\n"})
		jobtest.CheckEnd(t, e, coordinator.ScriptFailure, 1)
	})
	for _, tt := range []struct {
		attempts  string
		want, not []string
		reason    coordinator.FailureReason
	}{
		{"2", []string{"step_script", "\nbegun\n", "Retrying step_script", "\nagain\n", "Job succeeded"}, nil, ""},
		{"1", []string{"step_script", "\nbegun\n", "ERROR: Job failed (system failure): ", "it was removed from outside"}, []string{"Retrying", "again\n"}, coordinator.RunnerSystemFailure},
	} {
		t.Run("EXECUTOR_JOB_SECTION_ATTEMPTS="+tt.attempts, func(t *testing.T) {
			t.Parallel()
			b := site.Bench(t)
			url := b.Signal(t, func() { remove(context.WithoutCancel(t.Context()), t, b, "build") })
			// A container that has just been made lacks what the one before wrote to its own disk.
			line := "if [ -e begun ]; then echo again; else touch begun; echo begun; wget -q -O /dev/null " + url + "; sleep 600; fi"
			e := b.Run(t, t.Context(), jobtest.With(jobtest.Script([]string{line}), "EXECUTOR_JOB_SECTION_ATTEMPTS", tt.attempts), nil)
			jobtest.CheckTrace(t, e, tt.want, tt.not)
			jobtest.CheckEnd(t, e, tt.reason, 0)
		})
	}
}
