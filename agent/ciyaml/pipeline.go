package ciyaml

import (
	"slices"
	"time"
)

// Pipeline is a file that has been read and found sound. Positions are gone, all defaults are filled in, templates are merged.
type Pipeline struct {
	File      string     // as given to Parse
	Stages    []string   // in order, with .pre first and .post last
	Variables []Variable // global ones
	Jobs      []Job      // in order of stage, then of the file
}

// Variable is one variable as the file gives it, unexpanded.
type Variable struct {
	Key   string
	Value string
	Raw   bool // expand: false
	File  bool // never from the file; of callers' variables that arrive as files
}

// Job is one job. Before Resolve it stands for all its parallel instances.
type Job struct {
	Name  string // "unit 1/3" after Resolve for an instance of a parallel job
	Base  string // "unit"
	Stage string
	Line  int

	BeforeScript  []string
	Script        []string
	AfterScript   []string
	PreGetSources []string // hooks:pre_get_sources_script

	Image     *Image
	Services  []Image
	Variables []Variable // own ones; after Resolve global, own and those of the rule that matched, each key once
	Tags      []string

	When          When
	Rules         []Rule // empty after Resolve
	AllowFailure  AllowFailure
	Retry         Retry
	Timeout       time.Duration // 0 = not given
	Interruptible bool

	Needs        []Need   // nil = the keyword is absent, so all earlier stages must end; empty = starts at once
	Dependencies []string // nil = absent, so all artifacts of earlier jobs (or of needs) are taken; empty = none
	Artifacts    *Artifacts
	Cache        []Cache

	Parallel int // instances; 0 = the keyword is absent
	Index    int // after Resolve: from 1 in a parallel job
}

// When says when a job runs.
type When string

// The values of when. GitLab's delayed is refused.
const (
	OnSuccess When = "on_success"
	OnFailure When = "on_failure"
	Always    When = "always"
	Manual    When = "manual"
	Never     When = "never" // of rules only
)

// Need is a job that must have ended before.
type Need struct {
	Job       string
	Artifacts bool
	Optional  bool // the job may be missing
}

// Image is an image or a service.
type Image struct {
	Name       string
	Alias      string // services only
	Entrypoint []string
	Command    []string // services only
	PullPolicy []string
	Variables  []Variable // services only
	User       string     // docker: user
	Platform   string     // docker: platform
}

// Artifacts are the files that a job gives.
type Artifacts struct {
	Name      string
	Paths     []string
	Exclude   []string
	Untracked bool
	When      When   // on_success, on_failure, always; "" = on_success
	ExpireIn  string // as written
	DotEnv    []string
	JUnit     []string
}

// Cache is one cache of a job.
type Cache struct {
	Key          string   // may hold variables; "" = default, unless KeyFiles is set
	KeyFiles     []string // the key is made of these files' content
	KeyPrefix    string
	Paths        []string
	Untracked    bool
	Policy       string // pull-push, pull, push, or a variable; "" = pull-push
	When         When
	FallbackKeys []string
}

// Retry says how often a failed job is tried again.
type Retry struct {
	Max  int      // 0 to 2
	When []string // failure reasons; empty = always
}

// Allows tells whether a job that was tried again so many times and failed for that reason gets another try.
func (r Retry) Allows(retries int, reason string) bool {
	if retries >= r.Max {
		return false
	}
	return len(r.When) == 0 || slices.Contains(r.When, "always") || slices.Contains(r.When, reason)
}

// AllowFailure says whether the pipeline goes on when the job fails.
type AllowFailure struct {
	Always    bool
	ExitCodes []int
}

// Allows tells whether a failure with that exit code is allowed.
func (a AllowFailure) Allows(exitCode int) bool {
	return a.Always || slices.Contains(a.ExitCodes, exitCode)
}

// Rule is one entry of rules. The first that matches decides.
type Rule struct {
	If           string // "" matches always
	When         When   // "" = the job's
	AllowFailure *bool
	Variables    []Variable

	line, column int
	match        condition
}
