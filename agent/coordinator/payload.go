// Package coordinator speaks GitLab's runner API, version 4: it asks for jobs, reports their state and sends their trace. Below it,
// embedded is a small real coordinator for demo, exec and tests.
package coordinator

import (
	"encoding/json"
	"strings"

	"github.com/millwright-ci/millwright/agent/config"
)

// Job is the body of a 201 to a job request. Arrays and objects may be null; unknown fields are ignored.
// Source: GitLab's runner API, POST /jobs/request.
type Job struct {
	ID            int64                      `json:"id"`
	Token         config.Secret              `json:"token"`
	AllowGitFetch bool                       `json:"allow_git_fetch"`
	Info          JobInfo                    `json:"job_info"`
	Git           GitInfo                    `json:"git_info"`
	Runner        RunnerInfo                 `json:"runner_info"`
	Inputs        []Input                    `json:"inputs"`
	Variables     Variables                  `json:"variables"`
	Steps         []Step                     `json:"steps"`
	Hooks         []Hook                     `json:"hooks"`
	Image         *Image                     `json:"image"`
	Services      []Image                    `json:"services"`
	Artifacts     []Artifact                 `json:"artifacts"`
	Cache         []Cache                    `json:"cache"`
	Credentials   []Credential               `json:"credentials"`
	Dependencies  []Dependency               `json:"dependencies"`
	Features      Features                   `json:"features"`
	Secrets       map[string]json.RawMessage `json:"secrets,omitempty"`
	Run           string                     `json:"run,omitempty"`

	// CorrelationID is the X-Request-Id of the response; it is not part of the body.
	CorrelationID string `json:"-"`
	// TLS is what the job request's connection was made with; it is not part of the body.
	TLS TLSData `json:"-"`
}

// JobInfo names the job.
type JobInfo struct {
	Name               string  `json:"name"`
	Stage              string  `json:"stage"`
	PipelineID         int64   `json:"pipeline_id"`
	ProjectID          int64   `json:"project_id"`
	ProjectName        string  `json:"project_name"`
	ProjectFullPath    string  `json:"project_full_path"`
	TimeInQueueSeconds float64 `json:"time_in_queue_seconds"`
	ProjectJobsRunning string  `json:"project_jobs_running_on_instance_runners_count"`
	QueueSize          int     `json:"queue_size"`
	QueueDepth         int     `json:"queue_depth"`
}

// GitInfo is what to check out.
type GitInfo struct {
	RepoURL      string   `json:"repo_url"` // with credentials; never log it
	ObjectFormat string   `json:"repo_object_format"`
	Ref          string   `json:"ref"`
	SHA          string   `json:"sha"`
	BeforeSHA    string   `json:"before_sha"`
	RefType      string   `json:"ref_type"` // branch or tag
	Refspecs     []string `json:"refspecs"`
	Depth        int      `json:"depth"` // 0 = no limit
	Protected    *bool    `json:"protected"`
}

// RunnerInfo holds what the coordinator knows of the runner.
type RunnerInfo struct {
	UUID       string `json:"uuid"`
	Timeout    int    `json:"timeout"` // seconds; 0 or less means 7200
	SessionURL string `json:"runner_session_url"`
}

// Input is one job input.
type Input struct {
	Key   string `json:"key"`
	Value struct {
		Type      string          `json:"type"`
		Content   json.RawMessage `json:"content"`
		Sensitive bool            `json:"sensitive"`
	} `json:"value"`
}

// Variable is one CI variable. On equal keys the last one wins.
type Variable struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Public bool   `json:"public"`
	Masked bool   `json:"masked"`
	File   bool   `json:"file,omitempty"`
	Raw    bool   `json:"raw,omitempty"`
}

// Variables is an ordered list of variables.
type Variables []Variable

// Get returns the value of the last variable with that key, unexpanded; "" when there is none.
func (v Variables) Get(key string) string {
	for i := len(v) - 1; i >= 0; i-- {
		if v[i].Key == key {
			return v[i].Value
		}
	}
	return ""
}

// Step is a script of the job: script, after_script or release.
type Step struct {
	Name         string   `json:"name"`
	Script       []string `json:"script"`
	Timeout      int      `json:"timeout"`
	When         string   `json:"when"`
	AllowFailure bool     `json:"allow_failure"`
}

