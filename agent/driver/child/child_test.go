package child

import (
	"slices"
	"strings"
	"testing"
)

func TestLines(t *testing.T) {
	var got []string
	l := &Lines{Tell: func(line string) { got = append(got, line) }}
	for _, part := range []string{"one\r\ntw", "o\n", strings.Repeat("x", MaxLine+10), "yz\n", "bad \xff\n", "no end"} {
		if n, err := l.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
	want := []string{"one", "two", strings.Repeat("x", MaxLine) + "…", "bad �"}
	if !slices.Equal(got, want) {
		t.Errorf("got %.80q", got)
	}
}

func TestHider(t *testing.T) {
	hide := Hider([]string{"", "hunter", "hunter22", "a b\"c", "-----BEGIN-----\nMIIEabcdefgh\nxy\n"})
	for text, want := range map[string]string{
		"nothing here":                     "nothing here",
		"by hunter22!":                     "by [redacted]!",
		"by hunter!":                       "by [redacted]!",
		`{"k":"a b\"c"}`:                   `{"k":"[redacted]"}`,
		"?k=a+b%22c":                       "?k=[redacted]",
		"key MIIEabcdefgh":                 "key [redacted]",
		"xy is too short to tell a secret": "xy is too short to tell a secret",
	} {
		if got := hide(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
