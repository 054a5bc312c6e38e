package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// Severity says what a diagnostic means for the file.
type Severity string

// The severities. A file with an error is not to be run; see Diagnostic.Entry for the exception.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
)

// Diagnostic is one thing that is wrong, or doubtful, in a configuration file.
type Diagnostic struct {
	Severity Severity
	File     string
	Line     int    // 1 is the first; 0 concerns the file as a whole
	Section  string // runners[2].machine; entries count from 0; "" is the top level
	Key      string // IdleScaleFactor; "" concerns the section
	Message  string // what was found and what is allowed

	// Runner is the index of the [[runners]] entry that it concerns, -1 when it concerns no single one. With Entry set, an error
	// keeps only that entry from running, as in GitLab Runner: the others may run.
	Runner int
	Entry  bool
}

// String gives the diagnostic as one line: config.toml:14: runners[2].machine.IdleScaleFactor: -0.5 is negative; use 0 (off) or more
func (d Diagnostic) String() string {
	var b strings.Builder
	b.WriteString(d.File)
	if d.Line > 0 {
		fmt.Fprintf(&b, ":%d", d.Line)
	}
	b.WriteString(": ")
	if d.Severity == SeverityWarning {
		b.WriteString("warning: ")
	}
	if path := join(d.Section, d.Key); path != "" {
		if strings.ContainsFunc(path, unicode.IsControl) { // a key in quotes may hold anything
			path = strconv.Quote(path)
		}
		b.WriteString(path + ": ")
	}
	b.WriteString(d.Message)
	return b.String()
}

// Err returns the errors that forbid to run the file at all, joined, or nil.
func Err(diagnostics []Diagnostic) error {
	var errs []error
	for _, d := range diagnostics {
		if d.Severity == SeverityError && !d.Entry {
			errs = append(errs, errors.New(d.String()))
		}
	}
	return errors.Join(errs...)
}

// Broken returns, by index, why [[runners]] entries cannot run although the file as a whole can: the first reason of each.
func Broken(diagnostics []Diagnostic) map[int]string {
	broken := map[int]string{}
	for _, d := range diagnostics {
		if _, known := broken[d.Runner]; d.Severity == SeverityError && d.Entry && !known {
			broken[d.Runner] = d.String()
		}
	}
	return broken
}

// join puts a key behind its section.
func join(section, key string) string {
	if section == "" || key == "" {
		return section + key
	}
	return section + "." + key
}
