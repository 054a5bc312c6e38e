package main

import (
	"bytes"
	"encoding/json"
	"slices"
)

const (
	dialect = "https://json-schema.org/draft/2020-12/schema"
	base    = "https://github.com/millwright-ci/millwright/hostfuncs/schema/"
	safe    = 1<<53 - 1 // the integers that every language's numbers hold
)

// member is one entry of a JSON object whose order is kept.
type member struct {
	name  string
	value any
}

type ordered []member

// MarshalJSON writes the members in their order.
func (o ordered) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			out.WriteByte(',')
		}
		name, err := json.Marshal(m.name)
		if err != nil {
			return nil, err
		}
		value, err := plain(m.value)
		if err != nil {
			return nil, err
		}
		out.Write(name)
		out.WriteByte(':')
		out.Write(value)
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// plain is json.Marshal without escapes for HTML.
func plain(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSpace(out.Bytes()), err
}

// schema returns the JSON Schema of one payload. What it is made of stands in its $defs.
func schema(s *shapes, k kind) ([]byte, error) {
	b := schemas{shapes: s, required: k.byGuest}
	o := s.objects[k.object]
	root := append(ordered{
		{"$schema", dialect},
		{"$id", base + k.name + ".json"},
		{"title", k.name},
	}, b.object(o)...)
	if len(b.defs) > 0 {
		slices.SortFunc(b.defs, func(a, c member) int { return bytes.Compare([]byte(a.name), []byte(c.name)) })
		root = append(root, member{"$defs", b.defs})
	}
	var out bytes.Buffer
	data, err := plain(root)
	if err != nil {
		return nil, err
	}
	if err := json.Indent(&out, data, "", "  "); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// schemas builds one schema.
type schemas struct {
	shapes   *shapes
	required bool // by what a guest must give, and not by what the host always writes
	defs     ordered
}

// object describes a struct. Members that it does not name are allowed, as either side may be newer.
func (b *schemas) object(o *object) ordered {
	var properties ordered
	required := []string{}
	for _, f := range o.fields {
		l := limitOf(o, f)
		properties = append(properties, member{f.wire, append(ordered{{"description", describe(f, l)}}, b.shape(f.shape, l)...)})
		if b.required && l.required || !b.required && !f.omitempty {
			required = append(required, f.wire)
		}
	}
	out := ordered{{"description", o.doc}, {"type", "object"}, {"properties", properties}}
	if len(required) > 0 {
		out = append(out, member{"required", required})
	}
	return out
}

func describe(f field, l limit) string {
	text := f.doc
	if words := l.words(); words != "" {
		text += " (" + words + ")"
	}
	return text
}

// shape describes the values of a type within a limit.
func (b *schemas) shape(s shape, l limit) ordered {
	switch {
	case s.option != nil:
		return b.shape(*s.option, l)
	case s.strukt != nil:
		b.define(s.strukt.name, func() ordered { return b.object(s.strukt) })
		return ordered{{"$ref", "#/$defs/" + s.strukt.name}}
	case s.list != nil:
		out := ordered{{"type", "array"}, {"items", b.shape(*s.list, limit{})}}
		if l.items > 0 {
			out = append(out, member{"maxItems", l.items})
		}
		return out
	case s.table != nil:
		out := ordered{{"type", "object"}, {"additionalProperties", b.shape(*s.table, limit{})}}
		if l.items > 0 {
			out = append(out, member{"maxProperties", l.items})
		}
		return out
	}
	switch s.basic {
	case integer, long:
		l.least, l.most = max(l.least, -safe), min(l.most, safe)
		if l.bounded == unbounded {
			l.least = -safe
		}
		if l.bounded != between {
			l.most = safe
		}
		return ordered{{"type", "integer"}, {"minimum", int64(l.least)}, {"maximum", int64(l.most)}}
	case float:
		out := ordered{{"type", "number"}}
		if l.bounded != unbounded {
			out = append(out, member{"minimum", l.least})
		}
		if l.bounded == between {
			out = append(out, member{"maximum", l.most})
		}
		return out
	case boolean:
		return ordered{{"type", "boolean"}}
	case raw:
		return nil
	}
	if values := b.shapes.enums[s.name]; len(values) > 0 {
		for _, v := range values {
			l.values = append(l.values, v.value)
		}
	}
	out := ordered{{"type", "string"}}
	if len(l.values) > 0 {
		out = append(out, member{"enum", l.values})
	}
	if l.pattern != "" {
		out = append(out, member{"pattern", l.pattern})
	}
	if l.bytes > 0 {
		out = append(out, member{"maxLength", l.bytes})
	}
	if s.basic == binary {
		out = append(out, member{"contentEncoding", "base64"})
	}
	return out
}

// define puts a part into $defs, once.
func (b *schemas) define(name string, make func() ordered) {
	if slices.ContainsFunc(b.defs, func(m member) bool { return m.name == name }) {
		return
	}
	b.defs = append(b.defs, member{name, nil}) // so that a part of itself does not come again
	i := len(b.defs) - 1
	b.defs[i].value = make()
}
