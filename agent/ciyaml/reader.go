package ciyaml

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// maxLines bounds a flattened list: aliases in aliases can stand for billions.
const maxLines = 10_000

// reader turns nodes into values and gathers the mistakes. Its methods return a zero value for a mistaken node.
type reader struct {
	problems Problems
	merges   int // pairs looked at while merging templates
}

func (r *reader) problem(at pos, path, format string, args ...any) {
	r.problems = append(r.problems, Problem{Line: at.line, Column: at.column, Path: path, Text: fmt.Sprintf(format, args...)})
}

// want reports a node of the wrong kind.
func (r *reader) want(n *node, path, what string) {
	if !n.said {
		r.problem(n.pos, path, "%s is not %s", found(n), what)
	}
}

// found describes a node in a message.
func found(n *node) string {
	switch n.kind {
	case kindString:
		return fmt.Sprintf("%.60q", n.text)
	case kindNumber, kindBool:
		return n.text
	default:
		return n.kind.String()
	}
}

// table says what to do with each key of a mapping.
type table map[string]func(n *node, path string)

// fields reads a mapping by a table and refuses other keys.
func (r *reader) fields(n *node, path string, t table) {
	if n.kind != kindMap {
		r.want(n, path, "a mapping")
		return
	}
	for _, p := range n.pairs {
		if read, ok := t[p.key]; ok {
			read(p.value, join(path, p.key))
			continue
		}
		r.unknown(p, path, slices.Sorted(maps.Keys(t)))
	}
}

// unknown refuses a key and says what may have been meant.
func (r *reader) unknown(p pair, path string, known []string) {
	if gitlabKeywords[p.key] {
		r.problem(p.pos, path, "keyword %q is GitLab's, but not understood here; remove it, or run this on GitLab", p.key)
		return
	}
	r.problem(p.pos, path, "unknown keyword %q%s", p.key, didYouMean(p.key, known))
}

