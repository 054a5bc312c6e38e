package config

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Show is the configuration as TOML, as it is in force: variables expanded, defaults filled in, what is empty or zero left out, and
// what may be secret hidden.
func (c *Config) Show() string {
	var b strings.Builder
	encodeTable(&b, tableOf(reflect.ValueOf(*c), func(string) string { return redacted }), "", 0)
	return b.String()
}

// Setting is one key of a configuration in force.
type Setting struct {
	Path  string `json:"path"`  // runners[auto].machine.IdleCount; entries by their names
	Value string `json:"value"` // as in TOML; a secret is [redacted, and a digest that tells it from another
}

// Settings lists what Show shows, by path. Secrets become digests keyed with salt: with the same salt they tell whether two
// configurations have the same secrets, and they tell nothing else.
func (c *Config) Settings(salt string) []Setting {
	hide := func(secret string) string {
		mac := hmac.New(sha256.New, []byte(salt))
		mac.Write([]byte(secret))
		return "[redacted " + hex.EncodeToString(mac.Sum(nil))[:32] + "]"
	}
	var out []Setting
	flatten(&out, tableOf(reflect.ValueOf(*c), hide), "")
	slices.SortFunc(out, func(a, b Setting) int { return strings.Compare(a.Path, b.Path) })
	return out
}

func flatten(out *[]Setting, t *table, path string) {
	for _, e := range t.entries {
		at := join(path, encodeKey(e.key))
		switch e.value.kind {
		case kindTable:
			flatten(out, e.value.table, at)
		case kindTableSet:
			seen := map[string]int{}
			for i, item := range e.value.list {
				name := strconv.Itoa(i)
				if v := item.table.get("name"); v != nil {
					name = v.text
				}
				if seen[name]++; seen[name] > 1 {
					name = fmt.Sprintf("%s, number %d", name, seen[name])
				}
				flatten(out, item.table, at+"["+name+"]")
			}
		default:
			*out = append(*out, Setting{at, encodeInline(e.value)})
		}
	}
}

// Change is a key whose value differs. "" is none.
type Change struct {
	Path, Before, After string
	Restart             bool // it takes effect at the next start only
}

