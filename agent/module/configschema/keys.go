package configschema

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Key is one key of a configuration, for people.
type Key struct {
	Path    string // limits.daily, days[], prices.*
	Allowed string
	Default string // "" when the schema tells none
	About   string
}

// Keys lists what a schema describes, in the order of paths; nothing of a nil one.
func (s *Schema) Keys() []Key {
	if s == nil {
		return nil
	}
	return s.below(nil, "")
}

func (s *Schema) below(keys []Key, path string) []Key {
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		of, path := s.Properties[name], join(path, name)
		keys = of.below(append(keys, of.key(path, slices.Contains(s.Required, name))), path)
	}
	if s.Items != nil {
		keys = s.Items.below(append(keys, s.Items.key(path+"[]", false)), path+"[]")
	}
	if s.Others != nil && s.Others.schema != nil {
		path := join(path, "*")
		keys = s.Others.schema.below(append(keys, s.Others.schema.key(path, false)), path)
	}
	return keys
}

func (s *Schema) key(path string, required bool) Key {
	k := Key{Path: path, About: s.Description}
	if s.Default != nil {
		k.Default = shown(s.Default)
	}
	words := []string{"anything"}
	if len(s.Type) > 0 {
		words[0] = alternatives(s.Type)
	}
	if len(s.Enum) > 0 {
		words[0] = "one of " + all(s.Enum)
	}
	if required {
		words = append(words, "required")
	}
	for _, bound := range []struct {
		limit *float64
		words string
	}{{s.Minimum, "at least"}, {s.ExclusiveMinimum, "more than"}, {s.Maximum, "at most"}, {s.ExclusiveMaximum, "less than"}} {
		if bound.limit != nil {
			words = append(words, bound.words+" "+decimal(*bound.limit))
		}
	}
	for _, bound := range []struct {
		limit *int
		words string
	}{{s.MinLength, "at least %d characters"}, {s.MaxLength, "at most %d characters"}, {s.MinItems, "at least %d entries"}, {s.MaxItems, "at most %d entries"}} {
		if bound.limit != nil {
			words = append(words, fmt.Sprintf(bound.words, *bound.limit))
		}
	}
	if s.Pattern.Regexp != nil {
		words = append(words, "matches "+s.Pattern.String())
	}
	k.Allowed = strings.Join(words, ", ")
	return k
}

func decimal(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
