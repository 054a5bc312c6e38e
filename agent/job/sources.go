package job

import (
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/job/shell"
)

// sources settles what get_sources does from the payload, the configuration and the GIT_* variables.
func (r *run) sources() (shell.Sources, error) {
	job, git := r.p.Job, r.p.Job.Git
	src := shell.Sources{
		Strategy: r.strategy, ObjectFormat: git.ObjectFormat, SHA: git.SHA, Ref: git.Ref, Refspecs: git.Refspecs, Depth: git.Depth,
		Checkout:    r.vars.flag("GIT_CHECKOUT", true),
		CleanFlags:  r.cleanFlags(),
		FetchFlags:  shell.Fields(r.vars.get("GIT_FETCH_EXTRA_FLAGS"), "--prune --quiet"),
		CleanConfig: or(r.p.Runner.CleanGitConfig, r.p.Runner.Executor != "shell"),
		SafeDir:     or(r.p.Runner.SafeDirectory, !r.onHost()),
		// The helper container is the job's own, and a build container's user may have made files of any owner.
		SafeAnywhere: !r.onHost(),
		OwnGit:       !r.onHost() && r.p.Runner.Docker.HelperImage == "",
		UserAgent:    fmt.Sprintf("gitlab-runner %s %s/%s", coordinator.CompatVersion, runtime.GOOS, runtime.GOARCH),
		BundleURI:    r.flags["FF_USE_GIT_BUNDLE_URIS"],
		SkipLFS:      r.vars.flag("GIT_LFS_SKIP_SMUDGE", false),
		Proactive:    r.flags["FF_USE_GIT_PROACTIVE_AUTH"],
		NativeClone:  r.flags["FF_USE_GIT_NATIVE_CLONE"] && git.Ref != "",
		CloneFlags:   shell.Fields(r.vars.get("GIT_CLONE_EXTRA_FLAGS"), "none"),

		CredentialHelper: r.flags["FF_GIT_URLS_WITHOUT_TOKENS"],
		PreHooks:         r.preHooks(),
		PostHooks:        r.postHooks(),
	}
	if r.strategy == shell.StrategyNone || r.strategy == shell.StrategyEmpty {
		return src, nil
	}
	if len(src.Refspecs) == 0 {
		src.Refspecs = []string{"+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"}
	}
	if r.flags["FF_USE_GITALY_CORRELATION_ID"] {
		src.Correlation = job.CorrelationID
	}
	remote, err := r.remote()
	if err != nil {
		return src, err
	}
	origin, err := url.Parse(git.RepoURL)
	if err != nil || origin.Host == "" {
		return src, errors.New("the payload's repository URL can't be read")
	}
	src.URL = withoutUser(remote)
	src.Rewrite = []shell.Rewrite{rewrite(remote)}
	if origin.Host != remote.Host || origin.Scheme != remote.Scheme {
		src.Rewrite = append(src.Rewrite, rewrite(origin))
	}
	src.TLS = r.tlsFiles()
	src.Submodules, err = r.submodules(origin)
	return src, err
}

// or is a setting, or what holds where it is not set.
func or(setting *bool, fallback bool) bool {
	if setting == nil {
		return fallback
	}
	return *setting
}

// remote is where git fetches from, with credentials: the payload's address, or the same project below the runner's clone_url.
func (r *run) remote() (*url.URL, error) {
	origin, err := url.Parse(r.p.Job.Git.RepoURL)
	if err != nil {
		return nil, errors.New("the payload's repository URL can't be read")
	}
	if r.p.Runner.CloneURL == "" {
		return origin, nil
	}
	base, err := url.Parse(strings.TrimSuffix(r.p.Runner.CloneURL, "/"))
	if err != nil || base.Host == "" {
		return nil, configurationError("config.toml: runners.clone_url: %q is no URL; use one like https://gitlab.example.com", r.p.Runner.CloneURL)
	}
	project := orElse(r.vars.get("CI_PROJECT_PATH"), repoPath(r.p.Job.Git.RepoURL))
	remote := base.JoinPath(project + ".git")
	if remote.User = origin.User; remote.User == nil {
		remote.User = url.UserPassword("gitlab-ci-token", r.p.Job.Token.Reveal())
	}
	return remote, nil
}

