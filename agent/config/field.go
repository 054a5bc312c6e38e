package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Field is a key of a [[runners]] entry that one flag can set: a value, a list or a map, in the entry or in one of its sections.
type Field struct {
	Path string   // docker.image
	Flag string   // docker-image
	Env  []string // DOCKER_IMAGE; the first that is set counts
	Kind string   // string, bool, int, float, duration, list, map
	kind reflect.Type
}

// The names of flags and variables follow from the keys: flag = section-key with - for _, variable = SECTION_KEY, and RUNNER_KEY for
// those of the entry itself. Where GitLab Runner's differ, the tags flag and env of the struct's field say so. Sections named here have
// no flags there: only a template can give them. Source: GitLab Runner, `register --help`.
var withoutFlags = []string{"id", "token_obtained_at", "token_expires_at", "autoscaler", "instance", "monitoring"}

// Fields are those of a [[runners]] entry, in the order of Runner.
func Fields() []Field { return fieldsIn(reflect.TypeFor[Runner](), "", "", "RUNNER_") }

func fieldsIn(t reflect.Type, path, flags, env string) []Field {
	var out []Field
	for i := range t.NumField() {
		f := t.Field(i)
		key := f.Tag.Get("toml")
		if key == "" || key == "-" || path == "" && slices.Contains(withoutFlags, key) {
			continue
		}
		inner := f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		word := kebab(key)
		if inner.Kind() == reflect.Struct {
			if path == "" { // custom_build_dir is a namespace as it stands
				word = key
			}
			out = append(out, fieldsIn(inner, join(path, key), flags+word+"-", strings.TrimPrefix(env, "RUNNER_")+snake(word)+"_")...)
			continue
		}
		kind := kindOf(inner)
		if kind == "" {
			continue
		}
		field := Field{Path: join(path, key), Flag: flags + word, Env: []string{env + snake(word)}, Kind: kind, kind: inner}
		if said := f.Tag.Get("flag"); said != "" {
			field.Flag = flags + said
		}
		if said := f.Tag.Get("env"); said != "" {
			field.Env = strings.Split(said, ",")
		}
		out = append(out, field)
	}
	return out
}

// kebab turns idle_count and IdleCount into idle-count, RoleARN into role-arn.
func kebab(key string) string {
	var b strings.Builder
	runes := []rune(key)
	for i, r := range runes {
		startsWord := i > 0 && unicode.IsUpper(r) && (unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1]))
		if startsWord {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return strings.ReplaceAll(b.String(), "_", "-")
}

func snake(word string) string { return strings.ToUpper(strings.ReplaceAll(word, "-", "_")) }

// kindOf is the word for a type that a flag can give, or "".
func kindOf(t reflect.Type) string {
	switch {
	case t == typeDuration:
		return "duration"
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.String:
		return "list"
	case t.Kind() == reflect.Map && t.Elem().Kind() != reflect.Interface:
		return "map"
	}
	switch t.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "bool"
	case reflect.Int, reflect.Int64:
		return "int"
	case reflect.Float64:
		return "float"
	}
	return ""
}

// Parse reads what a flag or variable says, into a value for Entry.Set. A list is one item; a map is JSON.
func (f Field) Parse(text string) (any, error) {
	switch f.Kind {
	case "bool":
		v, err := strconv.ParseBool(text)
		if err != nil {
			return nil, fmt.Errorf("%q is no boolean; write true or false", text)
		}
		return v, nil
	case "int":
		v, err := strconv.ParseInt(text, 0, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is no whole number", text)
		}
		return v, nil
	case "float":
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is no number", text)
		}
		return v, nil
	case "duration":
		v, err := parseDuration(text)
		if err != nil {
			return nil, fmt.Errorf(`%q is no duration; write numbers with units (h, m, s, ms), as 20m0s`, text)
		}
		return v.String(), nil
	case "list":
		return []string{text}, nil
	case "map":
		return f.parseMap(text)
	}
	return text, nil
}

func (f Field) parseMap(text string) (any, error) {
	fresh := reflect.New(f.kind)
	if err := json.Unmarshal([]byte(text), fresh.Interface()); err != nil {
		return nil, fmt.Errorf(`%q is no JSON object of the right kind, as {"name": "value"}: %w`, text, err)
	}
	return fresh.Elem().Interface(), nil
}

// Split is how a variable gives several items of a list.
func (f Field) Split(text string) []string {
	if f.Kind != "list" {
		return []string{text}
	}
	var items []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}
