package job_test

import (
	"archive/zip"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/executor/docker/dockertest"
	"github.com/millwright-ci/millwright/agent/job"
	"github.com/millwright-ci/millwright/agent/job/jobtest"
)

// What variables, feature flags and the runner's settings switch on and off, each as its job shows it.
func TestSwitches(t *testing.T) {
	site := jobtest.NewSite(t)
	id := jobtest.Script([]string{"echo $ID_TOKEN | tr a-z A-Z; echo $ID_TOKEN"}) // as GitLab hands out what id_tokens names
	id.Variables = coordinator.Variables{{Key: "ID_TOKEN", Value: "eyjhbgci.eyjzdwii.c2lnbmf0dxjl", Masked: true}}
	slow := jobtest.Script([]string{"echo the script"}, "echo after")
	slow.Hooks = []coordinator.Hook{{Name: "pre_get_sources_script", Script: []string{"sleep 100"}}}
	debugged := jobtest.With(jobtest.Script([]string{"echo is \"$SECRET\""}), "CI_DEBUG_TRACE", "true")
	debugged.Variables = append(debugged.Variables, coordinator.Variable{Key: "SECRET", Value: "hunter2 hunter2", Masked: true})
	const timedOut = coordinator.JobExecutionTimeout
	// What quotes could spoil; the image has no bash.
	const (
		odd      = "printf '<%s>\\n' \"$ODD\" 'a \"b\" $c \\t'"
		oddValue = "it's \"so\" \\n `so` $$so\tö !"
		oddWant  = "\n<it's \"so\" \\n `so` $so\tö !>\n<a \"b\" $c \\t>\n"
	)
	for _, tt := range []struct {
		name      string
		payload   coordinator.Job
		runner    func(*config.Runner)
		want, not []string
		reason    coordinator.FailureReason
		code      int
	}{
		{name: "id token", payload: id, want: []string{"\nEYJHBGCI.EYJZDWII.C2LNBMF0DXJL\n[MASKED]\n", "Job succeeded"}, not: []string{"eyjhbgci"}},
		{name: "get_sources_timeout", payload: slow, runner: func(r *config.Runner) { r.GetSourcesTimeout = config.Duration(time.Second) },
			want: []string{"Getting source", "ERROR: Job failed: get sources timeout: exceeded timeout of 1s"}, not: []string{"the script", "after\n"}, reason: timedOut},
		{name: "prepare_timeout", payload: slow, runner: func(r *config.Runner) { r.PrepareTimeout = config.Duration(time.Millisecond) },
			want: []string{"ERROR: Job failed: prepare timeout: exceeded timeout of 1ms"}, not: []string{"Getting source"}, reason: timedOut},
		{name: "GIT_CLONE_PATH", payload: jobtest.With(jobtest.Script([]string{"pwd; ls"}), "GIT_CLONE_PATH", "$CI_BUILDS_DIR/go/src/x"), want: []string{"\n/builds/go/src/x\nREADME.md\n", "Job succeeded"}},
		{name: "GIT_CLONE_PATH outside", payload: jobtest.With(jobtest.Script([]string{"pwd"}), "GIT_CLONE_PATH", "/elsewhere"),
			want: []string{`the GIT_CLONE_PATH="/elsewhere" has to be within "/builds"`}, reason: coordinator.ConfigurationError},
		{name: "GIT_FETCH_EXTRA_FLAGS", payload: jobtest.With(jobtest.Script([]string{"true"}), "GIT_FETCH_EXTRA_FLAGS", "--prune --verbose", "GIT_STRATEGY", "clone"),
			want: []string{"Getting source", "* [new ", "Job succeeded"}},
		{name: "GIT_SUBMODULE_FORCE_HTTPS", payload: jobtest.With(jobtest.Script([]string{"cat $CI_PROJECT_DIR.tmp/.gitlab-runner.ext.conf"}), "GIT_SUBMODULE_FORCE_HTTPS", "true", "GIT_SUBMODULE_STRATEGY", "recursive",
			"CI_SERVER_SHELL_SSH_HOST", "ssh.example.test", "CI_SERVER_SHELL_SSH_PORT", "2222"),
			want: []string{"insteadOf = git@ssh.example.test:", "ssh://git@ssh.example.test:2222/", "Job succeeded"}, not: []string{"glcbt-"}},
		{name: "FF_ENABLE_JOB_CLEANUP", payload: jobtest.With(jobtest.Script([]string{"touch left; echo more >>README.md"}), "FF_ENABLE_JOB_CLEANUP", "true"),
			want: []string{"Cleaning up project directory and file based variables", "Removing left", "HEAD is now at ", "Job succeeded"}},
		{name: "FF_USE_INIT_WITH_DOCKER_EXECUTOR", payload: jobtest.With(jobtest.Script([]string{"cat /proc/1/comm"}), "FF_USE_INIT_WITH_DOCKER_EXECUTOR", "true"), want: []string{"\ndocker-init\n", "Job succeeded"}},
		{name: "without", payload: jobtest.Script([]string{"cat /proc/1/comm"}), want: []string{"Job succeeded"}, not: []string{"docker-init"}},
		{name: "FF_ENABLE_BASH_EXIT_CODE_CHECK", payload: jobtest.With(jobtest.Script([]string{"set +e", "false", "echo went on"}), "FF_ENABLE_BASH_EXIT_CODE_CHECK", "true"),
			not: []string{"\nwent on\n"}, reason: coordinator.ScriptFailure, code: 1},
		{name: "without a check", payload: jobtest.Script([]string{"set +e", "false", "echo went on"}), want: []string{"\nwent on\n", "Job succeeded"}},
		{name: "CI_DEBUG_TRACE", payload: debugged, want: []string{"\n+ export ", "\n+ git ", "\n+ echo is '[MASKED]'\n", "Job succeeded"}, not: []string{"hunter2"}},
		{name: "debug_trace_disabled", payload: debugged, runner: func(r *config.Runner) { r.DebugTraceDisabled = true },
			want: []string{"WARNING: CI_DEBUG_TRACE: usage is disabled on this runner", "\nis [MASKED]\n", "Job succeeded"}, not: []string{"\n+ ", "hunter2"}},
		{name: "FF_POSIXLY_CORRECT_ESCAPES", payload: jobtest.With(jobtest.Script([]string{odd}), "FF_POSIXLY_CORRECT_ESCAPES", "true", "ODD", oddValue), want: []string{"POSIXLY", oddWant, "Job succeeded"}},
		{name: "without FF_POSIXLY_CORRECT_ESCAPES", payload: jobtest.With(jobtest.Script([]string{odd}), "ODD", oddValue), want: []string{oddWant, "Job succeeded"}},
		{name: "a flag that is no yes or no", payload: jobtest.With(jobtest.Script([]string{"true"}), "FF_TIMESTAMPS", "perhaps"), want: []string{"WARNING: ", "FF_TIMESTAMPS", "Job succeeded"}},
		{name: "the runner's flag wins", payload: jobtest.With(jobtest.Script([]string{"echo is $FF_TIMESTAMPS"}), "FF_TIMESTAMPS", "true"),
			runner: func(r *config.Runner) { r.FeatureFlags = map[string]bool{"FF_TIMESTAMPS": false} }, want: []string{"feature flags: FF_TIMESTAMPS:false", "\nis false\n", "Job succeeded"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := site.Bench(t).Run(t, t.Context(), tt.payload, func(_ *job.Params, r *config.Runner) {
				if tt.runner != nil {
					tt.runner(r)
				}
			})
			jobtest.CheckTrace(t, e, tt.want, tt.not)
			jobtest.CheckEnd(t, e, tt.reason, tt.code)
		})
	}
	t.Run("clone_url", func(t *testing.T) {
		t.Parallel()
		b := site.Bench(t)
		var there atomic.Int32
		other := b.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			there.Add(1)
			b.Server.Handler().ServeHTTP(w, r)
		}))
		e := b.Run(t, t.Context(), jobtest.Script([]string{"cat README.md .git/config"}), func(_ *job.Params, r *config.Runner) { r.CloneURL = other })
		jobtest.CheckTrace(t, e, []string{"\na project\n", "\turl = " + other + "/group/project.git\n", "Job succeeded"}, []string{"glcbt-", "gitlab-ci-token"})
		if there.Load() == 0 || len(b.Calls("", "git-upload-pack")) > 0 {
			t.Errorf("%d requests of git came to clone_url, %d to the coordinator", there.Load(), len(b.Calls("", "git-upload-pack")))
		}
	})
	t.Run("CI_DEBUG_SERVICES", func(t *testing.T) {
		t.Parallel()
		b := site.Bench(t)
		begun := make(chan struct{})
		payload := jobtest.With(jobtest.Script([]string{"wget -q -O /dev/null " + b.Signal(t, func() { <-begun })}), "CI_DEBUG_SERVICES", "true")
		payload.Services = []coordinator.Image{{Name: b.Image, Alias: "db", Command: []string{"sh", "-c", "echo no $SECRET here; echo abcd1234 >&2; sleep 1000"}}}
		payload.Variables = append(payload.Variables, coordinator.Variable{Key: "SECRET", Value: "abcd1234", Masked: true})
		go func() { // the script goes on when the trace has the service's lines
			defer close(begun)
			for until := time.Now().Add(2 * time.Minute); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
				if jobs := b.Server.Jobs(); len(jobs) > 0 {
					if trace, err := b.Server.Trace(jobs[0].ID); err == nil && strings.Count(string(trace), "[service:") >= 2 {
						return
					}
				}
			}
		}()
		e := b.Run(t, t.Context(), payload, nil)
		<-begun
		jobtest.CheckEnd(t, e, "", 0)
		for _, line := range []string{"no here", `\[MASKED\]`} {
			if want := regexp.MustCompile(`Z 0fO \x1b\[0;37m\[service:[^\]]*-db\] ` + line + `\x1b\[0;m\n`); !want.MatchString(e.Raw) {
				t.Errorf("nothing matches %s in\n%q", want, e.Raw)
			}
		}
	})
	t.Run("volume_keep", func(t *testing.T) {
		t.Parallel()
		b := site.Bench(t)
		e := b.Run(t, t.Context(), jobtest.With(jobtest.Script([]string{"true"}), "GIT_STRATEGY", "clone"), func(_ *job.Params, r *config.Runner) { r.Docker.VolumeKeep = true })
		jobtest.CheckEnd(t, e, "", 0)
		label := "com.gitlab.gitlab-runner.runner.id=" + config.ShortToken(b.Runner.Token)
		if left := dockertest.Left(t, label); len(left) != 1 || !strings.HasPrefix(left[0], "volume ") {
			t.Errorf("kept: %v, want the builds' volume", left)
		}
		dockertest.RemoveVolumes(t, label) // before the bench looks what is left
	})
}

