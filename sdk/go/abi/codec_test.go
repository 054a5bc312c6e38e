package abi_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/hostfuncs/vectors"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// payloads makes an empty payload of each kind that has vectors.
var payloads = map[string]func() abi.Payload{
	"describe":         func() abi.Payload { return new(abi.Describe) },
	"snapshot":         func() abi.Payload { return new(abi.Snapshot) },
	"proposal":         func() abi.Payload { return new(abi.Proposal) },
	"observe_request":  func() abi.Payload { return new(abi.ObserveRequest) },
	"validate_request": func() abi.Payload { return new(abi.ValidateRequest) },
	"validate_result":  func() abi.Payload { return new(abi.ValidateResult) },
	"create_request":   func() abi.Payload { return new(abi.CreateRequest) },
	"list_request":     func() abi.Payload { return new(abi.ListRequest) },
	"check_request":    func() abi.Payload { return new(abi.CheckRequest) },
	"check_result":     func() abi.Payload { return new(abi.CheckResult) },
	"list_result":      func() abi.Payload { return new(abi.ListResult) },
	"remove_request":   func() abi.Payload { return new(abi.RemoveRequest) },
	"instance":         func() abi.Payload { return new(abi.Instance) },
	"group_request":    func() abi.Payload { return new(abi.GroupRequest) },
	"group_info":       func() abi.Payload { return new(abi.GroupInfo) },
	"increase_request": func() abi.Payload { return new(abi.IncreaseRequest) },
	"increase_result":  func() abi.Payload { return new(abi.IncreaseResult) },
	"decrease_request": func() abi.Payload { return new(abi.DecreaseRequest) },
	"decrease_result":  func() abi.Payload { return new(abi.DecreaseResult) },
	"connect_request":  func() abi.Payload { return new(abi.ConnectRequest) },
	"connect_info":     func() abi.Payload { return new(abi.ConnectInfo) },
	"result":           func() abi.Payload { return new(abi.Result) },
	"log_record":       func() abi.Payload { return new(abi.LogRecord) },
	"http_request":     func() abi.Payload { return new(abi.HTTPRequest) },
	"http_response":    func() abi.Payload { return new(abi.HTTPResponse) },
}

func decode[T string | []byte](in T, p abi.Payload) error { return p.DecodeJSON(string(in)) }

func encode(p abi.Payload) ([]byte, error) { return p.AppendJSON(nil) }

