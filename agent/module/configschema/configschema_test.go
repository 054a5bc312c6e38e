package configschema_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/module/configschema"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

const budget = `{
	"$schema": "https://json-schema.org/draft/2020-12/schema",
	"type": "object",
	"properties": {
		"per_hour": {"type": "number", "exclusiveMinimum": 0, "maximum": 1000, "description": "what an hour may cost"},
		"currency": {"type": "string", "enum": ["EUR", "USD"], "default": "EUR"},
		"prices": {"type": "object", "additionalProperties": {"type": "number", "minimum": 0}},
		"days": {"type": "array", "items": {"type": "string", "pattern": "^(mon|tue)$"}, "minItems": 1, "maxItems": 2},
		"retries": {"type": ["integer", "boolean"], "minimum": 0, "exclusiveMaximum": 10},
		"label": {"type": "string", "minLength": 2, "maxLength": 4},
		"anything": {}
	},
	"required": ["per_hour"],
	"additionalProperties": false
}`

func TestCheck(t *testing.T) {
	s, err := configschema.Parse(abi.Raw(budget))
	if err != nil {
		t.Fatal(err)
	}
	for config, want := range map[string][]string{
		`{"per_hour":2.5}`: nil,
		`{"per_hour":2,"currency":"USD","prices":{"n1":0.1,"n2":2},"days":["mon"],"retries":3,"label":"äöüß","anything":[{"x":1}]}`: nil,
		`{"per_hour":1,"retries":true}`:             nil,
		``:                                          {"per_hour: is missing, and required: what an hour may cost"},
		`{"per_hour":"2"}`:                          {"per_hour: is a string and should be a number"},
		`{"per_hour":0}`:                            {"per_hour: is 0; allowed is more than 0"},
		`{"per_hour":1000.5}`:                       {"per_hour: is 1000.5; allowed is at most 1000"},
		`{"per_hour":1e999}`:                        {"per_hour: is too large a number"},
		`{"per_hour":1,"curency":"EUR"}`:            {"curency: is no key of this module; there are anything, currency, days, label, per_hour, prices, retries"},
		`{"per_hour":1,"currency":"DM"}`:            {`currency: is "DM"; allowed are "EUR", "USD"`},
		`{"per_hour":1,"prices":{"n1":-1,"n2":[]}}`: {"prices.n1: is -1; allowed is at least 0", "prices.n2: is a list and should be a number"},
		`{"per_hour":1,"days":[]}`:                  {"days: has 0 entries; allowed are at least 1"},
		`{"per_hour":1,"days":["mon","sun","tue"]}`: {"days: has 3 entries; allowed are at most 2", `days[1]: is "sun"; it should match ^(mon|tue)$`},
		`{"per_hour":1,"retries":1.5}`:              {"retries: is a number and should be a whole number or true or false"},
		`{"per_hour":1,"retries":10}`:               {"retries: is 10; allowed is less than 10"},
		`{"per_hour":1,"label":"ä"}`:                {"label: has 1 characters; allowed are at least 2"},
		`{"per_hour":1,"label":"abcde"}`:            {"label: has 5 characters; allowed are at most 4"},
		`[]`:                                        {": is a list and should be a table"},
	} {
		problems, err := s.Check(abi.Raw(config))
		if err != nil {
			t.Errorf("%s: %v", config, err)
		}
		var got []string
		for _, p := range problems {
			got = append(got, p.Option+": "+p.Message)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got\n %q, want\n %q", config, got, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	deep := strings.Repeat(`{"additionalProperties":`, 2000) + "{}" + strings.Repeat("}", 2000)
	for schema, want := range map[string]string{
		`{"properties":{"a":{"$ref":"#"}}}`:       `unknown field "$ref"`,
		`{"allOf":[{}]}`:                          `unknown field "allOf"`,
		`{"additionalProperties":{"anyOf":[{}]}}`: `*: is not of the part of JSON Schema that ABI.md names: json: unknown field "anyOf"`,
		`{"type":"array"}`:                        `is not of the type "object"`,
		`{"properties":{"a":{"type":"float"}}}`:   `a: has the type "float"; there are object,`,
		`{"properties":{"a":null}}`:               `a: is null and should be a schema`,
		`{"required":["a"]}`:                      `itself: requires "a", which is none of its properties`,
		`{"properties":{"a":{"pattern":"("}}}`:    "missing closing",
		`{} {}`:                                   "more behind its end",
		`{"items":` + strings.Repeat(`{"items":`, 9) + `{}` + "}}}}}}}}}}": "nested deeper than 8 levels",
		deep: "nested deeper than 8 levels",
		fmt.Sprintf(`{"description":%q}`, strings.Repeat("x", 64<<10)): "at most 65536 are read",
	} {
		_, err := configschema.Parse(abi.Raw(schema))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: got %v, want %s", schema, err, want)
		}
	}
}

func TestWithoutSchema(t *testing.T) {
	s, err := configschema.Parse(nil)
	if err != nil {
		t.Fatal(err)
	}
	if problems, err := s.Check(abi.Raw(`{"a":1}`)); err != nil || problems != nil {
		t.Errorf("%v, %v", problems, err)
	}
}

func TestKeys(t *testing.T) {
	s, err := configschema.Parse(abi.Raw(budget))
	if err != nil {
		t.Fatal(err)
	}
	want := []configschema.Key{
		{Path: "anything", Allowed: "anything"},
		{Path: "currency", Allowed: `one of "EUR", "USD"`, Default: `"EUR"`},
		{Path: "days", Allowed: "a list, at least 1 entries, at most 2 entries"},
		{Path: "days[]", Allowed: "a string, matches ^(mon|tue)$"},
		{Path: "label", Allowed: "a string, at least 2 characters, at most 4 characters"},
		{Path: "per_hour", Allowed: "a number, required, more than 0, at most 1000", About: "what an hour may cost"},
		{Path: "prices", Allowed: "a table"},
		{Path: "prices.*", Allowed: "a number, at least 0"},
		{Path: "retries", Allowed: "a whole number or true or false, at least 0, less than 10"},
	}
	if got := s.Keys(); !slices.Equal(got, want) {
		t.Errorf("got\n %q\nwant\n %q", got, want)
	}
}