// Hook is a script around fetching the sources.
type Hook struct {
	Name   string   `json:"name"` // pre_get_sources_script, post_get_sources_script
	Script []string `json:"script"`
}

// Image is the job's image or one of its services.
type Image struct {
	Name       string    `json:"name"`
	Alias      string    `json:"alias,omitempty"` // services: separated by space or comma
	Command    []string  `json:"command,omitempty"`
	Entrypoint []string  `json:"entrypoint,omitempty"`
	Variables  Variables `json:"variables,omitempty"`
	PullPolicy []string  `json:"pull_policy,omitempty"`
	// Ports are for the session proxy.
	Ports        json.RawMessage `json:"ports,omitempty"`
	ExecutorOpts ExecutorOpts    `json:"executor_opts,omitempty"`
}

// ExecutorOpts are options for one executor, kept as they came: any key that is not known fails the job, so the executor
// decodes them strictly.
type ExecutorOpts = json.RawMessage

// Artifact is one archive or report to upload.
type Artifact struct {
	Name      string   `json:"name"`
	Untracked bool     `json:"untracked"`
	Paths     []string `json:"paths"`
	Exclude   []string `json:"exclude"`
	When      string   `json:"when"` // on_success (when empty), on_failure, always
	Type      string   `json:"artifact_type"`
	Format    string   `json:"artifact_format"` // zip (when empty), gzip, raw
	ExpireIn  string   `json:"expire_in"`
}

// Cache is one cache of the job.
type Cache struct {
	Key          string   `json:"key"`
	Untracked    bool     `json:"untracked"`
	Policy       string   `json:"policy"` // pull-push (when empty), pull, push
	Paths        []string `json:"paths"`
	When         string   `json:"when"`
	FallbackKeys []string `json:"fallback_keys"`
}

// Credential is an account of a registry.
type Credential struct {
	Type     string        `json:"type"` // registry
	URL      string        `json:"url"`
	Username string        `json:"username"`
	Password config.Secret `json:"password"`
}

// Dependency is an earlier job whose artifacts the job takes.
type Dependency struct {
	ID            int64         `json:"id"`
	Name          string        `json:"name"`
	Token         config.Secret `json:"token"`
	ArtifactsFile *struct {
		Filename string `json:"filename"`
		Size     int64  `json:"size"`
	} `json:"artifacts_file,omitempty"`
}

// Features tells what the coordinator understands.
type Features struct {
	TraceSections     bool     `json:"trace_sections"`
	TokenMaskPrefixes []string `json:"token_mask_prefixes"`
	FailureReasons    []string `json:"failure_reasons"`
}

// RepoCleanURL is the repository's URL without credentials, fit for messages.
func (j *Job) RepoCleanURL() string { return cleanURL(j.Git.RepoURL) }

func cleanURL(u string) string {
	scheme, rest, ok := strings.Cut(u, "://")
	if !ok {
		return u
	}
	host, path, _ := strings.Cut(rest, "/")
	if i := strings.LastIndexByte(host, '@'); i >= 0 {
		host = host[i+1:]
	}
	return scheme + "://" + host + "/" + path
}

// JobState is the state of a job as the runner reports it.
type JobState string

// The states that a runner reports.
const (
	JobPending JobState = "pending" // keep-alive while a machine is being made
	JobRunning JobState = "running"
	JobSuccess JobState = "success"
	JobFailed  JobState = "failed"
)

// FailureReason says why a job failed.
type FailureReason string

// The failure reasons of the runner. What the coordinator gets is mapped by its features.failure_reasons.
const (
	ScriptFailure             FailureReason = "script_failure"
	RunnerSystemFailure       FailureReason = "runner_system_failure"
	JobExecutionTimeout       FailureReason = "job_execution_timeout"
	ImagePullFailure          FailureReason = "image_pull_failure"
	ConfigurationError        FailureReason = "runner_configuration_error"
	ExternalDependencyFailure FailureReason = "runner_external_dependency_failure"
	RunnerInterrupted         FailureReason = "runner_interrupted"
	JobCanceled               FailureReason = "job_canceled"
)
