package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// decoder fills structs from the tree and notes what is wrong. It goes on after each problem.
type decoder struct {
	file        string
	diagnostics []Diagnostic
	lines       map[string]int  // path of a key or section, entries counted from 0, to its line
	named       map[string]bool // what was named as not supported already
	failed      map[string]bool // paths that have an error; what else is said of them would only follow from it
}

func newDecoder(file string) *decoder {
	return &decoder{file: file, lines: map[string]int{}, named: map[string]bool{}, failed: map[string]bool{}}
}

// add notes a problem of a key, at the place of the key or else of its section.
func (d *decoder) add(s Severity, section, key, format string, args ...any) {
	path := join(section, key)
	if d.failed[path] {
		return
	}
	d.failed[path] = s == SeverityError
	line := d.lines[path]
	for up := section; line == 0 && up != ""; up = parent(up) {
		line = d.lines[up]
	}
	d.diagnostics = append(d.diagnostics, Diagnostic{
		Severity: s, File: d.file, Line: line, Section: section, Key: key, Message: fmt.Sprintf(format, args...), Runner: runnerOf(section),
	})
}

func (d *decoder) bad(section, key, format string, args ...any) {
	d.add(SeverityError, section, key, format, args...)
}

func (d *decoder) warn(section, key, format string, args ...any) {
	d.add(SeverityWarning, section, key, format, args...)
}

// broken notes an error that keeps only the [[runners]] entry of section from running.
func (d *decoder) broken(section, key, format string, args ...any) {
	before := len(d.diagnostics)
	d.bad(section, key, format, args...)
	for i := range d.diagnostics[before:] {
		d.diagnostics[before+i].Entry = runnerOf(section) >= 0
	}
}

// runnerOf returns the index of the [[runners]] entry that a section is in, or -1.
func runnerOf(section string) int {
	var i int
	if _, err := fmt.Sscanf(section, "runners[%d]", &i); err != nil {
		return -1
	}
	return i
}

// parent returns the section that a section is in.
func parent(section string) string {
	return section[:max(strings.LastIndexByte(section, '.'), 0)]
}

// structure fills the struct v from t. Keys match exactly, else without regard to case, as in GitLab Runner.
func (d *decoder) structure(v reflect.Value, t *table, section string) {
	fields := fieldsOf(v.Type())
	given := map[string]string{} // key to its spelling in the file
	for _, e := range t.entries {
		key, ok := matchKey(fields, e.key)
		if !ok {
			d.unknown(e, section, fields)
			continue
		}
		d.lines[join(section, key)] = e.line
		if other, twice := given[key]; twice {
			d.warn(section, key, "is given twice, as %s and %s; the later one counts", other, e.key)
		} else if key != e.key {
			d.warn(section, key, "is written %s; accepted, but write %s", e.key, key)
		}
		given[key] = e.key
		d.value(v.Field(fields[key]), e.value, section, key)
	}
}

// fieldsOf maps keys to the indices of their fields.
func fieldsOf(t reflect.Type) map[string]int {
	fields := map[string]int{}
	for i := range t.NumField() {
		if tag := t.Field(i).Tag.Get("toml"); tag != "" && tag != "-" {
			fields[tag] = i
		}
	}
	return fields
}

func matchKey(fields map[string]int, written string) (string, bool) {
	if _, ok := fields[written]; ok {
		return written, true
	}
	for key := range fields {
		if strings.EqualFold(key, written) {
			return key, true
		}
	}
	return "", false
}

// unknown says what it can about a key that has no field.
func (d *decoder) unknown(e entry, section string, fields map[string]int) {
	d.lines[join(section, e.key)] = e.line
	place := withoutIndices(section)
	if hint, ok := oldKeys[join(place, e.key)]; ok {
		d.warn(section, e.key, "%s", hint)
		return
	}
	i := slices.IndexFunc(unsupported[place], func(k string) bool { return strings.EqualFold(k, e.key) })
	if i >= 0 {
		if name := join(place, unsupported[place][i]); !d.named[name] && !e.value.zero() {
			d.named[name] = true
			d.warn(section, e.key, "is known to GitLab Runner but not supported by this agent; it has no effect")
		}
		return
	}
	known := make([]string, 0, len(fields))
	for key := range fields {
		known = append(known, key)
	}
	message := "unknown key, ignored"
	if near := nearest(e.key, known); near != "" {
		message += fmt.Sprintf("; did you mean %s?", near)
	}
	d.warn(section, e.key, "%s", message)
}

