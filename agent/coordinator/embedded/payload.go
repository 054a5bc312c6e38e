package embedded

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/millwright-ci/millwright/agent/ciyaml"
	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
)

// failureReasons are those that Rails accepts. image_pull_failure and job_canceled are not among them.
var failureReasons = []string{
	"unknown_failure", "script_failure", "api_failure", "stuck_or_timeout_failure", "runner_system_failure",
	"missing_dependency_failure", "runner_unsupported", "stale_schedule", "job_execution_timeout", "archived_failure",
	"unmet_prerequisites", "scheduler_failure", "data_integrity_failure", "forward_deployment_failure", "user_blocked",
	"project_deleted", "trace_size_exceeded", "builds_disabled", "runner_provisioning_timeout", "runner_configuration_error",
	"runner_external_dependency_failure", "runner_interrupted",
}

var features = coordinator.Features{
	TraceSections:     true,
	TokenMaskPrefixes: []string{"glpat-", "gloas-", "gldt-", "glrt-", "glcbt-"},
	FailureReasons:    failureReasons,
}

// payload is what the runner gets for a job. The caller holds mu.
func (s *Server) payload(j *job) coordinator.Job {
	var p coordinator.Job
	if j.raw != nil {
		p = s.rawPayload(j)
	} else {
		p = s.pipelinePayload(j)
	}
	p.ID, p.Token = j.status.ID, config.Secret(j.token)
	p.Info.TimeInQueueSeconds = time.Since(j.status.Queued).Seconds()
	if p.Info.ProjectJobsRunning == "" {
		p.Info.ProjectJobsRunning = "+Inf"
	}
	p.Info.QueueSize = len(s.queue)
	j.mayFetch = map[int64]bool{j.status.ID: true}
	for i := range p.Dependencies {
		d := &p.Dependencies[i]
		j.mayFetch[d.ID] = true
		if d.Token == "" {
			d.Token = config.Secret(j.token)
		}
	}
	return p
}

// rawPayload fills in what an enqueued job leaves to the coordinator.
func (s *Server) rawPayload(j *job) coordinator.Job {
	p := *j.raw
	p.Dependencies = slices.Clone(p.Dependencies)
	if p.Features.FailureReasons == nil && !p.Features.TraceSections {
		p.Features = features
	}
	if p.Runner.Timeout == 0 {
		p.Runner.Timeout = int(s.o.JobTimeout.Seconds())
	}
	if p.Git.RepoURL == "" && s.project != nil {
		p.Git = s.gitInfo(j, p.Variables.Get("GIT_DEPTH"))
	}
	return p
}

func (s *Server) pipelinePayload(j *job) coordinator.Job {
	def := j.def
	p := coordinator.Job{
		AllowGitFetch: true,
		Info: coordinator.JobInfo{
			Name: j.status.Name, Stage: j.status.Stage, PipelineID: pipelineID, ProjectID: projectID,
			ProjectName: s.project.name(), ProjectFullPath: s.project.path,
		},
		Variables: s.jobVariables(j),
		Inputs:    []coordinator.Input{},
		Features:  features,
		Cache:     cachePayload(def.Cache),
	}
	timeout := def.Timeout
	if timeout == 0 {
		timeout = s.o.JobTimeout
	}
	p.Runner.Timeout = int(timeout.Seconds())
	p.Git = s.gitInfo(j, p.Variables.Get("GIT_DEPTH"))
	p.Steps = []coordinator.Step{{Name: "script", Script: slices.Concat(def.BeforeScript, def.Script), Timeout: p.Runner.Timeout, When: "on_success"}}
	if len(def.AfterScript) > 0 {
		p.Steps = append(p.Steps, coordinator.Step{Name: "after_script", Script: def.AfterScript, Timeout: p.Runner.Timeout, When: "always", AllowFailure: true})
	}
	if len(def.PreGetSources) > 0 {
		p.Hooks = []coordinator.Hook{{Name: "pre_get_sources_script", Script: def.PreGetSources}}
	}
	if def.Image != nil {
		image := imagePayload(*def.Image)
		p.Image = &image
	}
	for _, service := range def.Services {
		p.Services = append(p.Services, imagePayload(service))
	}
	if def.Artifacts != nil {
		p.Artifacts = artifactsPayload(def.Artifacts)
	}
	if s.o.Registry != "" {
		p.Credentials = []coordinator.Credential{{Type: "registry", URL: s.o.Registry, Username: "gitlab-ci-token", Password: config.Secret(j.token)}}
	}
	for _, source := range s.sources(j) {
		d := coordinator.Dependency{ID: source.status.ID, Name: source.status.Name, Token: config.Secret(j.token)}
		if a := source.artifact("archive"); a != nil {
			d.ArtifactsFile = &struct {
				Filename string `json:"filename"`
				Size     int64  `json:"size"`
			}{a.Filename, a.Size}
		}
		p.Dependencies = append(p.Dependencies, d)
	}
	return p
}

