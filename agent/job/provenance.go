package job

import (
	"net/url"
	"strings"
	"time"
)

// provenance are the uploader's flags for the file that says how artifacts came to be (RUNNER_GENERATE_ARTIFACTS_METADATA). Of the
// variables it holds the names alone.
func (r *run) provenance() []string {
	if !r.vars.flag("RUNNER_GENERATE_ARTIFACTS_METADATA", false) {
		return nil
	}
	job := r.p.Job
	flags := []string{"--generate-artifacts-metadata",
		"--runner-id", r.vars.get("CI_RUNNER_ID"), "--runner-name", r.p.Runner.Name, "--executor-name", r.p.Runner.Executor,
		"--repo-url", sourceAddress(job.Git.RepoURL), "--repo-digest", job.Git.SHA, "--job-name", job.Info.Name,
		"--started-at", r.began().UTC().Format(time.RFC3339),
		"--schema-version", orElse(r.vars.get("SLSA_PROVENANCE_SCHEMA_VERSION"), "v1"),
	}
	seen := map[string]bool{}
	for _, v := range job.Variables {
		if v.Key != "" && !seen[v.Key] {
			seen[v.Key] = true
			flags = append(flags, "--metadata-parameter", v.Key)
		}
	}
	return flags
}

// began is when the job's time began to count, though another agent began it.
func (r *run) began() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.progress.Limits["job"]
}

// sourceAddress is the repository's address without the name and password that it may hold, and without .git.
func sourceAddress(repoURL string) string {
	u, err := url.Parse(repoURL)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(withoutUser(u), ".git")
}