// withoutIndices turns runners[2].machine into runners.machine.
func withoutIndices(section string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(section, "[") {
		if i := strings.IndexByte(part, ']'); i >= 0 && b.Len() > 0 {
			part = part[i+1:]
		}
		b.WriteString(part)
	}
	return b.String()
}

// zero tells whether a value says nothing: GitLab Runner writes such keys by itself.
func (v *value) zero() bool {
	switch v.kind {
	case kindString:
		return v.text == ""
	case kindInt, kindFloat:
		return strings.Trim(v.text, "+-0._") == ""
	case kindBool:
		return v.text == "false"
	case kindList, kindTableSet:
		return len(v.list) == 0
	case kindTable:
		return !slices.ContainsFunc(v.table.entries, func(e entry) bool { return !e.value.zero() })
	}
	return false
}

var (
	typeDuration = reflect.TypeFor[Duration]()
	typeTime     = reflect.TypeFor[time.Time]()
	typeSecret   = reflect.TypeFor[Secret]()
)

// value fills the field f, whose type says what is wanted.
func (d *decoder) value(f reflect.Value, v *value, section, key string) {
	switch t := f.Type(); {
	case t.Kind() == reflect.Pointer:
		fresh := reflect.New(t.Elem())
		if t.Elem().Kind() == reflect.Struct && !f.IsNil() {
			fresh = f
		}
		d.value(fresh.Elem(), v, section, key)
		f.Set(fresh)
	case t == typeDuration:
		d.duration(f, v, section, key)
	case t == typeTime:
		d.time(f, v, section, key)
	case t.Kind() == reflect.Struct:
		d.section(f, v, section, key)
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		d.sections(f, v, section, key)
	case t.Kind() == reflect.Slice:
		d.list(f, v, section, key)
	case t.Kind() == reflect.Map:
		d.mapping(f, v, section, key)
	default:
		d.scalar(f, v, section, key)
	}
}

func (d *decoder) section(f reflect.Value, v *value, section, key string) {
	path := join(section, key)
	if v.kind != kindTable {
		d.mismatch(v, section, key, fmt.Sprintf("write one section, [%s]", withoutIndices(path)))
		return
	}
	d.lines[path] = v.line
	d.structure(f, v.table, path)
}

func (d *decoder) sections(f reflect.Value, v *value, section, key string) {
	path := join(section, key)
	if v.kind != kindTableSet && (v.kind != kindList || len(v.list) > 0) {
		d.mismatch(v, section, key, fmt.Sprintf("write a section for each, [[%s]]", withoutIndices(path)))
		return
	}
	out := reflect.MakeSlice(f.Type(), len(v.list), len(v.list))
	for i, e := range v.list {
		item := fmt.Sprintf("%s[%d]", path, i)
		d.lines[item] = e.line
		d.structure(out.Index(i), e.table, item)
	}
	f.Set(out)
}

// stringOrList are keys that take one string as well as a list of them.
var stringOrList = map[string]bool{"runners.docker.pull_policy": true}

func (d *decoder) list(f reflect.Value, v *value, section, key string) {
	path := join(section, key)
	items := v.list
	if v.kind == kindString && stringOrList[withoutIndices(path)] {
		items = []*value{v}
	} else if v.kind != kindList && v.kind != kindTableSet {
		d.mismatch(v, section, key, fmt.Sprintf("write a list: %s = [...]", key))
		return
	}
	out := reflect.MakeSlice(f.Type(), 0, len(items))
	for i, e := range items {
		d.lines[fmt.Sprintf("%s[%d]", path, i)] = e.line
		item := reflect.New(f.Type().Elem()).Elem()
		before := len(d.diagnostics)
		d.value(item, e, section, fmt.Sprintf("%s[%d]", key, i))
		if len(d.diagnostics) == before {
			out = reflect.Append(out, item)
		}
	}
	f.Set(out)
}

func (d *decoder) mapping(f reflect.Value, v *value, section, key string) {
	path := join(section, key)
	if v.kind != kindTable {
		d.mismatch(v, section, key, fmt.Sprintf("write a section, [%s], with one line for each", withoutIndices(path)))
		return
	}
	d.lines[path] = v.line
	out := reflect.MakeMap(f.Type())
	for _, e := range v.table.entries {
		d.lines[join(path, e.key)] = e.line
		if f.Type().Elem().Kind() == reflect.Interface {
			out.SetMapIndex(reflect.ValueOf(e.key), reflect.ValueOf(e.value.free()))
			continue
		}
		item := reflect.New(f.Type().Elem()).Elem()
		d.value(item, e.value, path, e.key)
		out.SetMapIndex(reflect.ValueOf(e.key), item)
	}
	f.Set(out)
}
