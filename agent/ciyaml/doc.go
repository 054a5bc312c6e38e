// Package ciyaml reads .gitlab-ci.yml: the part of GitLab's language that people use first. It is no second GitLab: a keyword that
// it does not know is refused by name, with its line and column, and never skipped in silence.
//
// Parse turns bytes into a Pipeline and reports every mistake at once. Pipeline.Resolve applies the rules to the variables at hand
// and gives the jobs that will run, with parallel ones counted out and every need naming a job that exists. Both are pure.
// Source: GitLab documentation, "CI/CD YAML syntax reference".
package ciyaml
