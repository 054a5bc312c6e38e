package job_test

import (
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/internal/forge"
	"github.com/millwright-ci/millwright/agent/job"
	"github.com/millwright-ci/millwright/agent/job/jobtest"
)

// A coordinator with a private CA: the sources, a submodule by a relative address and LFS files of both come over TLS with the job's token,
// by the git of the helper image.
func TestSourcesOverTLS(t *testing.T) {
	b := jobtest.New(t)
	f := forge.New(t, b.Gateway, "glcbt-of-the-job")
	lfs := map[string]string{".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n"}
	with := func(name, content string) map[string]string {
		return map[string]string{".gitattributes": lfs[".gitattributes"], name: f.Pointer(content)}
	}
	sub := f.Commit("group/sub", with("sub.bin", "large in the submodule\n"))
	sha := f.Commit("group/top", with("top.bin", "large at the top\n"), forge.Module{Path: "sub", URL: "../sub.git", SHA: sub})
	payload := jobtest.With(jobtest.Script([]string{"cat top.bin sub/sub.bin", "cat .git/config sub/.git", "grep -r glcbt- .git && exit 1; true", `test -s "$CI_SERVER_TLS_CA_FILE" && echo trusted`}),
		"GIT_SUBMODULE_STRATEGY", "recursive")
	payload.Git = coordinator.GitInfo{
		RepoURL: strings.Replace(f.URL, "https://", "https://gitlab-ci-token:"+f.Token+"@", 1) + "/group/top.git",
		SHA:     sha, Ref: "main", RefType: "branch", Refspecs: []string{"+refs/heads/*:refs/remotes/origin/*"}, Depth: 1,
	}
	tls := func(p *job.Params, _ *config.Runner) { p.Job.TLS.CA = f.CA }
	e := b.Run(t, t.Context(), payload, tls)
	jobtest.CheckTrace(t, e, []string{"Updating/initializing submodules recursively with git depth set to 1...", "Pulling LFS files...", "\nlarge at the top\nlarge in the submodule\n", "\ntrusted\n", "Job succeeded"},
		[]string{f.Token, "gitlab-ci-token:"})
	// Skipping LFS is a switch, which may say no.
	for value, want := range map[string]string{"1": "\nversion https://git-lfs.github.com/spec/v1", "false": "\nlarge at the top"} {
		e = b.Run(t, t.Context(), jobtest.With(payload, "GIT_LFS_SKIP_SMUDGE", value, "GIT_STRATEGY", "clone"), tls)
		jobtest.CheckTrace(t, e, []string{want, "Job succeeded"}, nil)
	}
}

// FF_DISABLE_UMASK_FOR_DOCKER_EXECUTOR: the files are the user's own, not everybody's, and the next job goes on with them.
func TestOwner(t *testing.T) {
	b := jobtest.New(t)
	payload := jobtest.With(jobtest.Script([]string{`stat -c '%n %u:%g %a' . README.md src/a.txt .git/HEAD`, "echo more >>README.md; touch src/new", "echo A=1 >>$GITLAB_ENV"}, "echo after $A"),
		"FF_DISABLE_UMASK_FOR_DOCKER_EXECUTOR", "true")
	payload.Image = &coordinator.Image{Name: b.Image, ExecutorOpts: []byte(`{"docker":{"user":1000}}`)}
	for range 2 {
		e := b.Run(t, t.Context(), payload, nil)
		jobtest.CheckTrace(t, e, []string{"\n. 1000:1000 755\nREADME.md 1000:1000 644\nsrc/a.txt 1000:1000 644\n.git/HEAD 1000:1000 644\n", "\nafter 1\n", "Job succeeded"}, nil)
	}
	payload = jobtest.With(jobtest.Script([]string{`stat -c '%n %u:%g %a' README.md`}), "FF_DISABLE_UMASK_FOR_DOCKER_EXECUTOR", "false", "GIT_STRATEGY", "clone")
	payload.Image = &coordinator.Image{Name: b.Image, ExecutorOpts: []byte(`{"docker":{"user":1000}}`)}
	e := b.Run(t, t.Context(), payload, nil)
	jobtest.CheckTrace(t, e, []string{"\nREADME.md 0:0 666\n", "Job succeeded"}, nil)
}
