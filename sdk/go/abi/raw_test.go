package abi_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

func TestRaw(t *testing.T) {
	r := abi.Raw(` { "limit" : 5, "names":["a" ,"b\n"], "price":0.25,"on":true, "deep":{"er":{"x":"y"}}, "gone":null, "limit":6 } `)
	if n, ok := r.Field("limit").Int(); n != 6 || !ok {
		t.Errorf("limit is %d, %v", n, ok)
	}
	if f, ok := r.Field("price").Float(); f != 0.25 || !ok {
		t.Errorf("price is %g, %v", f, ok)
	}
	if b, ok := r.Field("on").Bool(); !b || !ok {
		t.Errorf("on is %v, %v", b, ok)
	}
	if s, ok := r.Field("deep", "er", "x").Text(); s != "y" || !ok {
		t.Errorf("deep.er.x is %q, %v", s, ok)
	}
	items := r.Field("names").Items()
	if len(items) != 2 {
		t.Fatalf("names are %s", items)
	}
	if s, ok := items[1].Text(); s != "b\n" || !ok {
		t.Errorf("names[1] is %q, %v", s, ok)
	}
	if want := []string{"limit", "names", "price", "on", "deep", "gone", "limit"}; !slices.Equal(r.Names(), want) {
		t.Errorf("names are %q", r.Names())
	}
}

func TestRawOfAnotherType(t *testing.T) {
	for name, r := range map[string]abi.Raw{"nothing": nil, "null": abi.Raw("null"), "an object": abi.Raw(`{"a":1}`), "junk": abi.Raw("{junk"), "two": abi.Raw("1 2")} {
		t.Run(name, func(t *testing.T) {
			if n, ok := r.Int(); ok {
				t.Errorf("Int is %d", n)
			}
			if f, ok := r.Float(); ok {
				t.Errorf("Float is %g", f)
			}
			if s, ok := r.Text(); ok {
				t.Errorf("Text is %q", s)
			}
			if b, ok := r.Bool(); ok {
				t.Errorf("Bool is %v", b)
			}
			if len(r.Items()) > 0 || len(r.Field("no", "such")) > 0 || len(r.Field("a", "b")) > 0 {
				t.Error("there is something in it")
			}
		})
	}
	if n, ok := abi.Raw("1.5").Int(); ok {
		t.Errorf("1.5 is the integer %d", n)
	}
}

// TestRawNull: null and absent are the same, on both sides.
func TestRawNull(t *testing.T) {
	var s abi.Snapshot
	if err := json.Unmarshal([]byte(`{"config":null}`), &s); err != nil || len(s.Config) != 0 {
		t.Errorf("got %s, %v", s.Config, err)
	}
	if out, err := json.Marshal(abi.Instance{State: abi.Raw(" [1 ]")}); err != nil || string(out) != `{"name":"","id":"","status":"","state":[1]}` {
		t.Errorf("got %s, %v", out, err)
	}
}
