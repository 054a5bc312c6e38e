package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2/unstable"
)

// Document is the text of a config.toml that is being changed. Each change touches the bytes of what it changes and no others, so
// comments, order, unknown keys and variables that are not expanded stay; and it is tried before it counts: the new text must say what
// the old one said, with the change. A Document is not safe for concurrent use.
type Document struct {
	data    []byte
	root    *table
	runners []Runner
}

// ParseDocument reads the text of a config.toml. The error names the line of what is no TOML. data is not kept.
func ParseDocument(data []byte) (*Document, error) {
	d := &Document{}
	return d, d.take(bytes.Clone(data))
}

func (d *Document) take(data []byte) error {
	root, err := parseTree(data)
	if err != nil {
		var syntax *syntaxError
		if errors.As(err, &syntax) {
			return fmt.Errorf("line %d: not TOML: %s", syntax.line, syntax.msg)
		}
		return err
	}
	var c Config
	newDecoder("").structure(reflect.ValueOf(&c).Elem(), root, "")
	d.data, d.root, d.runners = data, root, c.Runners
	return nil
}

// Bytes is the text as it is now. The caller does not change it.
func (d *Document) Bytes() []byte { return d.data }

// Runners are the entries as they are written: no variable is expanded, and no default filled in.
func (d *Document) Runners() []Runner { return d.runners }

// IsVariable tells whether a value comes from the environment.
func IsVariable(text string) bool { return strings.Contains(text, "$") }

// Token is a runner's authentication token with its times.
type Token struct {
	Value      Secret
	ObtainedAt time.Time
	ExpiresAt  time.Time // zero: never
}

// SetToken gives the entry of that index another token. One that comes from the environment is refused: there the new one can't be
// put, and in the file the next start would not find it.
func (d *Document) SetToken(index int, token Token) error {
	if index < 0 || index >= len(d.runners) {
		return fmt.Errorf("runners[%d]: there are %d", index, len(d.runners))
	}
	r := d.runners[index]
	if IsVariable(r.Token.Reveal()) {
		return fmt.Errorf("runners[%d] (%s): its token comes from the environment (%s), where the new one can't be put; reset it in GitLab and set the variable, "+
			"or write the token itself into the file", index, r.Name, r.Token.Reveal())
	}
	for _, set := range []struct {
		key   string
		value any
	}{{"token", token.Value.Reveal()}, {"token_obtained_at", token.ObtainedAt}, {"token_expires_at", token.ExpiresAt}} {
		if err := d.set(index, set.key, newValue(set.value)); err != nil {
			return err
		}
	}
	return nil
}

// Find returns the indices of the entries that are written like r: by name, url and token.
func (d *Document) Find(r Runner) []int {
	var found []int
	for i, other := range d.runners {
		if other.Name == r.Name && other.URL == r.URL && other.Token == r.Token {
			found = append(found, i)
		}
	}
	return found
}

// Written returns the entry that becomes r, with its url and token, when the variables in it are expanded.
func (d *Document) Written(r Runner) (Runner, bool) {
	for _, w := range d.runners {
		if os.ExpandEnv(w.URL) == r.URL && os.ExpandEnv(w.Token.Reveal()) == r.Token.Reveal() {
			return w, true
		}
	}
	return Runner{}, false
}

// Rotate gives every entry with r's url and token, as they are written, another token: they are the same runner to GitLab. There must
// be one.
func (d *Document) Rotate(r Runner, token Token) error {
	found := false
	for i, other := range d.runners {
		if other.URL != r.URL || other.Token != r.Token {
			continue
		}
		found = true
		if err := d.SetToken(i, token); err != nil {
			return err
		}
	}
	if !found {
		return fmt.Errorf("runner %s: its entry is no more in the file, or has another token by now", r.Name)
	}
	return nil
}

