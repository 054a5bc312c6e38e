package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// sample has all that makes a file hard to change in place.
const sample = `# the fleet
concurrent = 4   # jobs at once
mystery = { a = [1, # one
  "]"] , b = '''x]''' }

# first
[[runners]] # one
	name = "one" # its name
	Token = "glrt-one" # secret
	pre_build_script = """
[[runners]]
token = "no" # not a comment
""""
  [runners.docker] # engine
    image = 'a#b'
    # image = "old"

[session_server]
session_timeout = 1800

  # more of one
  [runners."cache"]
    Path = "p"
# second
[[runners]]
name = "two"
token = "$TWO"

# the end
`

var granted = Token{Value: "glrt-new\"\\", ObtainedAt: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), ExpiresAt: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)}

func document(t *testing.T, text string) *Document {
	t.Helper()
	d, err := ParseDocument([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestSetToken(t *testing.T) {
	d := document(t, sample)
	if err := d.SetToken(0, granted); err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(sample, `Token = "glrt-one"`, `Token = "glrt-new\"\\"`, 1)
	want = strings.Replace(want, "# not a comment\n\"\"\"\"\n", "# not a comment\n\"\"\"\"\n\ttoken_obtained_at = 2026-01-02T03:04:05Z\n\ttoken_expires_at = 2027-01-02T03:04:05Z\n", 1)
	if diff := cmp.Diff(want, string(d.Bytes())); diff != "" {
		t.Error(diff)
	}
	if r := d.Runners()[0]; r.Token != granted.Value || !r.TokenExpiresAt.Equal(granted.ExpiresAt) {
		t.Errorf("reads as %q, %v", r.Token.Reveal(), r.TokenExpiresAt)
	}
	if err := d.SetToken(1, granted); err == nil || !strings.Contains(err.Error(), "its token comes from the environment ($TWO)") {
		t.Errorf("a token of the environment: %v", err)
	}
	if diff := cmp.Diff(want, string(d.Bytes())); diff != "" {
		t.Error("a refused change left something:", diff)
	}
}

func TestRemoveRunner(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		index      int
		want       string
	}{
		{"in pieces", sample, 0, `# the fleet
concurrent = 4   # jobs at once
mystery = { a = [1, # one
  "]"] , b = '''x]''' }

[session_server]
session_timeout = 1800

# second
[[runners]]
name = "two"
token = "$TWO"

# the end
`},
		{"the last", sample, 1, strings.Replace(sample, "# second\n[[runners]]\nname = \"two\"\ntoken = \"$TWO\"\n\n", "", 1)},
		{"the only one, without a line's end", "concurrent = 1\n\n[[runners]]\r\n name = 'a'", 0, "concurrent = 1\n"},
		{"comments at its end go, those of the next stay", "[[runners]]\n  name = 'a'\n  # limit = 1\n\n# about b\n[[runners]]\n  name = 'b'\n", 0,
			"# about b\n[[runners]]\n  name = 'b'\n"},
		{"no blank line between", "[[runners]]\nname = 'a'\n# about b\n[[runners]]\nname = 'b'\n", 0, "# about b\n[[runners]]\nname = 'b'\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := document(t, tt.text)
			if err := d.RemoveRunner(tt.index); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(d.Bytes())); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAddRunner(t *testing.T) {
	e, err := ParseTemplate([]byte("[[runners]]\nid = 5\ntoken = 'x'\nname = ''\nkeep_me = {a = 1}\n[runners.docker]\nvolumes = ['/a']\n[[runners.docker.services]]\nname = 's'\n"))
	if err != nil {
		t.Fatal(err)
	}
	e.Set("name", "new\n\"one\"")
	e.Set("limit", int64(3))
	e.Set("docker.privileged", true)
	e.Set("docker.sysctls", map[string]string{"net.core": "1"})
	e.Set("machine.IdleScaleFactor", 2.0)
	for _, end := range []string{"\n", "\r\n"} {
		d := document(t, "concurrent = 2"+end+"[[runners]]"+end+"name = 'old'")
		if err := d.AddRunner(e); err != nil {
			t.Fatal(err)
		}
		want := strings.ReplaceAll(`concurrent = 2
[[runners]]
name = 'old'

[[runners]]
  name = "new\n\"one\""
  limit = 3
  [runners.keep_me]
    a = 1
  [runners.docker]
    volumes = ["/a"]
    privileged = true
    [[runners.docker.services]]
      name = "s"
    [runners.docker.sysctls]
      "net.core" = "1"
  [runners.machine]
    IdleScaleFactor = 2.0
`, "\n", end)
		if diff := cmp.Diff(want, string(d.Bytes())); diff != "" {
			t.Error(diff)
		}
	}
}

// What can't be changed in place is refused by name, and left as it is.
func TestRefusedChanges(t *testing.T) {
	for _, text := range []string{
		"runners = [{name = 'a', token = 'b'}]\n",
		"[[runners]]\nname = 'a'\n[[Runners]]\nname = 'b'\n",
		"[runners]\nname = 'a'\n",
		"[a]\nx = 1\n[[runners.a]]\n",
	} {
		d := document(t, text)
		err := d.AddRunner(NewEntry())
		if err == nil || !strings.Contains(err.Error(), "[[runners]]") {
			t.Errorf("%q: %v", text, err)
		}
		if string(d.Bytes()) != text {
			t.Errorf("%q became %q", text, d.Bytes())
		}
	}
	if _, err := ParseDocument([]byte("a = 1\nb = [\n")); err == nil || !strings.Contains(err.Error(), "line ") {
		t.Errorf("not TOML: %v", err)
	}
	for _, text := range []string{"", "[[runners]]\n[[runners]]\n", "runners = 1\n"} {
		if _, err := ParseTemplate([]byte(text)); err == nil {
			t.Errorf("the template %q is accepted", text)
		}
	}
}

// texts are strings as files have them.
func texts() *rapid.Generator[string] {
	return rapid.OneOf(rapid.StringMatching(`[a-z0-9 .%/-]{0,12}`), rapid.String(), rapid.SampledFrom([]string{"[[runners]]", "a\n[b]\n", `"""`, "'''", "#", "\\", "]", "}"}))
}

// anyFile makes a file of n runners with comments, sections and odd values between; the values follow the parts that TestProperties counts.
func anyFile(t *rapid.T) (text string, n int) {
	end := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "line end")
	var b strings.Builder
	line := func(format string, args ...any) { b.WriteString(fmt.Sprintf(format, args...) + end) }
	noise := func() {
		for range rapid.IntRange(0, 2).Draw(t, "noise") {
			line("%s", rapid.SampledFrom([]string{"", "# [[runners]] \"", "   ", "  # x = '''", "#"}).Draw(t, "line"))
		}
	}
	noise()
	line("concurrent = %d # %s", rapid.IntRange(1, 9).Draw(t, "concurrent"), rapid.StringMatching(`[a-z\[\]"']*`).Draw(t, "comment"))
	n = rapid.IntRange(1, 4).Draw(t, "runners")
	for i := range n {
		noise()
		line("%s[[ runners ]]%s", rapid.SampledFrom([]string{"", "  "}).Draw(t, "indent"), rapid.SampledFrom([]string{"", " # ]]"}).Draw(t, "comment"))
		line("  name = %s", quote(fmt.Sprint(i, texts().Draw(t, "name"))))
		if rapid.Bool().Draw(t, "has token") {
			line("  token=%s#t", rapid.SampledFrom([]string{quote(strings.ReplaceAll(texts().Draw(t, "token"), "$", "")), "'''a" + end + "b'''", `"""x""" `}).Draw(t, "token form"))
		}
		noise()
		if rapid.Bool().Draw(t, "script") {
			line("  environment = [ # [%s  %s, 'b', # ]%s ]", end, quote(texts().Draw(t, "variable")), end)
		}
		if rapid.Bool().Draw(t, "section") {
			line("  [runners.docker]")
			noise()
			line("    'odd key' = { a.b = [%s], when = 1979-05-27 07:32:00 }", quote(texts().Draw(t, "image")))
		}
		if rapid.IntRange(0, 4).Draw(t, "interrupted") == 0 {
			line("[other.part%d]", i)
			line("x = %d", i)
			line("[runners.cache]")
			line("  Path = %s", quote(texts().Draw(t, "path")))
		}
	}
	noise()
	text = b.String()
	if rapid.Bool().Draw(t, "cut") {
		text = strings.TrimRight(text, "\r\n")
	}
	return text, n
}

// A change of the token leaves every other byte; what was written reads back; what is added and removed again leaves no trace.
func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, n := anyFile(t)
		d, err := ParseDocument([]byte(text))
		if err != nil {
			t.Skip(err)
		}
		i := rapid.IntRange(0, n-1).Draw(t, "index")
		before := d.Runners()
		if err := d.SetToken(i, Token{Value: "first"}); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		first := string(d.Bytes())
		secret := Secret(strings.ReplaceAll(texts().Draw(t, "new"), "$", ""))
		if err := d.SetToken(i, Token{Value: secret}); err != nil {
			t.Fatal(err)
		}
		second := string(d.Bytes())
		if got := strings.Replace(second, quote(secret.Reveal()), `"first"`, 1); len(first)-len(`"first"`) != len(second)-len(quote(secret.Reveal())) && got != first {
			t.Fatalf("more than the token changed:\n%s\nbecame\n%s", first, second)
		}
		for k, r := range d.Runners() {
			want := before[k]
			if k == i {
				want.Token, want.TokenObtainedAt, want.TokenExpiresAt = Secret(strings.ToValidUTF8(secret.Reveal(), "\uFFFD")), r.TokenObtainedAt, r.TokenExpiresAt
			}
			if diff := cmp.Diff(want, r); diff != "" {
				t.Fatal(diff)
			}
		}
		kept := d.Runners()
		e := NewEntry()
		e.Set("name", texts().Draw(t, "added"))
		e.Set("docker.image", "x")
		if err := d.AddRunner(e); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(d.Bytes()), second) {
			t.Fatal("adding changed what was there")
		}
		if err := d.RemoveRunner(n); err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimRight(string(d.Bytes()), " \r\n"); got != strings.TrimRight(second, " \r\n") {
			t.Fatalf("%q became %q", second, d.Bytes())
		}
		if diff := cmp.Diff(kept, d.Runners()); diff != "" {
			t.Fatal(diff)
		}
		if err := d.RemoveRunner(i); err != nil {
			t.Fatal(err)
		}
		for k, r := range d.Runners() {
			if want := kept[k+btoi(k >= i)]; want.Name != r.Name || want.Token != r.Token || want.Cache.Path != r.Cache.Path {
				t.Fatalf("entry %d: %+v", k, r)
			}
		}
	})
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// FuzzDocument gives the editor whatever is TOML: a change is refused or says what it should, which the Document itself compares.
func FuzzDocument(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.toml")
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(sample))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := ParseDocument(data)
		if err != nil {
			return
		}
		for i := range d.Runners() {
			if err := d.SetToken(i, granted); err == nil && d.Runners()[i].Token != granted.Value {
				t.Errorf("the token of entry %d is %q", i, d.Runners()[i].Token.Reveal())
			}
		}
		n := len(d.Runners())
		if n > 0 && d.RemoveRunner(n/2) == nil && len(d.Runners()) != n-1 {
			t.Errorf("%d of %d entries are left", len(d.Runners()), n)
		}
	})
}
