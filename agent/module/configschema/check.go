package configschema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// maxProblems are told of one configuration.
const maxProblems = 20

// Check returns what is wrong with a configuration, JSON or nothing, each with the path of its key: limits.daily, zones[2]. A nil schema
// finds nothing.
func (s *Schema) Check(config abi.Raw) ([]abi.Problem, error) {
	if s == nil {
		return nil, nil
	}
	var value any = map[string]any{} // a module without [config] is asked with nothing, and what is required is missing then
	if len(config) > 0 {
		d := json.NewDecoder(bytes.NewReader(config))
		d.UseNumber()
		if err := d.Decode(&value); err != nil {
			return nil, fmt.Errorf("config: %w", err)
		}
	}
	c := &checker{}
	c.check(s, "", value)
	return c.problems, nil
}

type checker struct{ problems []abi.Problem }

func (c *checker) problem(path, format string, args ...any) {
	if len(c.problems) < maxProblems {
		c.problems = append(c.problems, abi.Problem{Option: path, Message: fmt.Sprintf(format, args...)})
	}
}

func (c *checker) check(s *Schema, path string, value any) {
	if kind := typeOf(value); len(s.Type) > 0 && !slices.Contains(s.Type, kind) && (kind != "integer" || !slices.Contains(s.Type, "number")) {
		c.problem(path, "is %s and should be %s", named(kind), alternatives(s.Type))
		return
	}
	if len(s.Enum) > 0 && !slices.ContainsFunc(s.Enum, func(allowed any) bool { return equal(allowed, value) }) {
		c.problem(path, "is %s; allowed are %s", shown(value), all(s.Enum))
		return
	}
	switch value := value.(type) {
	case json.Number:
		c.number(s, path, value)
	case string:
		c.text(s, path, value)
	case []any:
		c.between(path, len(value), s.MinItems, s.MaxItems, "entries")
		if s.Items != nil {
			for i, item := range value {
				c.check(s.Items, path+"["+strconv.Itoa(i)+"]", item)
			}
		}
	case map[string]any:
		c.object(s, path, value)
	}
}

func (c *checker) object(s *Schema, path string, value map[string]any) {
	for _, name := range s.Required {
		if _, ok := value[name]; !ok {
			c.problem(join(path, name), "is missing, and required%s", meaning(s.Properties[name]))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(value)) {
		switch of := s.Properties[name]; {
		case of != nil:
			c.check(of, join(path, name), value[name])
		case s.Others == nil: // JSON Schema allows it
		case s.Others.refused:
			c.problem(join(path, name), "is no key of this module; there are %s", list(slices.Sorted(maps.Keys(s.Properties))))
		case s.Others.schema != nil:
			c.check(s.Others.schema, join(path, name), value[name])
		}
	}
}

func (c *checker) number(s *Schema, path string, n json.Number) {
	f, err := n.Float64()
	if err != nil {
		c.problem(path, "is too large a number")
		return
	}
	for _, bound := range []struct {
		limit *float64
		holds func(limit float64) bool
		words string
	}{
		{s.Minimum, func(limit float64) bool { return f >= limit }, "at least %s"},
		{s.Maximum, func(limit float64) bool { return f <= limit }, "at most %s"},
		{s.ExclusiveMinimum, func(limit float64) bool { return f > limit }, "more than %s"},
		{s.ExclusiveMaximum, func(limit float64) bool { return f < limit }, "less than %s"},
	} {
		if bound.limit != nil && !bound.holds(*bound.limit) {
			c.problem(path, "is %s; allowed is "+bound.words, n, decimal(*bound.limit))
		}
	}
}

func (c *checker) text(s *Schema, path, text string) {
	c.between(path, utf8.RuneCountInString(text), s.MinLength, s.MaxLength, "characters")
	if s.Pattern.Regexp != nil && !s.Pattern.MatchString(text) {
		c.problem(path, "is %s; it should match %s", shown(text), s.Pattern)
	}
}

func (c *checker) between(path string, n int, least, most *int, what string) {
	switch {
	case least != nil && n < *least:
		c.problem(path, "has %d %s; allowed are at least %d", n, what, *least)
	case most != nil && n > *most:
		c.problem(path, "has %d %s; allowed are at most %d", n, what, *most)
	}
}

// typeOf names a value's type as JSON Schema does; a number without a fraction is an integer.
func typeOf(value any) string {
	switch value := value.(type) {
	case map[string]any:
		return "object"
	case []any:
		return "array"
	case string:
		return "string"
	case bool:
		return "boolean"
	case json.Number:
		if f, err := value.Float64(); err == nil && f == math.Trunc(f) {
			return "integer"
		}
		return "number"
	}
	return "null"
}

// named says a type as one who writes TOML calls it.
func named(kind string) string {
	switch kind {
	case "object":
		return "a table"
	case "array":
		return "a list"
	case "string":
		return "a string"
	case "boolean":
		return "true or false"
	case "integer":
		return "a whole number"
	case "number":
		return "a number"
	}
	return "nothing"
}

func alternatives(types []string) string {
	words := make([]string, len(types))
	for i, t := range types {
		words[i] = named(t)
	}
	return strings.Join(words, " or ")
}

func equal(allowed, value any) bool {
	if n, ok := value.(json.Number); ok {
		f, err := n.Float64()
		return err == nil && allowed == f
	}
	return reflect.DeepEqual(allowed, value)
}

// shown is a value in an error text, cut where it is long.
func shown(value any) string {
	const most = 64
	text, err := json.Marshal(value)
	if err != nil {
		return "?"
	}
	if len(text) > most {
		return strings.ToValidUTF8(string(text[:most]), "") + "…"
	}
	return string(text)
}

func all(values []any) string {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = shown(v)
	}
	return strings.Join(words, ", ")
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func meaning(s *Schema) string {
	if s.Description == "" {
		return ""
	}
	return ": " + s.Description
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