// gitlabKeywords are words of GitLab's language that are refused as such and not as slips of the pen.
var gitlabKeywords = map[string]bool{
	"include": true, "workflow": true, "spec": true, "only": true, "except": true, "environment": true, "coverage": true,
	"trigger": true, "release": true, "resource_group": true, "secrets": true, "id_tokens": true, "inherit": true,
	"dast_configuration": true, "pages": true, "publish": true, "start_in": true, "identity": true, "manual_confirmation": true,
	"run": true, "inputs": true, "matrix": true, "changes": true, "exists": true, "access": true, "public": true,
	"expose_as": true, "ports": true, "kubernetes": true, "options": true, "unprotect": true, "files_commits": true,
	"pipeline": true, "project": true, "ref": true, "exit_codes": true, "needs": true, "interruptible": true,
	"annotations": true, "coverage_report": true, "codequality": true, "sast": true, "secret_detection": true,
	"dependency_scanning": true, "container_scanning": true, "dast": true, "terraform": true, "cyclonedx": true, "metrics": true,
	"load_performance": true, "browser_performance": true, "api_fuzzing": true, "coverage_fuzzing": true, "accessibility": true,
	"license_scanning": true, "requirements": true, "repository_xray": true,
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// str reads a string; numbers and booleans are taken as written when GitLab would give them back so.
func (r *reader) str(n *node, path string) string {
	switch n.kind {
	case kindString, kindNumber, kindBool:
		r.asWritten(n, path)
		return n.text
	}
	r.want(n, path, "a string")
	return ""
}

// asWritten refuses plain scalars that GitLab's YAML 1.1 turns into something else than what is written: 1.20 becomes 1.2, 0755
// becomes 493, yes becomes true.
func (r *reader) asWritten(n *node, path string) {
	if !n.plain {
		return
	}
	becomes := ""
	switch n.kind {
	case kindNumber:
		becomes = rubyNumber(n.text)
	case kindBool:
		becomes = strings.ToLower(n.text)
	case kindString:
		if b, ok := oldBoolean(n.text); ok {
			becomes = strconv.FormatBool(b)
		}
	}
	if becomes != "" && becomes != n.text {
		r.problem(n.pos, path, "%s without quotes becomes %s in GitLab; put it in quotes", n.text, becomes)
	}
}

// rubyNumber writes a plain number as GitLab would give it back.
func rubyNumber(text string) string {
	clean := strings.ReplaceAll(text, "_", "")
	if i, err := strconv.ParseInt(clean, 0, 64); err == nil {
		return strconv.FormatInt(i, 10)
	}
	f, err := strconv.ParseFloat(clean, 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return "another number"
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// oldBoolean knows the words that are booleans in YAML 1.1 and strings in YAML 1.2.
func oldBoolean(text string) (value, ok bool) {
	switch text {
	case "yes", "Yes", "YES", "on", "On", "ON":
		return true, true
	case "no", "No", "NO", "off", "Off", "OFF":
		return false, true
	}
	return false, false
}

func (r *reader) boolean(n *node, path string) bool {
	if n.kind == kindBool {
		return strings.EqualFold(n.text, "true")
	}
	if b, ok := oldBoolean(n.text); ok && n.plain && n.kind == kindString {
		return b
	}
	r.want(n, path, "true or false")
	return false
}

// integer reads a whole number from low to high.
func (r *reader) integer(n *node, path string, low, high int) int {
	i, err := strconv.Atoi(n.text)
	if n.kind != kindNumber || err != nil || i < low || i > high {
		r.problem(n.pos, path, "%s is not a whole number from %d to %d", found(n), low, high)
		return low
	}
	return i
}

// word reads one of a few words.
func (r *reader) word(n *node, path string, allowed ...string) string {
	if n.kind != kindString || !slices.Contains(allowed, n.text) {
		r.problem(n.pos, path, "%s is not allowed%s", found(n), instead(n.text, allowed))
		return ""
	}
	return n.text
}

// strings reads a list of strings. A string alone counts as a list of one.
func (r *reader) strings(n *node, path string) []string {
	if n.kind != kindList {
		if n.kind == kindNull || n.kind == kindMap {
			r.want(n, path, "a string or a list of strings")
			return nil
		}
		return []string{r.str(n, path)}
	}
	out := make([]string, 0, len(n.items))
	for i, item := range n.items {
		out = append(out, r.str(item, fmt.Sprintf("%s[%d]", path, i)))
	}
	return out
}

// words reads a list of words out of a few, or one alone.
func (r *reader) words(n *node, path string, allowed ...string) []string {
	if n.kind != kindList {
		return []string{r.word(n, path, allowed...)}
	}
	out := make([]string, 0, len(n.items))
	for i, item := range n.items {
		out = append(out, r.word(item, fmt.Sprintf("%s[%d]", path, i), allowed...))
	}
	return out
}

// script reads a string or a list of strings with lists in it, as templates make them, and flattens it.
func (r *reader) script(n *node, path string) []string {
	out := []string{}
	if n.kind == kindNull || n.kind == kindMap {
		r.want(n, path, "a string or a list of strings")
		return out
	}
	count := 0
	r.flatten(n, path, &count, func(item *node, path string) {
		if item.kind == kindMap {
			r.problem(item.pos, path, "a mapping is not a command; put quotes around a line that holds \": \"")
			return
		}
		if item.kind == kindNull {
			r.want(item, path, "a command")
			return
		}
		out = append(out, item.text)
	})
	return out
}

// flatten calls each for every item of a nested list, in order, and stops at maxLines.
func (r *reader) flatten(n *node, path string, count *int, each func(n *node, path string)) {
	if *count++; *count > maxLines {
		if *count == maxLines+1 {
			r.problem(n.pos, path, "more than %d lines are too many", maxLines)
		}
		return
	}
	if n.kind != kindList {
		each(n, path)
		return
	}
	for i, item := range n.items {
		if *count > maxLines {
			return
		}
		r.flatten(item, fmt.Sprintf("%s[%d]", path, i), count, each)
	}
}
