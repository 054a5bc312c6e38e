package hostfuncs_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/millwright-ci/millwright/hostfuncs/vectors"
)

// TestSchemas holds the schemas against the vectors: what the built-in policies propose and every payload with all its fields is valid, and
// what is JSON of another type is not.
func TestSchemas(t *testing.T) {
	all, err := vectors.Codecs()
	if err != nil {
		t.Fatal(err)
	}
	schemas := map[string]schema{}
	for _, v := range all {
		if schemas[v.Kind] == nil {
			schemas[v.Kind] = readSchema(t, v.Kind)
		}
		var value any
		switch {
		case v.Valid && (v.Name == "every field" || strings.HasPrefix(v.Name, "of a ")):
			if err := schemas[v.Kind].check(parse(t, v.Expect)); err != nil {
				t.Errorf("%s/%s: %v", v.Kind, v.Name, err)
			}
		case !v.Valid && json.Unmarshal([]byte(v.Input), &value) == nil && !beyondSchemas(v):
			if schemas[v.Kind].check(parse(t, v.Input)) == nil {
				t.Errorf("%s/%s: the schema allows %s", v.Kind, v.Name, v.Input)
			}
		}
	}
	for _, name := range []string{"periods", "idlescale", "instances"} {
		cases, err := vectors.Policies(name)
		if err != nil || len(cases) == 0 {
			t.Fatalf("%d vectors of %s, %v", len(cases), name, err)
		}
		for _, v := range cases {
			if err := schemas["proposal"].check(parse(t, v.Expect)); err != nil {
				t.Errorf("%s/%s: %v", name, v.Name, err)
			}
			if err := schemas["snapshot"].check(parse(t, v.Input)); err != nil && v.Input != "{}" && !strings.Contains(v.Name, "negative") {
				t.Errorf("%s/%s: %v", name, v.Name, err)
			}
		}
	}
}

// beyondSchemas tells of what no schema can say: that an integer has neither fraction nor exponent, and how deep it goes.
func beyondSchemas(v vectors.Codec) bool {
	return strings.Contains(v.Name, "1.0") || strings.Contains(v.Name, "1e3") || strings.Contains(v.Name, "1E0") || strings.Contains(v.Name, "nest") ||
		strings.Contains(v.Name, "exponent") || strings.Contains(v.Name, "float") || strings.Contains(v.Name, "comes again")
}

func parse(t *testing.T, text string) any {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// schema is a JSON Schema of the few keywords that ours have.
type schema map[string]any

func readSchema(t *testing.T, kind string) schema {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("schema", kind+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, string(data)).(map[string]any)
}

// check validates value against the whole schema.
func (s schema) check(value any) error { return s.validate(s, value, "payload") }

func (s schema) validate(at map[string]any, value any, path string) error {
	for keyword, want := range at {
		bad := false
		switch keyword {
		case "$ref":
			name := strings.TrimPrefix(want.(string), "#/$defs/")
			if err := s.validate(s["$defs"].(map[string]any)[name].(map[string]any), value, path); err != nil {
				return err
			}
		case "type":
			bad = typeOf(value) != want && !(want == "number" && typeOf(value) == "integer")
		case "enum":
			bad = !slices.Contains(want.([]any), value)
		case "pattern":
			text, ok := value.(string)
			bad = ok && !regexp.MustCompile(want.(string)).MatchString(text)
		case "maxLength":
			text, ok := value.(string)
			bad = ok && float64(utf8.RuneCountInString(text)) > number(want)
		case "minimum":
			n, ok := value.(json.Number)
			bad = ok && number(n) < number(want)
		case "maximum":
			n, ok := value.(json.Number)
			bad = ok && number(n) > number(want)
		case "maxItems":
			list, ok := value.([]any)
			bad = ok && float64(len(list)) > number(want)
		case "maxProperties":
			object, ok := value.(map[string]any)
			bad = ok && float64(len(object)) > number(want)
		case "required":
			object, _ := value.(map[string]any)
			for _, name := range want.([]any) {
				_, there := object[name.(string)]
				bad = bad || !there
			}
		case "items":
			list, _ := value.([]any)
			for i, item := range list {
				if err := s.validate(want.(map[string]any), item, fmt.Sprintf("%s[%d]", path, i)); err != nil {
					return err
				}
			}
		case "properties", "additionalProperties":
			if err := s.members(keyword, want.(map[string]any), value, path); err != nil {
				return err
			}
		case "$schema", "$id", "$defs", "title", "description", "contentEncoding":
		default:
			return fmt.Errorf("%s: this test knows no keyword %q", path, keyword)
		}
		if bad {
			return fmt.Errorf("%s: %v is not %s %v", path, value, keyword, want)
		}
	}
	return nil
}

// members validates the members of an object, each by its name or all alike.
func (s schema) members(keyword string, want map[string]any, value any, path string) error {
	object, _ := value.(map[string]any)
	for name, member := range object {
		at := want
		if keyword == "properties" {
			at, _ = want[name].(map[string]any)
		}
		if err := s.validate(at, member, path+"."+name); err != nil {
			return err
		}
	}
	return nil
}

func number(v any) float64 {
	f, _ := v.(json.Number).Float64() // beyond all bounds it is infinite
	return f
}

func typeOf(v any) string {
	switch v := v.(type) {
	case string:
		return "string"
	case bool:
		return "boolean"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			return "number"
		}
		return "integer"
	}
	return "null"
}
