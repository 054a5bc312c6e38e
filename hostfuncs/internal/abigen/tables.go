package main

import (
	"fmt"
	"strings"
)

// The tables of ABI.md stand between these two lines, the first with the name of a struct or of a string type.
const (
	tableStart = "<!-- abigen: "
	tableEnd   = "<!-- /abigen -->"
)

// tables returns the text of ABI.md with every table made anew. Every struct must have one.
func tables(s *shapes, text string) (string, error) {
	var out strings.Builder
	missing := map[string]bool{}
	for _, name := range s.order {
		missing[name] = true
	}
	for rest := text; ; {
		before, after, found := strings.Cut(rest, tableStart)
		out.WriteString(before)
		if !found {
			break
		}
		name, after, _ := strings.Cut(after, " -->\n")
		_, after, found = strings.Cut(after, tableEnd)
		if !found {
			return "", fmt.Errorf("ABI.md: the table of %s has no end: put %s behind it", name, tableEnd)
		}
		var body string
		switch {
		case s.objects[name] != nil:
			body = fieldTable(s.objects[name])
		case len(s.enums[name]) > 0:
			body = valueTable(s.enums[name])
		default:
			return "", fmt.Errorf("ABI.md: wants a table of %q, and sdk/go/abi has no such type", name)
		}
		delete(missing, name)
		out.WriteString(tableStart + name + " -->\n" + body + tableEnd)
		rest = after
	}
	for _, name := range s.order {
		if missing[name] {
			return "", fmt.Errorf("ABI.md: has no table of %s; add the lines %s%s --> and %s where it belongs", name, tableStart, name, tableEnd)
		}
	}
	return out.String(), nil
}

func fieldTable(o *object) string {
	var b strings.Builder
	b.WriteString("| Field | Type | Range | Written | Meaning |\n| --- | --- | --- | --- | --- |\n")
	for _, f := range o.fields {
		l := limitOf(o, f)
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", f.wire, f.shape.words(), escape(l.words()), written(f), escape(f.doc))
	}
	return b.String()
}

func valueTable(values []constant) string {
	var b strings.Builder
	b.WriteString("| Value | Meaning |\n| --- | --- |\n")
	for _, v := range values {
		fmt.Fprintf(&b, "| `%s` | %s |\n", v.value, escape(v.doc))
	}
	return b.String()
}

// escape keeps a cell one cell.
func escape(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

// written says when the canonical form has the field.
func written(f field) string {
	switch {
	case !f.omitempty:
		return "always"
	case f.shape.option != nil:
		return "if set"
	case f.shape.basic == boolean:
		return "if true"
	case f.shape.basic == integer || f.shape.basic == long || f.shape.basic == float:
		return "unless 0"
	}
	return "unless empty"
}

// words names the type as JSON has it, with a link where it has a table of its own.
func (s shape) words() string {
	switch {
	case s.name == "Options":
		return "[Options](#options)"
	case s.option != nil:
		return s.option.words()
	case s.strukt != nil:
		return "[" + s.strukt.name + "](#" + strings.ToLower(s.strukt.name) + ")"
	case s.list != nil:
		return "list of " + plural(s.list.words())
	case s.table != nil:
		return "object of " + plural(s.table.words())
	}
	switch s.basic {
	case integer, long:
		return "integer"
	case float:
		return "number"
	case boolean:
		return "boolean"
	case raw:
		return "any"
	case binary:
		return "base64"
	}
	if s.name != "" {
		return "[" + s.name + "](#" + strings.ToLower(s.name) + ")"
	}
	return "string"
}

func plural(word string) string {
	if strings.HasPrefix(word, "[") {
		return word
	}
	first, rest, more := strings.Cut(word, " ")
	if more {
		return first + "s " + rest
	}
	return first + "s"
}
