package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// newValue turns a Go value into one of the file. It takes strings, secrets, booleans, numbers, times, lists of strings, and maps of
// strings or of lists of them; anything else is a mistake of the caller and becomes its text.
func newValue(v any) *value {
	switch v := v.(type) {
	case bool:
		return &value{kind: kindBool, text: strconv.FormatBool(v)}
	case int64:
		return &value{kind: kindInt, text: strconv.FormatInt(v, 10)}
	case float64:
		text := strconv.FormatFloat(v, 'f', -1, 64)
		if !strings.ContainsAny(text, ".IN") { // the dot makes it a float; infinities have none
			text += ".0"
		}
		return &value{kind: kindFloat, text: text}
	case time.Time:
		return &value{kind: kindTime, text: v.UTC().Truncate(time.Second).Format(time.RFC3339)}
	case []string:
		list := &value{kind: kindList}
		for _, s := range v {
			list.list = append(list.list, newValue(s))
		}
		return list
	case map[string]string:
		return newTableOf(v)
	case map[string][]string:
		return newTableOf(v)
	case map[string]bool:
		return newTableOf(v)
	case Secret:
		return &value{kind: kindString, text: v.Reveal()}
	}
	return &value{kind: kindString, text: fmt.Sprint(v)}
}

func newTableOf[T any](m map[string]T) *value {
	out := &value{kind: kindTable, table: newTable()}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		out.table.set(key, 0, newValue(m[key]))
	}
	return out
}

// encodeInline writes a value in one line.
func encodeInline(v *value) string {
	var parts []string
	switch v.kind {
	case kindString:
		return quote(v.text)
	case kindList, kindTableSet:
		for _, e := range v.list {
			parts = append(parts, encodeInline(e))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case kindTable:
		for _, e := range v.table.entries {
			parts = append(parts, encodeKey(e.key)+" = "+encodeInline(e.value))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return v.text
}

var bareKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

func encodeKey(key string) string {
	if bareKey.MatchString(key) {
		return key
	}
	return quote(key)
}

// quote writes a basic string of TOML 1.0.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// encodeTable writes a table's keys, and then its sections. path is its own; depth indents by two blanks for each.
func encodeTable(b *strings.Builder, t *table, path string, depth int) {
	indent := strings.Repeat("  ", depth)
	for _, e := range t.entries {
		if e.value.kind != kindTable && e.value.kind != kindTableSet {
			fmt.Fprintf(b, "%s%s = %s\n", indent, encodeKey(e.key), encodeInline(e.value))
		}
	}
	for _, e := range t.entries {
		name := join(path, encodeKey(e.key))
		switch e.value.kind {
		case kindTable:
			fmt.Fprintf(b, "%s[%s]\n", indent, name)
			encodeTable(b, e.value.table, name, depth+1)
		case kindTableSet:
			for _, item := range e.value.list {
				fmt.Fprintf(b, "%s[[%s]]\n", indent, name)
				encodeTable(b, item.table, name, depth+1)
			}
		}
	}
}

// getFold is get without regard to case, as GitLab Runner reads keys; an exact match wins.
func (t *table) getFold(key string) *value {
	if v := t.get(key); v != nil {
		return v
	}
	for _, e := range t.entries {
		if strings.EqualFold(e.key, key) {
			return e.value
		}
	}
	return nil
}

// put sets a key, in its place when it is there.
func (t *table) put(key string, v *value) {
	if i, ok := t.index[key]; ok {
		t.entries[i].value = v
		return
	}
	t.set(key, 0, v)
}

// drop removes a key without regard to case.
func (t *table) drop(key string) {
	t.entries = slices.DeleteFunc(t.entries, func(e entry) bool { return strings.EqualFold(e.key, key) })
	clear(t.index)
	for i, e := range t.entries {
		t.index[e.key] = i
	}
}

// same tells whether two tables say the same, in whatever order.
func (t *table) same(other *table) bool {
	if len(t.entries) != len(other.entries) {
		return false
	}
	for _, e := range t.entries {
		v := other.get(e.key)
		if v == nil || !e.value.same(v) {
			return false
		}
	}
	return true
}

func (v *value) same(other *value) bool {
	if v.kind != other.kind || v.text != other.text && v.scalar() || len(v.list) != len(other.list) {
		return false
	}
	for i := range v.list {
		if !v.list[i].same(other.list[i]) {
			return false
		}
	}
	return v.table == nil && other.table == nil || v.table != nil && other.table != nil && v.table.same(other.table)
}
