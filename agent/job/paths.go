package job

import (
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/executor/docker"
	"github.com/millwright-ci/millwright/agent/job/shell"
)

// paths are the directories of a job, as the containers see them.
type paths struct {
	builds  string
	cache   string
	project string // CI_PROJECT_DIR
	temp    string // project with .tmp behind it
}

// buildsDir is the builds directory as far as it is known.
func (r *run) buildsDir() string {
	return orElse(r.ready.BuildsDir, orElse(r.p.Runner.BuildsDir, "/builds"))
}

// resolvePaths settles the directories. early holds the variables that are known before CI_PROJECT_DIR is. Those of a host are known for
// good, and checked, when the preparation has told them.
func (r *run) resolvePaths(early *variables) (paths, error) {
	p := r.p
	out := paths{builds: r.buildsDir(), cache: orElse(r.ready.CacheDir, orElse(p.Runner.CacheDir, "/cache"))}
	known := !r.onHost() || r.ready.BuildsDir != ""
	if out.builds = early.expand(out.builds); known && (!isAbs(out.builds) || path.Clean(out.builds) == "/") {
		return out, configurationError("builds_dir %q must be an absolute path and not the root; set it in config.toml", out.builds)
	}
	out.builds, out.cache = path.Clean(out.builds), path.Clean(early.expand(out.cache))
	repo := repoPath(p.Job.Git.RepoURL)
	out.project = path.Join(out.builds, repo)
	if r.ready.Shared || !r.onHost() && docker.SharedBuildsDir(&p.Runner.Docker, out.builds) {
		out.project = path.Join(out.builds, config.ShortToken(p.Runner.Token), strconv.Itoa(p.ProjectSlot), repo)
	}
	if custom := early.get("GIT_CLONE_PATH"); custom != "" && known {
		if on := p.Runner.CustomBuildDir.Enabled; on == nil && r.onHost() || on != nil && !*on {
			return out, configurationError("setting GIT_CLONE_PATH is not allowed; enable custom_build_dir in config.toml")
		}
		out.project = path.Clean(custom)
		if !strings.HasPrefix(out.project, out.builds+"/") {
			return out, configurationError("the GIT_CLONE_PATH=%q has to be within %q", custom, out.builds)
		}
	}
	if r.strategy == shell.StrategyEmpty {
		out.project += "-empty"
		out.cache += "-empty"
	}
	out.temp = out.project + ".tmp"
	return out, nil
}

// isAbs tells whether a path is absolute, on Windows too.
func isAbs(p string) bool {
	return path.IsAbs(p) || len(p) > 2 && p[1] == ':' && p[2] == '/'
}

// repoPath is the path of a repository's URL without .git, such as group/project.
func repoPath(repoURL string) string {
	u, err := url.Parse(repoURL)
	if err != nil {
		return "project"
	}
	p := strings.Trim(path.Clean("/"+strings.TrimSuffix(u.Path, ".git")), "/")
	return orElse(p, "project")
}

func orElse(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}