// set changes a key of an entry, or adds it behind the entry's other keys.
func (d *Document) set(index int, key string, v *value) error {
	all, err := d.entries()
	if err != nil {
		return err
	}
	var last, found *statement
	for i := range all {
		st := &all[i]
		if st.runner != index || !st.direct {
			continue
		}
		last = &st.statement
		if len(st.keys) == 1 && strings.EqualFold(st.keys[0], key) {
			found = &st.statement // of two spellings the later one counts
		}
	}
	if last == nil {
		return fmt.Errorf("runners[%d]: not found", index)
	}
	if found != nil {
		key = found.keys[0]
	}
	text := encodeInline(v)
	want := func(root *table) { runnersOf(root)[index].table.put(key, v) }
	if found != nil {
		return d.replace(found.value[0], found.value[1], text, want)
	}
	line := indentOf(d.data[last.start:last.end], last.kind) + key + " = " + text + d.newline()
	if !bytes.HasSuffix(d.data[:last.end], []byte("\n")) {
		line = d.newline() + line
	}
	return d.replace(last.end, last.end, line, want)
}

// indentOf is what a new line beside one begins with.
func indentOf(line []byte, kind unstable.Kind) string {
	indent := string(line[:len(line)-len(bytes.TrimLeft(line, " \t"))])
	if kind == unstable.KeyValue {
		return indent
	}
	return indent + "  "
}

func (d *Document) newline() string {
	if bytes.Contains(d.data, []byte("\r\n")) {
		return "\r\n"
	}
	return "\n"
}

// preamble begins a new file, as GitLab Runner writes it.
const preamble = `concurrent = 1
check_interval = 0
shutdown_timeout = 0

[session_server]
  session_timeout = 1800
`

// AddRunner appends an entry; an empty text gets GitLab Runner's first lines before.
func (d *Document) AddRunner(e *Entry) error {
	if len(bytes.TrimSpace(d.data)) == 0 {
		if err := d.take([]byte(preamble)); err != nil {
			return err
		}
	}
	if _, err := d.entries(); err != nil {
		return err
	}
	text := strings.ReplaceAll(e.String(), "\n", d.newline())
	if len(d.data) > 0 && d.data[len(d.data)-1] != '\n' {
		text = d.newline() + d.newline() + text
	} else {
		text = d.newline() + text
	}
	return d.replace(len(d.data), len(d.data), text, func(root *table) {
		added := &value{kind: kindTable, table: e.table}
		if v := root.getFold("runners"); v != nil {
			v.kind, v.list = kindTableSet, append(v.list, added)
			return
		}
		root.set("runners", 0, &value{kind: kindTableSet, list: []*value{added}})
	})
}

// replace puts text in the place of a range, when the file then says what it said with want done to it.
func (d *Document) replace(start, end int, text string, want func(root *table)) error {
	expected, err := parseTree(d.data)
	if err != nil {
		return err
	}
	want(expected)
	next := &Document{}
	if err := next.take([]byte(string(d.data[:start]) + text + string(d.data[end:]))); err != nil {
		return fmt.Errorf("the change would spoil the file: %w; edit it by hand", err)
	}
	if !expected.same(next.root) {
		return errors.New("the change would alter more of the file than it should; edit it by hand")
	}
	*d = *next
	return nil
}

// placed is a statement with the entry that it belongs to.
type placed struct {
	statement
	runner int  // -1: none
	direct bool // the entry's header or a key right below it, not in a section of it
}

// entries lists the statements with their places. Entries that are written in one line can't be changed.
func (d *Document) entries() ([]placed, error) {
	var out []placed
	at := placed{runner: -1}
	count, spelling := -1, ""
	for _, st := range statements(d.data) {
		mine := len(st.keys) > 0 && strings.EqualFold(st.keys[0], "runners")
		if mine && (st.kind != unstable.KeyValue || at.keys == nil) {
			if spelling = cmp.Or(spelling, st.keys[0]); spelling != st.keys[0] {
				return nil, fmt.Errorf("runners are written as %s and as %s; write [[runners]] for each, so that they can be changed", spelling, st.keys[0])
			}
			if count < 0 && (st.kind != unstable.ArrayTable || len(st.keys) > 1) {
				return nil, errors.New("runners are not written as [[runners]] sections; write them so, then they can be changed")
			}
		}
		if st.kind != unstable.KeyValue {
			at = placed{statement: st, runner: -1}
			if mine && st.kind == unstable.ArrayTable && len(st.keys) == 1 {
				count++
				at.direct = true
			}
			if mine {
				at.runner = count
			}
		}
		out = append(out, placed{statement: st, runner: at.runner, direct: at.direct})
	}
	return out, nil
}

// runnersOf are the entries of a tree.
func runnersOf(root *table) []*value {
	if v := root.getFold("runners"); v != nil {
		return v.list
	}
	return nil
}