// gitInfo says what to check out. Without a depth all branches and tags are fetched, as GitLab has it; 20 commits by default.
func (s *Server) gitInfo(j *job, depth string) coordinator.GitInfo {
	p := s.project
	protected := false
	g := coordinator.GitInfo{
		RepoURL: s.repositoryURL(j), ObjectFormat: p.format, Ref: p.branch, SHA: p.sha, BeforeSHA: p.before, RefType: "branch",
		Depth: 20, Protected: &protected,
	}
	if n, err := strconv.Atoi(depth); err == nil && n >= 0 {
		g.Depth = n
	}
	pipelineRef := fmt.Sprintf("+refs/pipelines/%d:refs/pipelines/%[1]d", pipelineID)
	if g.Depth > 0 {
		g.Refspecs = []string{pipelineRef, fmt.Sprintf("+refs/heads/%s:refs/remotes/origin/%[1]s", p.branch)}
	} else {
		g.Refspecs = []string{pipelineRef, "+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"}
	}
	return g
}

// repositoryURL is where the job gets its sources, with its token.
func (s *Server) repositoryURL(j *job) string {
	u, err := url.Parse(s.url)
	if err != nil {
		return ""
	}
	u.User = url.UserPassword("gitlab-ci-token", j.token)
	return u.JoinPath(s.project.path + ".git").String()
}

func imagePayload(in ciyaml.Image) coordinator.Image {
	out := coordinator.Image{Name: in.Name, Alias: in.Alias, Command: in.Command, Entrypoint: in.Entrypoint, PullPolicy: in.PullPolicy}
	docker := map[string]string{}
	if in.User != "" {
		docker["user"] = in.User
	}
	if in.Platform != "" {
		docker["platform"] = in.Platform
	}
	out.ExecutorOpts = coordinator.ExecutorOpts("{}")
	if len(docker) > 0 {
		if opts, err := json.Marshal(map[string]any{"docker": docker}); err == nil {
			out.ExecutorOpts = opts
		}
	}
	for _, v := range in.Variables {
		out.Variables = append(out.Variables, coordinator.Variable{Key: v.Key, Value: v.Value, Public: true, Raw: v.Raw})
	}
	return out
}

// artifactsPayload gives one entry for the files and one for each kind of report.
func artifactsPayload(a *ciyaml.Artifacts) []coordinator.Artifact {
	var out []coordinator.Artifact
	when := a.When
	if when == "" {
		when = ciyaml.OnSuccess
	}
	if len(a.Paths) > 0 || a.Untracked {
		out = append(out, coordinator.Artifact{
			Name: a.Name, Untracked: a.Untracked, Paths: a.Paths, Exclude: a.Exclude, When: string(when), Type: "archive", Format: "zip", ExpireIn: a.ExpireIn,
		})
	}
	report := func(kind, name string, paths []string) {
		if len(paths) > 0 {
			out = append(out, coordinator.Artifact{Name: name, Paths: paths, When: "always", Type: kind, Format: "gzip", ExpireIn: a.ExpireIn})
		}
	}
	report("junit", "junit.xml", a.JUnit)
	report("dotenv", ".env", a.DotEnv)
	return out
}

// cacheSuffix is what GitLab adds to keys: the project's cache index, and that the branch is not protected.
const cacheSuffix = "-1-non_protected"

func cachePayload(caches []ciyaml.Cache) []coordinator.Cache {
	out := []coordinator.Cache{}
	for _, c := range caches {
		p := coordinator.Cache{Key: c.Key, Untracked: c.Untracked, Policy: c.Policy, Paths: c.Paths, When: string(c.When), FallbackKeys: []string{}}
		if p.Key == "" {
			p.Key = "default"
		}
		if p.Policy == "" {
			p.Policy = "pull-push"
		}
		if p.When == "" {
			p.When = "on_success"
		}
		p.Key += cacheSuffix
		for _, k := range c.FallbackKeys {
			p.FallbackKeys = append(p.FallbackKeys, k+cacheSuffix)
		}
		out = append(out, p)
	}
	return out
}

// needed are the features that a runner must announce to get the job, as Rails derives them.
func needed(p *coordinator.Job, def *ciyaml.Job) []string {
	var out []string
	for _, a := range p.Artifacts {
		if a.Type != "archive" && a.Type != "" {
			out = append(out, "upload_multiple_artifacts")
		}
		if len(a.Exclude) > 0 {
			out = append(out, "artifacts_exclude")
		}
	}
	for _, c := range p.Cache {
		if len(c.FallbackKeys) > 0 {
			out = append(out, "fallback_cache_keys")
		}
	}
	for _, step := range p.Steps {
		if step.Name != "script" && step.Name != "after_script" {
			out = append(out, "multi_build_steps")
		}
	}
	if len(p.Secrets) > 0 {
		out = append(out, "vault_secrets")
	}
	if def != nil && len(def.AllowFailure.ExitCodes) > 0 {
		out = append(out, "return_exit_code")
	}
	return out
}
