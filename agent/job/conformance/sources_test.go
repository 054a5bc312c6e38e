package conformance

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/coordinator/embedded"
	"github.com/millwright-ci/millwright/agent/executor/docker/dockertest"
	"github.com/millwright-ci/millwright/agent/job"
	"github.com/millwright-ci/millwright/agent/job/jobtest"
)

// sourceRows are about git.
func sourceRows() []row {
	empty := with(hooked(script([]string{"pwd; ls -A | wc -l"}), "echo the hook ran"), "GIT_STRATEGY", "empty")
	return []row{
		{n: 44, name: "fetch again", run: fetchAgain},
		{n: 45, name: "fetch without cleaning", run: fetchUncleaned},
		{n: 46, name: "clone", payload: with(script([]string{"ls -A"}), "GIT_STRATEGY", "clone"), want: []string{"Created fresh repository.", "Checking out", "$ ls -A\n.git\nREADME.md\nsrc\n"}, check: noVolume},
		{n: 47, name: "no sources", run: noSources},
		{n: 48, name: "empty", payload: empty, want: []string{"creating an empty build directory", "/builds/group/project-empty\n0\n"}, not: []string{"the hook ran"}},
		{n: 49, name: "unknown strategy", payload: with(script([]string{"cat README.md"}), "GIT_STRATEGY", "bogus"), want: []string{`GIT_STRATEGY "bogus" is unknown; use clone, fetch, none or empty. Using fetch`, "a project"}},
		{n: 50, name: "no checkout", payload: with(script([]string{"ls -A"}), "GIT_STRATEGY", "clone", "GIT_CHECKOUT", "false"), want: []string{"Skipping Git checkout", "$ ls -A\n.git\n"}},
		{n: 51, name: "depth", run: depth},
		{n: 52, name: "no depth after a shallow run", run: unshallow},
		{n: 53, name: "no token in the checkout", payload: script([]string{"cat .git/config", "grep -r glcbt- .git && exit 1; true"}), want: []string{"\n\turl = http://"}, not: []string{"gitlab-ci-token"}},
		{n: 54, name: "a second attempt", run: secondAttempt},
		{n: 55, name: "sources fail", run: sourcesFail},
		{n: 56, name: "hook fails", payload: hooked(script([]string{"true"}), "exit 4"), not: []string{"Fetching changes", "Checking out"}, reason: scriptFailure, code: 4},
		{n: 57, name: "unknown submodule strategy", payload: with(script([]string{"true"}), "GIT_SUBMODULE_STRATEGY", "bogus"), want: []string{"system failure", "unknown GIT_SUBMODULE_STRATEGY"}, reason: coordinator.RunnerSystemFailure},
	}
}

func hooked(j coordinator.Job, line string) coordinator.Job {
	j.Hooks = []coordinator.Hook{{Name: "pre_get_sources_script", Script: []string{line}}}
	return j
}

// large puts a file into the project that does not get smaller when it is packed.
const largeSize = 200 << 10