// Diff compares two lists of settings that were made with the same salt, by path. Digests are not shown.
func Diff(before, after []Setting) []Change {
	values := map[string][2]string{}
	for i, list := range [][]Setting{before, after} {
		for _, s := range list {
			pair := values[s.Path]
			pair[i] = s.Value
			values[s.Path] = pair
		}
	}
	var out []Change
	for path, pair := range values {
		if pair[0] != pair[1] {
			out = append(out, Change{path, withoutDigest(pair[0]), withoutDigest(pair[1]), needsRestart(path)})
		}
	}
	slices.SortFunc(out, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return out
}

var digest = regexp.MustCompile(`\[redacted [0-9a-f]{32}\]`)

func withoutDigest(s string) string { return digest.ReplaceAllString(s, redacted) }

// needsRestart tells whether a key is read at the start alone.
func needsRestart(path string) bool {
	return path == "listen_address" || strings.HasPrefix(path, "session_server.")
}

// tableOf turns a struct into what a file would say.
func tableOf(v reflect.Value, hide func(string) string) *table {
	out := newTable()
	for i := range v.NumField() {
		key := v.Type().Field(i).Tag.Get("toml")
		if key == "" || key == "-" {
			continue
		}
		if made := shown(v.Field(i), key, hide); made != nil {
			out.set(key, 0, made)
		}
	}
	return out
}

// shown turns a field into a value of the file, or nil when it says nothing.
func shown(f reflect.Value, key string, hide func(string) string) *value {
	if f.Kind() == reflect.Pointer {
		if f.IsNil() {
			return nil
		}
		if made := shown(f.Elem(), key, hide); made != nil || f.Elem().Kind() == reflect.Struct {
			return made
		}
		return newValue(plain(f.Elem())) // given, though it is zero
	}
	if t, is := f.Interface().(time.Time); is {
		if t.IsZero() {
			return nil
		}
		return newValue(t)
	}
	if f.Kind() == reflect.Struct {
		if inner := tableOf(f, hide); len(inner.entries) > 0 {
			return &value{kind: kindTable, table: inner}
		}
		return nil
	}
	if f.IsZero() || (f.Kind() == reflect.Slice || f.Kind() == reflect.Map) && f.Len() == 0 {
		return nil
	}
	switch f.Kind() {
	case reflect.Slice:
		return shownList(f, key, hide)
	case reflect.Map:
		out := &value{kind: kindTable, table: newTable()}
		keys := f.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, k := range keys {
			item := f.MapIndex(k)
			if item.Kind() == reflect.Interface {
				item = item.Elem()
			}
			if made := shown(item, k.String(), hide); made != nil {
				out.table.set(k.String(), 0, made)
			} else if item.IsValid() {
				out.table.set(k.String(), 0, newValue(plain(item)))
			}
		}
		return out
	}
	if f.Kind() == reflect.String {
		return newValue(hideIn(key, f.Type() == typeSecret, f.String(), hide))
	}
	return newValue(plain(f))
}

func shownList(f reflect.Value, key string, hide func(string) string) *value {
	if f.Type().Elem().Kind() == reflect.Struct {
		out := &value{kind: kindTableSet}
		for i := range f.Len() {
			out.list = append(out.list, &value{kind: kindTable, table: tableOf(f.Index(i), hide)})
		}
		return out
	}
	out := &value{kind: kindList}
	for i := range f.Len() {
		item := f.Index(i)
		if item.Kind() == reflect.Interface {
			item = item.Elem()
		}
		if item.Kind() == reflect.String {
			out.list = append(out.list, newValue(hideInItem(key, item.String(), hide)))
		} else if made := shown(item, key, hide); made != nil {
			out.list = append(out.list, made)
		} else if item.IsValid() {
			out.list = append(out.list, newValue(plain(item)))
		}
	}
	return out
}

// plain is a scalar as newValue takes it.
func plain(f reflect.Value) any {
	switch {
	case f.Type() == typeDuration:
		return time.Duration(f.Int()).String()
	case f.CanInt():
		return f.Int()
	case f.CanFloat():
		return f.Float()
	}
	return f.Interface()
}

var (
	secretName = regexp.MustCompile(`(?i)secret|token|passw|passphrase|credential|auth|private[-_]?key|api[-_]?key|access[-_]?key|account[-_]?key|^key$`)
	userInURL  = regexp.MustCompile(`://[^/@\s]+@`)
)

// hideIn hides what is a secret by its type or by its key's name, and users in URLs. Paths and identifiers stay.
func hideIn(key string, secret bool, text string, hide func(string) string) string {
	notSecret := slices.Contains([]string{"AccessKey", "tls-key-file", "AuthenticationType", "token_obtained_at"}, key)
	if secret || secretName.MatchString(key) && !notSecret && !strings.HasPrefix(text, "/") {
		return hide(text)
	}
	return userInURL.ReplaceAllStringFunc(text, func(m string) string { return "://" + hide(m) + "@" })
}

// hideInItem hides the values of a list's items of the form name=value: all in environment, elsewhere those whose name says so.
func hideInItem(key, item string, hide func(string) string) string {
	name, text, pair := strings.Cut(item, "=")
	if !pair {
		return hideIn("", false, item, hide)
	}
	if strings.EqualFold(key, "environment") {
		return name + "=" + hideIn(name, !strings.HasPrefix(name, "FF_"), text, hide)
	}
	if inner, rest, nested := strings.Cut(text, "="); nested { // engine-env=NAME=value
		return name + "=" + inner + "=" + hideIn(name+" "+inner, false, rest, hide)
	}
	return name + "=" + hideIn(name, false, text, hide)
}
