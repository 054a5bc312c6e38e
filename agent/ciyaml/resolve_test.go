package ciyaml

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func parse(t *testing.T, text string) *Pipeline {
	t.Helper()
	p, err := Parse("ci.yml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestResolve(t *testing.T) {
	p := parse(t, `
variables: {LEVEL: "1", BRANCH: $CI_COMMIT_BRANCH}
stages: [build, test]
compile:
  stage: build
  script: x
  parallel: 2
  rules:
    - if: $BRANCH == "main" && $SECRET
      variables: {LEVEL: "2", EXTRA: y}
unit:
  script: x
  needs: [compile, {job: ghost, optional: true}]
  dependencies: [compile]
ghost:
  script: x
  rules: [{if: $NEVER}]
ask:
  script: x
  when: manual
ask by rule:
  script: x
  rules: [{when: manual}]
`)
	jobs, err := p.Resolve([]Variable{{Key: "CI_COMMIT_BRANCH", Value: "main"}}, []Variable{{Key: "SECRET", Value: "s"}})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	byName := map[string]Job{}
	for _, j := range jobs {
		names = append(names, j.Name)
		byName[j.Name] = j
	}
	if diff := cmp.Diff([]string{"compile 1/2", "compile 2/2", "unit", "ask", "ask by rule"}, names); diff != "" {
		t.Error(diff)
	}
	want := []Variable{{Key: "LEVEL", Value: "2"}, {Key: "BRANCH", Value: "$CI_COMMIT_BRANCH"}, {Key: "EXTRA", Value: "y"}}
	if diff := cmp.Diff(want, byName["compile 2/2"].Variables); diff != "" {
		t.Error(diff)
	}
	if j := byName["compile 2/2"]; j.Index != 2 || j.Parallel != 2 || j.Base != "compile" {
		t.Errorf("got instance %d of %d of %s", j.Index, j.Parallel, j.Base)
	}
	needs := []Need{{Job: "compile 1/2", Artifacts: true}, {Job: "compile 2/2", Artifacts: true}}
	if diff := cmp.Diff(needs, byName["unit"].Needs); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"compile 1/2", "compile 2/2"}, byName["unit"].Dependencies); diff != "" {
		t.Error(diff)
	}
	if !byName["ask"].AllowFailure.Always || byName["ask by rule"].AllowFailure.Always {
		t.Error("a manual job may fail by default, one made manual by a rule may not")
	}
	if again, err := p.Resolve(nil, nil); err == nil || again != nil && len(again) > 5 {
		t.Error("compile is left out, so unit's need must be refused")
	}
}

func TestResolveRefuses(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"no job left", "a: {script: x, rules: [{if: $NO}]}", "ci.yml: the rules leave no job to run"},
		{"need left out", "a: {script: x, rules: [{if: $NO}]}\nb: {script: x, needs: [a]}", `ci.yml:2:1: b: needs job "a", which the rules leave out`},
		{"circle", "a:\n  script: x\n  variables: {A: $B, B: $A}", "ci.yml:1:1: a: variables name each other in a circle: A -> B -> A"},
		{"no pattern", "a:\n  script: x\n  variables: {A: text}\n  rules:\n    - if: $A =~ $A", `ci.yml:5:7: a: rules[0].if: what $A holds is not a /pattern/`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parse(t, tt.text).Resolve(nil, nil)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v; want %s", err, tt.want)
			}
		})
	}
}