func large(t *testing.T) func(*embedded.Options) {
	return func(o *embedded.Options) {
		content := make([]byte, largeSize)
		_, _ = rand.Read(content) // it never fails, see crypto/rand
		if err := os.WriteFile(filepath.Join(o.Root, "large"), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// packed is how many bytes git has sent.
func packed(b *jobtest.Bench) (n int64) {
	for _, c := range b.Calls(http.MethodPost, "/git-upload-pack") {
		n += c.Sent
	}
	return n
}

// fetchAgain has a second job find the first one's checkout, cleaned, and fetch nothing that it has.
func fetchAgain(t *testing.T, b *jobtest.Bench) {
	b = b.Site.Bench(t, large(t))
	first := b.Run(t, t.Context(), script([]string{"touch untracked; ls"}), nil)
	jobtest.CheckTrace(t, first, []string{"Created fresh repository.", "untracked"}, nil)
	before := packed(b)
	second := b.Run(t, t.Context(), script([]string{"ls -A"}), nil)
	jobtest.CheckTrace(t, second, []string{"Removing untracked", "$ ls -A\n.git\nREADME.md\nlarge\nsrc\n", "Job succeeded"}, []string{"Created fresh repository."})
	if again := packed(b) - before; before < largeSize || again > largeSize/10 {
		t.Errorf("git sent %d bytes first and %d bytes then", before, again)
	}
}

func fetchUncleaned(t *testing.T, b *jobtest.Bench) {
	_ = b.Run(t, t.Context(), script([]string{"touch untracked"}), nil)
	kept := b.Run(t, t.Context(), with(script([]string{"ls"}), "GIT_CLEAN_FLAGS", "none"), nil)
	jobtest.CheckTrace(t, kept, []string{"\nuntracked\n", "Job succeeded"}, nil)
}

// noVolume wants no volume left of the job, not even one that the next job could use.
func noVolume(t *testing.T, b *jobtest.Bench, _ jobtest.Ended) {
	t.Helper()
	if left := dockertest.Left(t, "com.gitlab.gitlab-runner.runner.id="+config.ShortToken(b.Runner.Token)); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// noSources has a second job find what the first one left, and leave it alone.
func noSources(t *testing.T, b *jobtest.Bench) {
	kept := func(_ *job.Params, r *config.Runner) { r.Docker.Volumes = []string{"/builds"} }
	_ = b.Run(t, t.Context(), script([]string{"touch untracked"}), kept)
	before := packed(b)
	e := b.Run(t, t.Context(), with(script([]string{"ls -A"}), "GIT_STRATEGY", "none"), kept)
	jobtest.CheckTrace(t, e, []string{"Skipping Git repository setup", "$ ls -A\n.git\nREADME.md\nsrc\nuntracked\n", "Job succeeded"}, []string{"Fetching changes"})
	if packed(b) != before {
		t.Error("git fetched something")
	}
}

// commits makes the project one with a history of so many commits.
func commits(t *testing.T, n int) func(*embedded.Options) {
	return func(o *embedded.Options) {
		var stream strings.Builder
		for i := range n {
			text := fmt.Sprintf("version %d\n", i)
			fmt.Fprintf(&stream, "commit refs/heads/main\ncommitter A <a@example.com> %d +0000\ndata 1\nc\nM 644 inline f\ndata %d\n%s\n", 1700000000+i, len(text), text)
		}
		for _, args := range [][]string{{"init", "--quiet", "--initial-branch=main"}, {"fast-import", "--quiet"}, {"reset", "--quiet", "--hard"}} {
			cmd := exec.Command("git", args...)
			cmd.Dir, cmd.Stdin = o.Root, strings.NewReader(stream.String())
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("git %s: %v\n%s", args[0], err, out)
			}
		}
	}
}

// depth wants the payload's depth, not the variable that the coordinator makes it from.
func depth(t *testing.T, b *jobtest.Bench) {
	b = b.Site.Bench(t, commits(t, 25))
	e := b.Run(t, t.Context(), with(script([]string{"test -s .git/shallow && echo shallow"}), "GIT_DEPTH", "3"), func(p *job.Params, _ *config.Runner) { p.Job.Git.Depth = 20 })
	jobtest.CheckTrace(t, e, []string{"Fetching changes with git depth set to 20...", "\nshallow\n", "Job succeeded"}, nil)
}

func unshallow(t *testing.T, b *jobtest.Bench) {
	b = b.Site.Bench(t, commits(t, 25))
	first := b.Run(t, t.Context(), script([]string{"test -s .git/shallow && echo shallow"}), nil)
	jobtest.CheckTrace(t, first, []string{"\nshallow\n", "Job succeeded"}, nil)
	second := b.Run(t, t.Context(), with(script([]string{"test ! -e .git/shallow && echo whole"}), "GIT_DEPTH", "0"), nil)
	jobtest.CheckTrace(t, second, []string{"Fetching changes...", "\nwhole\n", "Job succeeded"}, nil)
}

// secondAttempt has the first fetch fail.
func secondAttempt(t *testing.T, b *jobtest.Bench) {
	b.Server.Fail(embedded.EndpointGit, http.StatusInternalServerError, 1)
	e := b.Run(t, t.Context(), with(script([]string{"cat README.md"}), "GET_SOURCES_ATTEMPTS", "2"), nil)
	jobtest.CheckTrace(t, e, []string{"Getting source from Git repository", "Deleting all tracked and untracked files due to source fetch failure", "Getting source from Git repository", "\na project\n", "Job succeeded"}, nil)
	jobtest.CheckEnd(t, e, "", 0)
}

// sourcesFail has every fetch fail.
func sourcesFail(t *testing.T, b *jobtest.Bench) {
	b.Server.Fail(embedded.EndpointGit, http.StatusInternalServerError, -1)
	payload := archived(script([]string{"echo the script"}, "echo after ran"), coordinator.Artifact{Paths: []string{"f"}, When: "always"})
	payload.Cache = []coordinator.Cache{{Key: "k", Paths: []string{"f"}, When: "always"}}
	e := b.Run(t, t.Context(), payload, nil)
	jobtest.CheckTrace(t, e, []string{"Saving cache for failed job", "Uploading artifacts for failed job", "ERROR: Job failed: exit code 128"}, []string{"the script", "after ran", "Restoring cache"})
	jobtest.CheckEnd(t, e, scriptFailure, 128)
}
