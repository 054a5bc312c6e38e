package fakegce

import (
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// checkQuery holds parameters to the method's and to those of all methods.
func (d *document) checkQuery(m *method, path map[string]string, query url.Values) error {
	for name, value := range path {
		p := m.Parameters[name]
		if p.Pattern != "" && !matches(p.Pattern, value) {
			return fmt.Errorf("%s: %q does not match %s", name, value, p.Pattern)
		}
	}
	for name, values := range query {
		p, ok := m.Parameters[name]
		if !ok || p.Location != "query" {
			if p, ok = d.Parameters[name]; !ok {
				return fmt.Errorf("the parameter %s is none of %s", name, m.ID)
			}
		}
		for _, v := range values {
			if err := p.checkText(v); err != nil {
				return fmt.Errorf("the parameter %s of %s: %w", name, m.ID, err)
			}
		}
	}
	for name, p := range m.Parameters {
		if p.Required && p.Location == "query" && query.Get(name) == "" {
			return fmt.Errorf("the parameter %s of %s is missing", name, m.ID)
		}
	}
	return nil
}

func matches(pattern, text string) bool {
	return regexp.MustCompile("^(?:" + pattern + ")$").MatchString(text)
}

// uuid is what the API's documentation wants of every requestId.
var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// checkText holds a parameter, which is text, to its type.
func (p parameter) checkText(text string) error {
	switch p.Type {
	case "boolean":
		if text != "true" && text != "false" {
			return fmt.Errorf("%q is no boolean", text)
		}
	case "integer":
		if _, err := strconv.ParseInt(text, 10, 64); err != nil {
			return fmt.Errorf("%q is no number", text)
		}
	}
	if p.Pattern != "" && !matches(p.Pattern, text) {
		return fmt.Errorf("%q does not match %s", text, p.Pattern)
	}
	if len(p.Enum) > 0 && !slices.Contains(p.Enum, text) {
		return fmt.Errorf("%q is none of %v", text, p.Enum)
	}
	return nil
}

// checkBody holds a body to the method's type.
func (d *document) checkBody(m *method, body []byte) error {
	if m.Request == nil {
		if len(body) > 0 {
			return fmt.Errorf("%s takes no body", m.ID)
		}
		return nil
	}
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		return fmt.Errorf("the body of %s: %w", m.ID, err)
	}
	return d.checkValue(*m.Request, value, m.Request.Ref)
}

// checkValue holds a JSON value to a type; where says in which field.
func (d *document) checkValue(s schema, value any, where string) error {
	if s.Ref != "" {
		s = d.Schemas[s.Ref]
	}
	wrong := fmt.Errorf("%s: %v is no %s", where, value, strings.TrimSpace(s.Type+" "+s.Format))
	switch v := value.(type) {
	case map[string]any:
		if s.Type != "object" {
			return wrong
		}
		return d.checkObject(s, v, where)
	case []any:
		if s.Type != "array" {
			return wrong
		}
		for i, item := range v {
			if err := d.checkValue(*s.Items, item, fmt.Sprintf("%s[%d]", where, i)); err != nil {
				return err
			}
		}
	case string:
		return checkString(s, v, where, wrong)
	case bool:
		if s.Type != "boolean" {
			return wrong
		}
	case float64:
		if s.Type != "number" && (s.Type != "integer" || v != math.Trunc(v)) {
			return wrong
		}
	default:
		return wrong // null: the API takes it, and nobody means it
	}
	return nil
}

func (d *document) checkObject(s schema, fields map[string]any, where string) error {
	for name, field := range fields {
		of, ok := s.Properties[name]
		if !ok && s.Additional != nil {
			of, ok = *s.Additional, true
		}
		if !ok {
			return fmt.Errorf("%s has no field %s", where, name)
		}
		if err := d.checkValue(of, field, where+"."+name); err != nil {
			return err
		}
	}
	return nil
}

func checkString(s schema, text, where string, wrong error) error {
	switch {
	case s.Type != "string":
		return wrong
	case s.Format == "int64" || s.Format == "uint64":
		if _, err := strconv.ParseInt(text, 10, 64); err != nil {
			return wrong
		}
	case len(s.Enum) > 0 && !slices.Contains(s.Enum, text):
		return fmt.Errorf("%s: %q is none of %v", where, text, s.Enum)
	}
	return nil
}
