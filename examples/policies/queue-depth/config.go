package main

import (
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// config is what queue-depth.toml says below [config], checked.
type config struct {
	url        string // of GitLab, without a slash at its end
	credential string // its name in millwright.toml
	scheme     string // how that signs: header or bearer
	projects   []string
	groups     []string
	runner     int      // its ID at GitLab, whose tags are asked for; 0 takes those below
	tags       []string // of the runner
	untagged   bool     // whether the runner takes jobs without tags

	jobsPerMachine int
	maxExtra       int // machines; 0 sets no limit
	staleS         int
	maxRequests    int // in one observation
}

// integers are the settings that are whole numbers, with their bounds.
var integers = []struct {
	name      string
	low, high int
	into      func(*config) *int
	allowed   string
}{
	{"runner", 0, 1 << 40, func(c *config) *int { return &c.runner }, "the number that its page at GitLab shows"},
	{"jobs_per_machine", 1, 1000, func(c *config) *int { return &c.jobsPerMachine }, "1 to 1000"},
	{"max_extra", 0, 100_000, func(c *config) *int { return &c.maxExtra }, "0 (no limit) to 100000"},
	{"stale_s", 10, 3600, func(c *config) *int { return &c.staleS }, "10 to 3600"},
	{"max_requests", 1, 100, func(c *config) *int { return &c.maxRequests }, "1 to 100"},
}

var known = []string{"url", "credential", "scheme", "projects", "groups", "runner", "tags", "run_untagged", "jobs_per_machine", "max_extra", "stale_s", "max_requests"}

// parse reads the configuration and lists all that is wrong with it.
func parse(raw abi.Raw) (config, []abi.Problem) {
	c := config{url: "https://gitlab.com", scheme: "header", untagged: true, jobsPerMachine: 1, staleS: 180, maxRequests: 20}
	var problems []abi.Problem
	wrong := func(option, message string) {
		problems = append(problems, abi.Problem{Option: option, Message: message})
	}
	for _, name := range raw.Names() {
		if !contains(known, name) {
			wrong(name, "is not known; there are "+strings.Join(known, ", "))
		}
	}
	text := func(name string, into *string) {
		if v := raw.Field(name); len(v) > 0 {
			var ok bool
			if *into, ok = v.Text(); !ok {
				wrong(name, "is no text")
			}
		}
	}
	text("url", &c.url)
	text("credential", &c.credential)
	text("scheme", &c.scheme)
	if v := raw.Field("run_untagged"); len(v) > 0 {
		var ok bool
		if c.untagged, ok = v.Bool(); !ok {
			wrong("run_untagged", "is neither true nor false")
		}
	}
	for _, i := range integers {
		if v := raw.Field(i.name); len(v) > 0 {
			n, ok := v.Int()
			if !ok || n < i.low || n > i.high {
				wrong(i.name, string(v)+" is out of range; use "+i.allowed)
			}
			*i.into(&c) = n
		}
	}
	texts := func(name string, into *[]string) {
		for _, item := range raw.Field(name).Items() {
			s, ok := item.Text()
			if id, isInt := item.Int(); isInt {
				s, ok = strconv.Itoa(id), true
			}
			if !ok || s == "" {
				wrong(name, string(item)+" is neither a text nor a number")
			}
			*into = append(*into, s)
		}
	}
	texts("projects", &c.projects)
	texts("groups", &c.groups)
	texts("tags", &c.tags)
	return c, append(problems, c.check()...)
}

// check lists what is wrong with the values as a whole.
func (c *config) check() []abi.Problem {
	var problems []abi.Problem
	c.url = strings.TrimRight(c.url, "/")
	if !strings.HasPrefix(c.url, "https://") && !strings.HasPrefix(c.url, "http://") {
		problems = append(problems, abi.Problem{Option: "url", Message: strconv.Quote(c.url) + " is no address; write https:// and GitLab's hostname"})
	}
	if c.scheme != "header" && c.scheme != "bearer" {
		problems = append(problems, abi.Problem{Option: "scheme", Message: strconv.Quote(c.scheme) + " is not known; use header (a PRIVATE-TOKEN) or bearer"})
	}
	if len(c.projects)+len(c.groups) == 0 {
		problems = append(problems, abi.Problem{Option: "projects", Message: "is empty; name the projects or groups whose jobs the runner takes"})
	}
	return problems
}

func contains(all []string, s string) bool {
	for _, one := range all {
		if one == s {
			return true
		}
	}
	return false
}