// rewrite puts the credentials of u before every address on the same server. The slash at the end keeps the token from a host
// whose name only begins alike.
func rewrite(u *url.URL) shell.Rewrite {
	with := url.URL{Scheme: u.Scheme, User: u.User, Host: u.Host, Path: "/"}
	return shell.Rewrite{From: u.Scheme + "://" + u.Host + "/", To: with.String()}
}

func withoutUser(u *url.URL) string {
	clean := *u
	clean.User = nil
	return clean.String()
}

func (r *run) tlsFiles() shell.TLSFiles {
	path := func(name string) string {
		if r.vars.has(name) {
			return r.vars.get(name)
		}
		return ""
	}
	return shell.TLSFiles{
		CA: path("CI_SERVER_TLS_CA_FILE"), Cert: path("CI_SERVER_TLS_CERT_FILE"), Key: path("CI_SERVER_TLS_KEY_FILE"),
	}
}

func (r *run) cleanFlags() []string { return shell.Fields(r.vars.get("GIT_CLEAN_FLAGS"), "-ffdx") }

func (r *run) submodules(server *url.URL) (shell.Submodules, error) {
	m := shell.Submodules{
		Strategy: orElse(r.vars.get("GIT_SUBMODULE_STRATEGY"), "none"),
		Depth:    r.p.Job.Git.Depth,
		Paths:    strings.Fields(r.vars.get("GIT_SUBMODULE_PATHS")),
		Flags:    strings.Fields(r.vars.get("GIT_SUBMODULE_UPDATE_FLAGS")),
	}
	if m.Strategy != "none" && !m.On() {
		return m, fmt.Errorf("unknown GIT_SUBMODULE_STRATEGY %q; use none, normal or recursive", m.Strategy)
	}
	if depth := r.vars.get("GIT_SUBMODULE_DEPTH"); depth != "" {
		n, err := strconv.Atoi(depth)
		if err != nil || n < 0 {
			return m, configurationError("GIT_SUBMODULE_DEPTH %q must be a number, 0 for all", depth)
		}
		m.Depth = n
	}
	if r.vars.flag("GIT_SUBMODULE_FORCE_HTTPS", false) {
		to := rewrite(server).To
		if r.flags["FF_GIT_URLS_WITHOUT_TOKENS"] {
			to = rewrite(server).From
		}
		host := orElse(r.vars.get("CI_SERVER_SHELL_SSH_HOST"), server.Hostname())
		m.ForceHTTPS = []shell.Rewrite{{From: "git@" + host + ":", To: to}, {From: "ssh://git@" + host + "/", To: to}}
		if port := r.vars.get("CI_SERVER_SHELL_SSH_PORT"); port != "" {
			m.ForceHTTPS = append(m.ForceHTTPS, shell.Rewrite{From: "ssh://git@" + host + ":" + port + "/", To: to})
		}
	}
	return m, nil
}

func (r *run) preHooks() [][]string {
	return r.hooks("pre_get_sources_script", r.p.Runner.PreGetSourcesScript, true)
}

func (r *run) postHooks() [][]string {
	return r.hooks("post_get_sources_script", r.p.Runner.PostGetSourcesScript, false)
}

// hooked tells whether lines of the job's, or of the configuration's, run around the fetch.
func (r *run) hooked() bool { return len(r.preHooks())+len(r.postHooks()) > 0 }

// hooks are the scripts around the fetch: the configuration's outside, the job's inside.
func (r *run) hooks(name, configured string, configuredFirst bool) [][]string {
	var out [][]string
	add := func(entries []string) {
		if len(entries) > 0 {
			out = append(out, entries)
		}
	}
	if configured != "" && configuredFirst {
		add([]string{configured})
	}
	for _, h := range r.p.Job.Hooks {
		if h.Name == name {
			add(h.Script)
		}
	}
	if configured != "" && !configuredFirst {
		add([]string{configured})
	}
	return out
}
