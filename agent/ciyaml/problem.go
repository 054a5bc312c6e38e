package ciyaml

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one mistake in a file.
type Problem struct {
	File   string
	Line   int // from 1; 0 when the mistake has no place, as in an empty file
	Column int // from 1, in characters
	Path   string
	Text   string
}

// Error gives "file:line:column: path: what, why; what to do".
func (p Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": ")
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Text)
	return b.String()
}

// Problems are all mistakes of a file, in the order of their places.
type Problems []Problem

// Error gives one line per mistake.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.Error()
	}
	return strings.Join(lines, "\n")
}

// err sorts the problems, drops those said twice (a template is read once per job that extends it), and returns nil for none.
func (p Problems) err() error {
	if len(p) == 0 {
		return nil
	}
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	type said struct {
		line, column int
		text         string
	}
	seen := map[said]bool{}
	kept := p[:0]
	for _, problem := range p {
		k := said{problem.Line, problem.Column, problem.Text}
		if !seen[k] {
			seen[k] = true
			kept = append(kept, problem)
		}
	}
	return kept
}

// nearest returns the word of known that differs least from word, or "" when none is near enough to be meant.
func nearest(word string, known []string) string {
	if len(word) > maxNameLength {
		return ""
	}
	best, bestDistance := "", 1+len(word)/3
	for _, k := range known {
		if d := distance(word, k); d <= bestDistance && (best == "" || d < bestDistance) {
			best, bestDistance = k, d
		}
	}
	return best
}

// distance is the number of insertions, removals, replacements and swaps of neighbours between a and b.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// didYouMean ends a message with the nearest known word, or with all of them when they are few.
func didYouMean(word string, known []string) string {
	if n := nearest(word, known); n != "" {
		return fmt.Sprintf("; did you mean %q?", n)
	}
	if len(known) > 0 && len(known) <= 12 {
		return "; use " + orList(known)
	}
	return ""
}

// instead is didYouMean where all the allowed words help most, as long as they are not too many.
func instead(word string, allowed []string) string {
	if len(allowed) <= 12 {
		return "; use " + orList(allowed)
	}
	return didYouMean(word, allowed)
}

// orList joins words as "a, b or c".
func orList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}
