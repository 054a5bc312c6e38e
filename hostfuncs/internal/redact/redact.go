// Package redact takes secrets out of text that others will read: in the plain, and in the spellings in which servers repeat what
// they were sent.
package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"net/url"
	"slices"
	"strings"
)

// Mark stands where a secret was.
const Mark = "[redacted]"

// MinSecret is how many bytes a secret has at least. A shorter one can't be told from ordinary text.
const MinSecret = 4

// minPart is how long an incomplete spelling must be to count.
const minPart = 8

// Redactor knows some secrets. The zero value and nil know none. It is immutable and safe for concurrent use.
type Redactor struct {
	spellings [][]byte // longest first, so that none is left in part
}

// New returns a redactor for secrets. Those shorter than MinSecret are passed over.
func New(secrets ...string) *Redactor {
	r := &Redactor{}
	seen := map[string]bool{}
	for _, s := range secrets {
		for _, form := range spell(s) {
			if !seen[form] {
				seen[form] = true
				r.spellings = append(r.spellings, []byte(form))
			}
		}
	}
	slices.SortStableFunc(r.spellings, func(a, b []byte) int { return len(b) - len(a) })
	return r
}

// spell returns the ways to write s that redact looks for.
func spell(s string) []string {
	if len(s) < MinSecret {
		return nil
	}
	quoted, _ := json.Marshal(s) // a string always has a form
	var plain bytes.Buffer
	enc := json.NewEncoder(&plain)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s)
	query, path := url.QueryEscape(s), url.PathEscape(s)
	forms := []string{
		s, query, path, lowerEscapes(query), lowerEscapes(path), html.EscapeString(s),
		strings.Trim(string(quoted), `"`), strings.Trim(strings.TrimSpace(plain.String()), `"`),
		strings.ReplaceAll(s, "/", `\/`), // as PHP writes JSON
		hex.EncodeToString([]byte(s)), strings.ToUpper(hex.EncodeToString([]byte(s))),
	}
	return append(forms, inBase64(s)...)
}

// lowerEscapes is s with its percent escapes in lower case.
func lowerEscapes(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:i+3], bytes.ToLower(b[i+1:i+3]))
		}
	}
	return string(b)
}

// inBase64 returns what base64 of any text with s in it holds. Three bytes become four characters, so there are three cases; the
// characters at both ends that mix with the neighbours are left out.
func inBase64(s string) []string {
	var forms []string
	for shift := range 3 {
		padded := append(make([]byte, shift), s...)
		from, to := (shift*8+5)/6, len(padded)*8/6
		for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			if part := enc.EncodeToString(padded)[from:to]; len(part) >= minPart {
				forms = append(forms, part)
			}
		}
	}
	return forms
}

// Bytes returns b with each secret replaced by Mark: b itself when there is none.
func (r *Redactor) Bytes(b []byte) []byte {
	if r == nil {
		return b
	}
	for _, form := range r.spellings {
		if bytes.Contains(b, form) {
			b = bytes.ReplaceAll(b, form, []byte(Mark))
		}
	}
	return b
}

// String is Bytes for text.
func (r *Redactor) String(s string) string {
	if !r.Found(s) {
		return s
	}
	return string(r.Bytes([]byte(s)))
}

// Found tells whether s holds a secret.
func (r *Redactor) Found(s string) bool {
	return r != nil && slices.ContainsFunc(r.spellings, func(form []byte) bool { return strings.Contains(s, string(form)) })
}

// FoundFolded is Found without regard to case, for what is spelled anew on its way, such as the name of a header or a host.
func (r *Redactor) FoundFolded(s string) bool {
	lower := strings.ToLower(s)
	return r != nil && slices.ContainsFunc(r.spellings, func(form []byte) bool {
		return strings.Contains(lower, strings.ToLower(string(form)))
	})
}
