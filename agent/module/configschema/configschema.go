// Package configschema checks a module's own configuration against the schema that the module describes.
//
// The schema is a JSON Schema of the keywords in Schema and no others. Those that refer to other schemas or combine them ($ref, allOf, ...)
// are left out, with every keyword that could make a check cost more than the schema's size times the configuration's: both come from
// whoever writes modules, and the check runs in the agent.
// Source: JSON Schema, draft 2020-12, validation vocabulary.
package configschema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

const (
	maxBytes = 64 << 10 // of a schema
	maxDepth = 8        // of objects and lists in a configuration that a schema describes
)

// Schema says what a value may be. Its zero value allows all.
type Schema struct {
	Type        types  `json:"type"`
	Title       string `json:"title"`
	Description string `json:"description"`
	Default     any    `json:"default"` // for people: the module itself knows what it does without the key
	Examples    []any  `json:"examples"`
	Dialect     string `json:"$schema"`

	Enum []any `json:"enum"`

	Minimum          *float64 `json:"minimum"`
	Maximum          *float64 `json:"maximum"`
	ExclusiveMinimum *float64 `json:"exclusiveMinimum"`
	ExclusiveMaximum *float64 `json:"exclusiveMaximum"`

	MinLength *int    `json:"minLength"` // in characters
	MaxLength *int    `json:"maxLength"`
	Pattern   pattern `json:"pattern"`

	Items    *Schema `json:"items"`
	MinItems *int    `json:"minItems"`
	MaxItems *int    `json:"maxItems"`

	Properties map[string]*Schema `json:"properties"`
	Required   []string           `json:"required"`
	Others     *others            `json:"additionalProperties"`
}

// Parse reads a schema as describe returns it: an object, with properties for the keys under [config]. Of nothing it returns nil, which
// allows all.
func Parse(raw abi.Raw) (*Schema, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	if len(raw) > maxBytes {
		return nil, fmt.Errorf("has %d bytes; at most %d are read", len(raw), maxBytes)
	}
	s := &Schema{}
	if err := decode(raw, s); err != nil {
		return nil, err
	}
	if len(s.Type) > 0 && !slices.Contains(s.Type, "object") {
		return nil, errors.New(`is not of the type "object", which [config] is`)
	}
	return s, s.check("", 0)
}

// check tells what no value could be held to.
func (s *Schema) check(path string, depth int) error {
	where := path
	if where == "" {
		where = "itself"
	}
	if depth > maxDepth {
		return fmt.Errorf("%s: is nested deeper than %d levels", where, maxDepth)
	}
	for _, t := range s.Type {
		if !slices.Contains(typeNames, t) {
			return fmt.Errorf("%s: has the type %q; there are %s", where, t, list(typeNames))
		}
	}
	for _, name := range s.Required {
		if s.Properties[name] == nil {
			return fmt.Errorf("%s: requires %q, which is none of its properties", where, name)
		}
	}
	for name, of := range s.Properties {
		if of == nil {
			return fmt.Errorf("%s: is null and should be a schema", join(path, name))
		}
		if err := of.check(join(path, name), depth+1); err != nil {
			return err
		}
	}
	if s.Items != nil {
		if err := s.Items.check(path+"[]", depth+1); err != nil {
			return err
		}
	}
	if s.Others == nil {
		return nil
	}
	path = join(path, "*")
	if err := s.Others.read(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if s.Others.schema != nil {
		return s.Others.schema.check(path, depth+1)
	}
	return nil
}

// types is one name of a type, or a list of them.
type types []string

var typeNames = []string{"object", "array", "string", "number", "integer", "boolean"}

func (t *types) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*t = types{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(t))
}

// pattern is a regular expression of RE2's syntax, which takes linear time.
type pattern struct{ *regexp.Regexp }

func (p *pattern) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	var err error
	p.Regexp, err = regexp.Compile(text)
	return err
}

// others are the keys that properties does not name: allowed or not, or held to a schema.
type others struct {
	raw     json.RawMessage // until check; reading it at once would read a deep nest once for each of its levels
	refused bool
	schema  *Schema // nil allows all
}

func (o *others) UnmarshalJSON(data []byte) error {
	o.raw = bytes.Clone(data)
	return nil
}

func (o *others) read() error {
	raw := o.raw
	o.raw = nil
	if string(raw) == "true" || string(raw) == "false" {
		o.refused = string(raw) == "false"
		return nil
	}
	o.schema = &Schema{}
	return decode(raw, o.schema)
}

func decode(raw []byte, s *Schema) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(s); err != nil {
		return fmt.Errorf("is not of the part of JSON Schema that ABI.md names: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("has more behind its end")
	}
	return nil
}