func codecs(t testing.TB) []vectors.Codec {
	t.Helper()
	all, err := vectors.Codecs()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestVectors reads each vector with the guests' codec and writes it again.
func TestVectors(t *testing.T) {
	seen := map[string]bool{}
	for _, v := range codecs(t) {
		seen[v.Kind] = true
		t.Run(v.Kind+"/"+v.Name, func(t *testing.T) {
			p := payloads[v.Kind]()
			err := decode(v.Input, p)
			if !v.Valid {
				if err == nil {
					t.Fatalf("was read as %+v, want a refusal", p)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			out, err := encode(p)
			if err != nil || string(out) != v.Expect {
				t.Fatalf("got  %s, %v\nwant %s", out, err, v.Expect)
			}
		})
	}
	for kind := range payloads {
		if !seen[kind] {
			t.Errorf("there is no vector of %s", kind)
		}
	}
}

// TestVectorsOnTheHost does the same with encoding/json, as the host does: it must refuse the same, and read the same from the input
// and from the canonical form.
func TestVectorsOnTheHost(t *testing.T) {
	for _, v := range codecs(t) {
		if v.SDKOnly {
			continue
		}
		t.Run(v.Kind+"/"+v.Name, func(t *testing.T) {
			p := payloads[v.Kind]()
			if err := json.Unmarshal([]byte(v.Input), p); !v.Valid {
				if err == nil {
					t.Fatalf("was read as %+v, want a refusal", p)
				}
				return
			} else if err != nil {
				t.Fatal(err)
			}
			canonical := payloads[v.Kind]()
			if err := json.Unmarshal([]byte(v.Expect), canonical); err != nil {
				t.Fatal(err)
			}
			for _, p := range []abi.Payload{p, canonical} {
				if out, err := encode(p); err != nil || string(out) != v.Expect {
					t.Errorf("got  %s, %v\nwant %s", out, err, v.Expect)
				}
			}
		})
	}
}

func TestUnmarshalErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		p           abi.Payload
		input, want string
	}{
		"a wrong type":     {new(abi.Proposal), `{"settings":{"idle_count":"1"}}`, "settings.idle_count: is a string and should be an integer (byte 27)"},
		"in a list":        {new(abi.Snapshot), `{"runner":{"autoscaling":[{"periods":["a"]},{"periods":[1]}]}}`, "runner.autoscaling.periods: is a number and should be a string (byte 57)"},
		"behind a list":    {new(abi.Snapshot), `{"zones":[{"name":"a"}],"now":5}`, "now: is a number and should be a string (byte 31)"},
		"a fraction":       {new(abi.Proposal), `{"idle_target":1.5}`, "idle_target: is no integer, or too large for one (byte 16)"},
		"a huge float":     {new(abi.Proposal), `{"ask_again_s":1e400}`, "ask_again_s: is too large a number (byte 16)"},
		"no object":        {new(abi.Proposal), `[]`, "is a list and should be an object (byte 1)"},
		"nothing":          {new(abi.Proposal), ``, "ends too early (byte 1)"},
		"cut":              {new(abi.Proposal), `{"reason":"a"`, "reason: ends too early (byte 14)"},
		"depth":            {new(abi.Proposal), strings.Repeat(`{"x":`, 100), "x.x.x.x.x.x.x.x: is nested deeper than 64 levels (byte 321)"},
		"a long name":      {new(abi.Proposal), `{"` + strings.Repeat("é", 500) + `":x}`, strings.Repeat("é", 32) + "…: is no JSON (byte 1005)"},
		"no base64":        {new(abi.HTTPRequest), `{"body":"%"}`, "body: is no base64 (byte 9)"},
		"more behind":      {new(abi.Proposal), `{} x`, "there is more behind the end (byte 4)"},
		"more than enough": {new(abi.Proposal), strings.Repeat(" ", 8<<20+1), "has more than 8 MB"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := decode(tc.input, tc.p); err == nil || err.Error() != tc.want {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

// TestUnmarshalTellsNoValue: a request holds a private key, and errors are shown to people.
func TestUnmarshalTellsNoValue(t *testing.T) {
	for _, input := range []string{`{"bootstrap":{"host_key_private":["geheim"]}}`, `{"bootstrap":{"host_key_private":"geheim\q"}}`, `{"bootstrap":"geheim"}`, `{"abi":"geheim"}`} {
		if err := decode(input, new(abi.CreateRequest)); err == nil || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: got %v", input, err)
		}
	}
}

func TestUnmarshalOverwrites(t *testing.T) {
	five := 5
	p := abi.Proposal{IdleTarget: &five, Reason: "old", Remove: []abi.Removal{{Name: "a"}}}
	if err := decode(`{"max_builds":1}`, &p); err != nil {
		t.Fatal(err)
	}
	if p.IdleTarget != nil || p.Reason != "" || p.Remove != nil || *p.MaxBuilds != 1 {
		t.Errorf("got %+v, want nothing of what was there", p)
	}
}

func TestMarshalRefuses(t *testing.T) {
	nan := math.NaN()
	for name, p := range map[string]abi.Payload{
		"NaN":            &abi.Proposal{AskAgainS: &nan},
		"infinity":       &abi.Proposal{Metrics: map[string]float64{"a": math.Inf(-1)}},
		"no JSON":        &abi.Instance{State: abi.Raw(`{"a":}`)},
		"two values":     &abi.Instance{State: abi.Raw(`1 2`)},
		"JSON too deep":  &abi.Instance{State: abi.Raw(strings.Repeat("[", 64) + strings.Repeat("]", 64))},
		"an empty value": &abi.Instance{State: abi.Raw(` `)},
	} {
		t.Run(name, func(t *testing.T) {
			if out, err := encode(p); err == nil || out != nil && len(out) > 0 {
				t.Errorf("got %s, %v; want an error", out, err)
			}
		})
	}
}

func TestMarshalMendsStrings(t *testing.T) {
	out, err := encode(&abi.Proposal{Reason: "a\xffb\xc3(\xe2\x82"})
	if want := "{\"reason\":\"a\uFFFDb\uFFFD(\uFFFD\uFFFD\"}"; err != nil || string(out) != want {
		t.Errorf("got %s, %v; want %s", out, err, want)
	}
	var p abi.Proposal
	if err := decode("{\"reason\":\"a\xffb\xc3(\xe2\x82\",\"state\":\"\\n\xff\"}", &p); err != nil || p.Reason != "a\uFFFDb\uFFFD(\uFFFD\uFFFD" || *p.State != "\n\uFFFD" {
		t.Errorf("got %q, %v", p.Reason, err)
	}
}

// TestAppendKeepsWhatIsThere also shows that a refused value leaves dst alone.
func TestAppendKeepsWhatIsThere(t *testing.T) {
	out, err := (&abi.Proposal{Reason: "r"}).AppendJSON([]byte("x{"))
	if err != nil || string(out) != `x{{"reason":"r"}` {
		t.Errorf("got %s, %v", out, err)
	}
	if out, err = (&abi.Instance{State: abi.Raw("?")}).AppendJSON([]byte("x")); err == nil || string(out) != "x" {
		t.Errorf("got %s, %v; want x and an error", out, err)
	}
}
