package config

import (
	"errors"
	"fmt"
	"strings"
)

// Entry is a [[runners]] entry in the making.
type Entry struct{ table *table }

// NewEntry is an empty one.
func NewEntry() *Entry { return &Entry{newTable()} }

// ParseTemplate reads the text of a template: a file with one [[runners]] entry and nothing else that counts. Keys that nobody knows
// are kept. The identity of another runner in it (id, token and its times) is dropped.
func ParseTemplate(data []byte) (*Entry, error) {
	root, err := parseTree(data)
	if err != nil {
		var syntax *syntaxError
		if errors.As(err, &syntax) {
			return nil, fmt.Errorf("line %d: not TOML: %s", syntax.line, syntax.msg)
		}
		return nil, err
	}
	entries := runnersOf(root)
	if len(entries) != 1 || entries[0].table == nil {
		return nil, fmt.Errorf("it holds %d [[runners]] entries; a template has exactly one", len(entries))
	}
	e := &Entry{entries[0].table}
	for _, key := range []string{"id", "token", "token_obtained_at", "token_expires_at"} {
		e.table.drop(key)
	}
	return e, nil
}

// Set puts a value under a dotted path of plain keys, as runners.docker.image without its first part. See newValue for what it takes.
func (e *Entry) Set(path string, v any) {
	keys := strings.Split(path, ".")
	at := e.table
	for _, key := range keys[:len(keys)-1] {
		inner := at.getFold(key)
		if inner == nil || inner.table == nil {
			at.drop(key)
			inner = &value{kind: kindTable, table: newTable()}
			at.set(key, 0, inner)
		}
		at = inner.table
	}
	last := keys[len(keys)-1]
	for _, other := range at.entries {
		if strings.EqualFold(other.key, last) {
			last = other.key
		}
	}
	at.put(last, newValue(v))
}

// find returns the value under a path, or nil.
func (e *Entry) find(path string) *value {
	at := &value{kind: kindTable, table: e.table}
	for key := range strings.SplitSeq(path, ".") {
		if at.table == nil {
			return nil
		}
		if at = at.table.getFold(key); at == nil {
			return nil
		}
	}
	return at
}

// Has tells whether a path has a value that says something: GitLab Runner takes empty and zero ones for none.
func (e *Entry) Has(path string) bool {
	v := e.find(path)
	return v != nil && !v.zero()
}

// Text is the string under a path; "" where there is none.
func (e *Entry) Text(path string) string {
	if v := e.find(path); v != nil && v.kind == kindString {
		return v.text
	}
	return ""
}

// List is the list of strings under a path.
func (e *Entry) List(path string) []string {
	v := e.find(path)
	if v == nil {
		return nil
	}
	var out []string
	for _, item := range v.list {
		out = append(out, item.text)
	}
	return out
}

// front are the keys that stand first, in GitLab Runner's order.
var front = []string{"name", "url", "id", "token", "token_obtained_at", "token_expires_at", "tls-ca-file", "tls-cert-file", "tls-key-file", "executor", "shell"}

// String is the entry as TOML, its identity first.
func (e *Entry) String() string {
	sorted := newTable()
	for _, key := range front {
		if v := e.table.getFold(key); v != nil {
			sorted.set(key, 0, v)
		}
	}
	for _, other := range e.table.entries {
		if !containsFold(front, other.key) {
			sorted.set(other.key, 0, other.value)
		}
	}
	var b strings.Builder
	b.WriteString("[[runners]]\n")
	encodeTable(&b, sorted, "runners", 1)
	return b.String()
}

func containsFold(words []string, word string) bool {
	for _, w := range words {
		if strings.EqualFold(w, word) {
			return true
		}
	}
	return false
}