// What a job's artifacts bear beside the files: their statement of origin, their end, and the level that they are packed with.
func TestArtifactSwitches(t *testing.T) {
	b := jobtest.New(t)
	payload := jobtest.With(jobtest.Script([]string{"echo made >new", "head -c 100000 /dev/zero >zeroes"}), "RUNNER_GENERATE_ARTIFACTS_METADATA", "true", "ARTIFACT_COMPRESSION_LEVEL", "fastest", "GIT_STRATEGY", "clone")
	payload = jobtest.Archived(payload, coordinator.Artifact{Name: "out", Untracked: true, Exclude: []string{"*.log"}, ExpireIn: "1 week"})
	e := b.Run(t, t.Context(), payload, nil)
	jobtest.CheckEnd(t, e, "", 0)
	jobtest.CheckUploads(t, e, 1)
	if t.Failed() {
		return
	}
	a := e.Coordinator.Artifacts[0]
	if a.ExpireIn != "1 week" || a.Filename != "out.zip" {
		t.Errorf("%+v", a)
	}
	archive, err := zip.OpenReader(a.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	var names []string
	for _, f := range archive.File {
		names = append(names, f.Name)
		if f.Name == "zeroes" && f.Method != zip.Store {
			t.Errorf("%s is packed with method %d", f.Name, f.Method)
		}
	}
	slices.Sort(names)
	if want := []string{"new", "out-metadata.json", "zeroes"}; !slices.Equal(names, want) {
		t.Errorf("the archive holds %v, want %v", names, want)
	}
}
