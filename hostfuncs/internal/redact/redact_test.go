package redact

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"strings"
	"testing"
)

const secret = `p/a"s<s+w&rd=äö-0123456789`

func TestSpellings(t *testing.T) {
	quoted, _ := json.Marshal(secret)
	for name, text := range map[string]string{
		"plain":            "Bearer " + secret + "!",
		"twice":            secret + secret,
		"query":            "t=" + url.QueryEscape(secret),
		"path":             "/" + url.PathEscape(secret),
		"lower escapes":    strings.ToLower(url.QueryEscape(`p/a"`)) + url.QueryEscape(strings.TrimPrefix(secret, `p/a"`)) + " " + lowerEscapes(url.QueryEscape(secret)),
		"JSON":             string(quoted),
		"HTML":             html.EscapeString(secret),
		"hex":              hex.EncodeToString([]byte(secret)),
		"HEX":              strings.ToUpper(hex.EncodeToString([]byte(secret))),
		"base64":           base64.StdEncoding.EncodeToString([]byte(secret)),
		"base64 after 1":   base64.StdEncoding.EncodeToString([]byte("a" + secret + "b")),
		"base64 after 2":   base64.URLEncoding.EncodeToString([]byte("ab" + secret + "bc")),
		"base64 of a pair": base64.StdEncoding.EncodeToString([]byte("user:" + secret)),
	} {
		t.Run(name, func(t *testing.T) {
			r := New(secret)
			if !r.Found(text) || !strings.Contains(r.String(text), Mark) {
				t.Fatalf("%q stays", text)
			}
			for from := 0; from+12 < len(secret); from++ {
				if part := secret[from : from+12]; name != "lower escapes" && strings.Contains(r.String(text), part) {
					t.Errorf("%q still holds %q", r.String(text), part)
				}
			}
		})
	}
}

func TestOrdinaryTextStays(t *testing.T) {
	text := `{"items": [1, 2], "next": "/v1?page=2"}`
	for _, r := range []*Redactor{nil, {}, New(), New("", "abc"), New(secret)} {
		if got := r.String(text); got != text || r.Found(text) || r.FoundFolded(text) {
			t.Errorf("became %q", got)
		}
	}
}

func TestFolded(t *testing.T) {
	if r := New("AbCdEfGh"); !r.FoundFolded("X-Abcdefgh") || r.Found("X-Abcdefgh") {
		t.Error("the case of a header's name hides a secret")
	}
}

func BenchmarkBytes(b *testing.B) {
	body := []byte(strings.Repeat("no secret is in here, ", 4<<20/22))
	var secrets []string
	for i := range 8 {
		secrets = append(secrets, fmt.Sprint(secret, i))
	}
	r := New(secrets...)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		r.Bytes(body)
	}
}
