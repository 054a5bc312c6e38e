package ciyaml

import (
	"fmt"
	"time"
)

// jobReader reads the keywords of a job.
type jobReader struct {
	*reader
}

const (
	maxParallel = 200
	maxCaches   = 4 // caches of a job
)

func (r *jobReader) job(n *node, entry pair) Job {
	j := Job{Name: entry.key, Base: entry.key, Stage: "test", Line: entry.pos.line, When: OnSuccess}
	r.fields(n, entry.key, r.table(&j))
	// GitLab lets a manual job fail unless told otherwise, but not when a rule made it manual.
	if j.When == Manual && len(j.Rules) == 0 && n.get("allow_failure") == nil {
		j.AllowFailure.Always = true
	}
	return j
}

// table is every keyword of a job.
func (r *jobReader) table(j *Job) table {
	return table{
		"extends":       func(*node, string) {},
		"stage":         func(n *node, p string) { j.Stage = r.str(n, p) },
		"script":        func(n *node, p string) { j.Script = r.commands(n, p) },
		"before_script": func(n *node, p string) { j.BeforeScript = r.script(n, p) },
		"after_script":  func(n *node, p string) { j.AfterScript = r.script(n, p) },
		"hooks": func(n *node, p string) {
			r.fields(n, p, table{"pre_get_sources_script": func(n *node, p string) { j.PreGetSources = r.script(n, p) }})
		},
		"image":         func(n *node, p string) { j.Image = r.image(n, p, false) },
		"services":      func(n *node, p string) { j.Services = r.services(n, p) },
		"variables":     func(n *node, p string) { j.Variables = r.variables(n, p) },
		"tags":          func(n *node, p string) { j.Tags = r.strings(n, p) },
		"when":          func(n *node, p string) { j.When = r.when(n, p, OnSuccess, OnFailure, Always, Manual) },
		"rules":         func(n *node, p string) { j.Rules = r.rules(n, p) },
		"allow_failure": func(n *node, p string) { j.AllowFailure = r.allowFailure(n, p) },
		"retry":         func(n *node, p string) { j.Retry = r.retry(n, p) },
		"timeout":       func(n *node, p string) { j.Timeout = r.duration(n, p) },
		"interruptible": func(n *node, p string) { j.Interruptible = r.boolean(n, p) },
		"needs":         func(n *node, p string) { j.Needs = r.needs(n, p) },
		"dependencies":  func(n *node, p string) { j.Dependencies = r.strings(n, p) },
		"artifacts":     func(n *node, p string) { j.Artifacts = r.artifacts(n, p) },
		"cache":         func(n *node, p string) { j.Cache = r.caches(n, p) },
		"parallel":      func(n *node, p string) { j.Parallel = r.parallel(n, p) },
	}
}

// commands is a script that must not be empty.
func (r *jobReader) commands(n *node, path string) []string {
	before := len(r.problems)
	lines := r.script(n, path)
	if len(lines) == 0 && len(r.problems) == before && !n.said {
		r.problem(n.pos, path, "is empty; write at least one command")
	}
	return lines
}

func (r *jobReader) when(n *node, path string, allowed ...When) When {
	if n.text == "delayed" {
		r.problem(n.pos, path, "delayed is GitLab's, but not understood here; use on_success or manual")
		return OnSuccess
	}
	words := make([]string, len(allowed))
	for i, w := range allowed {
		words[i] = string(w)
	}
	return When(r.word(n, path, words...))
}

func (r *jobReader) duration(n *node, path string) time.Duration {
	if n.kind != kindString && n.kind != kindNumber {
		r.want(n, path, "a span of time; write it like 1h 30m")
		return 0
	}
	d, err := ParseDuration(n.text)
	if err != nil {
		r.problem(n.pos, path, "%v", err)
	}
	return d
}

func (r *jobReader) parallel(n *node, path string) int {
	if n.kind == kindMap {
		for _, p := range n.pairs {
			r.unknown(p, path, nil)
		}
		return 0
	}
	return r.integer(n, path, 1, maxParallel)
}

func (r *jobReader) allowFailure(n *node, path string) (out AllowFailure) {
	if n.kind != kindMap {
		out.Always = r.boolean(n, path)
		return out
	}
	r.fields(n, path, table{"exit_codes": func(n *node, p string) {
		list := []*node{n}
		if n.kind == kindList {
			list = n.items
		}
		for i, item := range list {
			out.ExitCodes = append(out.ExitCodes, r.integer(item, fmt.Sprintf("%s[%d]", p, i), 1, 255))
		}
	}})
	return out
}

// retryReasons are the words of retry:when: always, and the failure reasons that GitLab lets one name.
var retryReasons = []string{
	"always", "unknown_failure", "script_failure", "api_failure", "stuck_or_timeout_failure", "runner_system_failure",
	"runner_unsupported", "stale_schedule", "job_execution_timeout", "archived_failure", "unmet_prerequisites",
	"scheduler_failure", "data_integrity_failure", "runner_provisioning_timeout", "runner_configuration_error",
	"runner_external_dependency_failure", "runner_interrupted",
}

func (r *jobReader) retry(n *node, path string) (out Retry) {
	if n.kind != kindMap {
		out.Max = r.integer(n, path, 0, 2)
		return out
	}
	r.fields(n, path, table{
		"max":  func(n *node, p string) { out.Max = r.integer(n, p, 0, 2) },
		"when": func(n *node, p string) { out.When = r.words(n, p, retryReasons...) },
	})
	return out
}

func (r *jobReader) needs(n *node, path string) []Need {
	out := []Need{}
	if n.kind != kindList {
		r.want(n, path, "a list of jobs")
		return out
	}
	for i, item := range n.items {
		p := fmt.Sprintf("%s[%d]", path, i)
		need := Need{Artifacts: true}
		if item.kind != kindMap {
			need.Job = r.str(item, p)
			out = append(out, need)
			continue
		}
		r.fields(item, p, table{
			"job":       func(n *node, p string) { need.Job = r.str(n, p) },
			"artifacts": func(n *node, p string) { need.Artifacts = r.boolean(n, p) },
			"optional":  func(n *node, p string) { need.Optional = r.boolean(n, p) },
		})
		if item.get("job") == nil {
			r.problem(item.pos, p, "has no job")
		}
		out = append(out, need)
	}
	return out
}

func (r *jobReader) rules(n *node, path string) []Rule {
	if n.kind != kindList {
		r.want(n, path, "a list of rules")
		return nil
	}
	if len(n.items) == 0 {
		r.problem(n.pos, path, "is empty; write at least one rule")
	}
	var out []Rule
	count := 0
	r.flatten(n, path, &count, func(n *node, p string) {
		rule := Rule{line: n.pos.line, column: n.pos.column}
		r.fields(n, p, table{
			"if":   func(n *node, p string) { rule.If = r.str(n, p); rule.match = r.condition(n, p) },
			"when": func(n *node, p string) { rule.When = r.when(n, p, OnSuccess, OnFailure, Always, Manual, Never) },
			"allow_failure": func(n *node, p string) {
				allow := r.boolean(n, p)
				rule.AllowFailure = &allow
			},
			"variables": func(n *node, p string) { rule.Variables = r.variables(n, p) },
		})
		out = append(out, rule)
	})
	return out
}

func (r *jobReader) condition(n *node, path string) condition {
	c, err := parseCondition(n.text)
	if err != nil {
		r.problem(n.pos, path, "%v", err)
	}
	return c
}
