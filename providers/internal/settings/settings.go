// Package settings reads a driver's options and notes what is wrong with them.
package settings

import (
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Reader reads options. What is wrong with them is in Problems.
type Reader struct {
	Options  abi.Options
	Problems []abi.Problem
}

// Get returns an option's value, or otherwise.
func (r *Reader) Get(option, otherwise string) string { return Or(r.Options.Get(option), otherwise) }

// Whole reads a whole number from least to most.
func (r *Reader) Whole(option string, otherwise, least, most int) int {
	text := r.Options.Get(option)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		r.Bad(option, text, "a whole number from "+strconv.Itoa(least)+" to "+strconv.Itoa(most))
	}
	return n
}

// Bad notes a value that can't be used.
func (r *Reader) Bad(option, value, allowed string) {
	r.Problems = append(r.Problems, abi.Problem{Option: option, Message: strconv.Quote(Short(value)) + " is not allowed; use " + allowed})
}

// Odd notes a value that looks wrong, which only the cloud can judge; hint says what a right one is like.
func (r *Reader) Odd(option, value, hint string) {
	r.Warn(option, strconv.Quote(Short(value))+" looks wrong; "+hint)
}

// Wrong notes what is wrong with an option in words of its own.
func (r *Reader) Wrong(option, message string) {
	r.Problems = append(r.Problems, abi.Problem{Option: option, Message: message})
}

// Warn notes what may stay.
func (r *Reader) Warn(option, message string) {
	r.Problems = append(r.Problems, abi.Problem{Option: option, Message: message, Warning: true})
}

// Err is the first problem that is no warning, as an error; nil when there is none.
func (r *Reader) Err() error {
	for _, p := range r.Problems {
		if !p.Warning {
			return &abi.Error{Kind: abi.Invalid, Message: p.Option + ": " + p.Message}
		}
	}
	return nil
}

// Or returns value, or otherwise when that is "".
func Or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

// Short keeps messages readable.
func Short(s string) string {
	if len(s) > 100 {
		return strings.ToValidUTF8(s[:100], "") + "..."
	}
	return s
}

// Commas returns the parts of a list that is separated by commas.
func Commas(list string) []string {
	var out []string
	for part := range strings.SplitSeq(list, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}
