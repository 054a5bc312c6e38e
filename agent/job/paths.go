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

// resolvePaths settles the directories. early holds the variables that are known before CI_PROJECT_DIR is.
func resolvePaths(p Params, early *variables, strategy string) (paths, error) {
	out := paths{builds: orElse(p.Runner.BuildsDir, "/builds"), cache: orElse(p.Runner.CacheDir, "/cache")}
	if out.builds = early.expand(out.builds); !path.IsAbs(out.builds) || path.Clean(out.builds) == "/" {
		return out, configurationError("builds_dir %q must be an absolute path and not the root; set it in config.toml", out.builds)
	}
	out.builds, out.cache = path.Clean(out.builds), path.Clean(early.expand(out.cache))
	repo := repoPath(p.Job.Git.RepoURL)
	out.project = path.Join(out.builds, repo)
	if docker.SharedBuildsDir(&p.Runner.Docker, out.builds) {
		out.project = path.Join(out.builds, config.ShortToken(p.Runner.Token), strconv.Itoa(p.ProjectSlot), repo)
	}
	if custom := early.get("GIT_CLONE_PATH"); custom != "" {
		if on := p.Runner.CustomBuildDir.Enabled; on != nil && !*on {
			return out, configurationError("setting GIT_CLONE_PATH is not allowed; enable custom_build_dir in config.toml")
		}
		out.project = path.Clean(custom)
		if !strings.HasPrefix(out.project, out.builds+"/") {
			return out, configurationError("the GIT_CLONE_PATH=%q has to be within %q", custom, out.builds)
		}
	}
	if strategy == shell.StrategyEmpty {
		out.project += "-empty"
		out.cache += "-empty"
	}
	out.temp = out.project + ".tmp"
	return out, nil
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
