package ciyaml

import (
	"fmt"
	"slices"
)

// relations checks that needs and dependencies name jobs that can have ended before, as far as that is known without rules.
func (r *fileReader) relations(p *Pipeline, order map[string]int) {
	byName := map[string]*Job{}
	names := make([]string, 0, len(p.Jobs))
	for i := range p.Jobs {
		byName[p.Jobs[i].Name] = &p.Jobs[i]
		names = append(names, p.Jobs[i].Name)
	}
	for i := range p.Jobs {
		j := &p.Jobs[i]
		for _, need := range j.Needs {
			if need.Job == "" {
				continue
			}
			target := r.target(j, "needs", need.Job, byName, names, need.Optional)
			if target != nil && order[target.Stage] > order[j.Stage] {
				r.relation(j, "needs", "job %q is in the later stage %q", need.Job, target.Stage)
			}
		}
		for _, name := range j.Dependencies {
			target := r.target(j, "dependencies", name, byName, names, false)
			switch {
			case target == nil:
			case j.Needs != nil && !slices.ContainsFunc(j.Needs, func(n Need) bool { return n.Job == name }):
				r.relation(j, "dependencies", "job %q is not among the needs; add it there", name)
			case j.Needs == nil && order[target.Stage] >= order[j.Stage]:
				r.relation(j, "dependencies", "job %q is in stage %q, which does not end before %q", name, target.Stage, j.Stage)
			}
		}
	}
	r.circles(p, byName)
}

func (r *fileReader) relation(j *Job, keyword, format string, args ...any) {
	at := pos{j.Line, 1}
	if n := r.templates[j.Name].get(keyword); n != nil {
		at = n.pos
	}
	r.problem(at, join(j.Name, keyword), format, args...)
}

func (r *fileReader) target(j *Job, keyword, name string, byName map[string]*Job, names []string, optional bool) *Job {
	if name == j.Name {
		r.relation(j, keyword, "the job names itself")
		return nil
	}
	target := byName[name]
	if target == nil && !optional {
		r.relation(j, keyword, "there is no job %q%s", name, didYouMean(name, names))
	}
	return target
}

// circles reports jobs that need each other.
func (r *fileReader) circles(p *Pipeline, byName map[string]*Job) {
	const (
		open = 1
		done = 2
	)
	state := map[string]int{}
	var visit func(j *Job)
	visit = func(j *Job) {
		state[j.Name] = open
		for _, need := range j.Needs {
			next := byName[need.Job]
			switch {
			case next == nil || next == j || state[need.Job] == done:
			case state[need.Job] == open:
				r.relation(j, "needs", "jobs need each other in a circle: %q and %q", j.Name, need.Job)
			default:
				visit(next)
			}
		}
		state[j.Name] = done
	}
	for i := range p.Jobs {
		if state[p.Jobs[i].Name] == 0 {
			visit(&p.Jobs[i])
		}
	}
}

// Resolve gives the jobs that run, in order, for the variables at hand: rules are applied, parallel jobs are counted out, and
// needs and dependencies name exactly the jobs that are there.
//
// predefined are the variables that the pipeline's own may refer to and override; outer ones (secrets, those of the command line)
// override both. It fails, with Problems, when a rule can't be evaluated, when variables name each other in a circle, when a needed
// job is not in the pipeline, or when no job is left. p is not changed.
func (p *Pipeline) Resolve(predefined, outer []Variable) ([]Job, error) {
	var problems Problems
	report := func(j *Job, line int, column int, format string, args ...any) {
		problems = append(problems, Problem{File: p.File, Line: line, Column: column, Path: j.Name, Text: fmt.Sprintf(format, args...)})
	}
	var jobs []Job
	instances := map[string][]string{} // names by base name
	for _, j := range p.Jobs {
		j.Variables = override(p.Variables, j.Variables)
		in, err := j.apply(slices.Concat(predefined, j.Variables, outer))
		if err != nil {
			report(&j, err.line, err.column, "%v", err.cause)
			continue
		}
		if !in {
			continue
		}
		expanded := j.instances()
		for _, instance := range expanded {
			instances[j.Base] = append(instances[j.Base], instance.Name)
		}
		jobs = append(jobs, expanded...)
	}
	for i := range jobs {
		j := &jobs[i]
		j.Dependencies = expandNames(j.Dependencies, instances)
		needs := j.Needs
		if needs != nil {
			j.Needs = []Need{}
		}
		for _, need := range needs {
			names := instances[need.Job]
			if len(names) == 0 && !need.Optional {
				report(j, j.Line, 1, "needs job %q, which the rules leave out; make the need optional or give both the same rules", need.Job)
			}
			for _, name := range names {
				j.Needs = append(j.Needs, Need{Job: name, Artifacts: need.Artifacts, Optional: need.Optional})
			}
		}
	}
	if len(jobs) == 0 && len(problems) == 0 {
		problems = append(problems, Problem{File: p.File, Text: "the rules leave no job to run"})
	}
	return jobs, problems.err()
}

// expandNames replaces the names of parallel jobs by those of their instances. It keeps nil and empty apart.
func expandNames(names []string, instances map[string][]string) []string {
	if names == nil {
		return nil
	}
	out := []string{}
	for _, name := range names {
		out = append(out, instances[name]...)
	}
	return out
}

// override adds variables to others; equal keys keep their place and take the new value.
func override(under, over []Variable) []Variable {
	out := slices.Clone(under)
	for _, v := range over {
		if i := slices.IndexFunc(out, func(o Variable) bool { return o.Key == v.Key }); i >= 0 {
			out[i] = v
			continue
		}
		out = append(out, v)
	}
	return out
}

// ruleError is a rule that can't be evaluated.
type ruleError struct {
	line, column int
	cause        error
}

// apply looks for the first rule that matches, and tells whether the job is in the pipeline.
func (j *Job) apply(variables []Variable) (bool, *ruleError) {
	expanded, err := Expand(variables)
	if err != nil {
		return false, &ruleError{j.Line, 1, err}
	}
	rules := j.Rules
	if j.Rules = nil; rules == nil {
		return true, nil
	}
	lookup := lookupIn(expanded)
	for i, rule := range rules {
		if rule.match != nil {
			v, err := rule.match(lookup)
			if err != nil {
				return false, &ruleError{rule.line, rule.column, fmt.Errorf("rules[%d].if: %w", i, err)}
			}
			if !v.true() {
				continue
			}
		}
		if rule.When != "" {
			j.When = rule.When
		}
		if rule.AllowFailure != nil {
			j.AllowFailure = AllowFailure{Always: *rule.AllowFailure}
		}
		j.Variables = override(j.Variables, rule.Variables)
		return j.When != Never, nil
	}
	return false, nil
}

// instances are the jobs that a job stands for: itself, or "name 1/3" and so on.
func (j Job) instances() []Job {
	if j.Parallel == 0 {
		return []Job{j}
	}
	out := make([]Job, j.Parallel)
	for i := range out {
		out[i] = j
		out[i].Index = i + 1
		out[i].Name = fmt.Sprintf("%s %d/%d", j.Base, i+1, j.Parallel)
	}
	return out
}