func TestCondition(t *testing.T) {
	variables := map[string]string{"A": "a", "EMPTY": "", "BLANK": " ", "BRANCH": "feature/x-1", "RE": "/^FEATURE/i"}
	lookup := func(name string) (string, bool) { v, ok := variables[name]; return v, ok }
	tests := []struct {
		text string
		want bool
	}{
		{`$A`, true}, {`$EMPTY`, false}, {`$BLANK`, false}, {`$NOPE`, false},
		{`$A == "a"`, true}, {`$A == 'b'`, false}, {`"a" == $A`, true}, {`$A != "b"`, true},
		{`$NOPE == null`, true}, {`$EMPTY == null`, false}, {`$EMPTY == ""`, true}, {`$NOPE == ""`, false}, {`$A != null`, true},
		{`$BRANCH =~ /^feature\/.*-\d$/`, true}, {`$BRANCH !~ /^feature/`, false}, {`$BRANCH =~ $RE`, true}, {`$A =~ $NOPE`, false},
		{`$A !~ $NOPE`, true}, {`$NOPE =~ /^$/`, true},
		{`$A == "x" || $A == "a" && $EMPTY`, false}, {`$EMPTY && $EMPTY || $A`, true}, {`$EMPTY && ($EMPTY || $A)`, false},
		{`($A == "a")`, true}, {`$A == $A`, true}, {`"$A" == "a"`, false},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			c, err := parseCondition(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			v, err := c(lookup)
			if err != nil || v.true() != tt.want {
				t.Errorf("got %v, %v; want %v", v.true(), err, tt.want)
			}
		})
	}
}

func TestExpand(t *testing.T) {
	in := []Variable{
		{Key: "C", Value: "x"}, {Key: "A", Value: "$B-${C}"}, {Key: "B", Value: "$C$NOPE$$C"}, {Key: "RAW", Value: "$C", Raw: true},
		{Key: "FILE", Value: "text", File: true}, {Key: "R", Value: "$RAW $FILE"}, {Key: "SELF", Value: "$SELF:more"},
		{Key: "C", Value: "y"}, {Key: "ODD", Value: "$ ${ $1 %C%"},
	}
	want := []string{"x", "y$NOPE$$C-y", "y$NOPE$$C", "$C", "text", "$RAW $FILE", "$SELF:more", "y", "$ ${ $1 %C%"}
	out, err := Expand(in)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, v := range out {
		got = append(got, v.Value)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	bomb := []Variable{{Key: "A0", Value: "0123456789"}}
	for i := 1; i < 20; i++ {
		last := "$A" + string(rune('A'+i-1))
		if i == 1 {
			last = "$A0"
		}
		bomb = append(bomb, Variable{Key: "A" + string(rune('A'+i)), Value: strings.Repeat(last, 10)})
	}
	if _, err := Expand(bomb); err == nil {
		t.Error("a bomb expands")
	}
}

func TestLookupExpandsRaw(t *testing.T) {
	out, err := Expand([]Variable{{Key: "RAW", Value: "$X", Raw: true}, {Key: "A", Value: "<${RAW}>"}})
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := lookupIn(out)("A"); got != "<$X>" || !ok {
		t.Errorf("got %q, %v", got, ok)
	}
}

func TestParseDuration(t *testing.T) {
	tests := map[string]time.Duration{
		"1h 30m": 90 * time.Minute, "90 minutes": 90 * time.Minute, "3600": time.Hour, "1 hour and 30 minutes": 90 * time.Minute,
		"2h20min": 140 * time.Minute, "1.5 hours": 90 * time.Minute, "01:30:00": 90 * time.Minute, "1:30": 90 * time.Second,
		"1 week": 7 * 24 * time.Hour, "3 mos 4 days": 94 * 24 * time.Hour, "1 hour, 5 secs": time.Hour + 5*time.Second, "10 Minutes": 10 * time.Minute,
		"": 0, "soon": 0, "1 fortnight": 0, "-1h": 0, "0": 0, "h": 0, "1h x": 0, "0 minutes": 0, "1..2h": 0, "9999999 years": 0, "1:2:3:4": 0,
	}
	for text, want := range tests {
		got, err := ParseDuration(text)
		if got != want || (err != nil) != (want == 0) {
			t.Errorf("%q: got %v, %v; want %v", text, got, err, want)
		}
	}
}
