package trace

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// chain is what a writer does to bytes, without time stamps.
func chain(secrets, prefixes []string, pieces ...string) string {
	w := writer{trace: &Trace{buf: newBuffer("", 1<<30), wrote: make(chan struct{}, 1)}}
	w.trace.secrets.values = map[string]bool{}
	w.trace.secrets.add(secrets...)
	w.tokens.prefixes = newMatcher(prefixes)
	for _, p := range pieces {
		w.Write([]byte(p))
	}
	w.flush()
	out, _ := w.trace.buf.read(nil, 0, 1<<30)
	return string(out)
}

func TestMask(t *testing.T) {
	for _, tc := range []struct {
		name    string
		secrets []string
		in      []string
		want    string
	}{
		{"nothing to hide", nil, []string{"plain\n"}, "plain\n"},
		{"one value", []string{"abcd1234"}, []string{"is abcd1234.\n"}, "is [MASKED].\n"},
		{"twice side by side", []string{"abcd"}, []string{"abcdabcd"}, "[MASKED][MASKED]"},
		{"split over two writes", []string{"abcd1234"}, []string{"is abc", "d1234."}, "is [MASKED]."},
		{"split byte by byte", []string{"abc"}, strings.Split("xabcx", ""), "x[MASKED]x"},
		{"a beginning that comes to nothing", []string{"abcd1234"}, []string{"abcd", "efgh"}, "abcdefgh"},
		{"a beginning at the end", []string{"abcd1234"}, []string{"abcd"}, "abcd"},
		{"the longest wins", []string{"abc", "abcdef"}, []string{"abcdefg"}, "[MASKED]g"},
		{"the shorter when the longer fails", []string{"abc", "abcdef"}, []string{"abcde."}, "[MASKED]de."},
		{"one inside another that fails", []string{"bc", "abcd"}, []string{"abcx"}, "a[MASKED]x"},
		{"two that overlap hide both", []string{"abcd", "cdef"}, []string{"xabcdefx"}, "x[MASKED]x"},
		{"overlap over writes", []string{"abcd", "cdef"}, []string{"xabcd", "efx"}, "x[MASKED]x"},
		{"a repeated beginning", []string{"aab"}, []string{"aaab"}, "a[MASKED]"},
		{"a single character", []string{"z"}, []string{"xyz", "zz"}, "xy[MASKED][MASKED][MASKED]"},
		{"many lines", []string{"one\ntwo"}, []string{"one\n", "two\n"}, "[MASKED]\n"},
		{"a token", nil, []string{"glpat-abc.def ok"}, "glpat-[MASKED] ok"},
		{"a token over writes", nil, []string{"gl", "pat-", "ab", "c "}, "glpat-[MASKED] "},
		{"a prefix alone", nil, []string{"glpat- x"}, "glpat- x"},
		{"a session", nil, []string{"_gitlab_session=12ab; x"}, "_gitlab_session=[MASKED]; x"},
		{"a secret behind a prefix", []string{"abc"}, []string{"glpat-abc"}, "glpat-[MASKED]"},
		{"URL parameters", nil, []string{"https://x/?private_token=q&b=1"}, "https://x/?private_token=[MASKED]&b=1"},
		{"the second parameter, any case", nil, []string{"?a=1&X-Amz-SIGNATURE=f0", "0#top"}, "?a=1&X-Amz-SIGNATURE=[MASKED]#top"},
		{"no such parameter", nil, []string{"?x-amz-date=1&my_private_token=2"}, "?x-amz-date=1&my_private_token=2"},
		{"an empty value", nil, []string{"?rss_token=&a=1"}, "?rss_token=&a=1"},
		{"a masked value in a URL", []string{"s3cret"}, []string{"?rss_token=s3cret'"}, "?rss_token=[MASKED]'"},
		{"a broken byte", nil, []string{"a\xffb"}, "a\ufffdb"},
		{"a character in two writes", nil, []string{"\xe2\x82", "\xac"}, "€"},
		{"a character cut off", nil, []string{"\xe2\x82"}, "\ufffd\ufffd"},
		{"a character that another one breaks off", nil, []string{"\xe2", "(\xa1"}, "\ufffd(\ufffd"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := chain(tc.secrets, tokenPrefixes, tc.in...); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// TestMaskAddedLate adds a secret while the beginning of another is held back.
func TestMaskAddedLate(t *testing.T) {
	w := writer{trace: &Trace{buf: newBuffer("", 0), wrote: make(chan struct{}, 1)}}
	w.trace.secrets.values = map[string]bool{}
	w.trace.secrets.add("abcdef", "xyab")
	w.Write([]byte("xyabcd")) // [MASKED] for xyab is out, cd may still become abcdef
	w.trace.secrets.add("cdgh")
	w.Write([]byte("gh xyab abcdef"))
	w.flush()
	out, _ := w.trace.buf.read(nil, 0, 1000)
	if got, want := string(out), "[MASKED][MASKED] [MASKED] [MASKED]"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestMaskNaive compares the automaton with the plain definition: each byte that some occurrence of a secret covers is hidden, and
// occurrences that overlap share one [MASKED].
func TestMaskNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringOfN(rapid.RuneFrom([]rune("abc")), 1, 5, -1)
		secrets := rapid.SliceOfN(word, 0, 4).Draw(t, "secrets")
		pieces := rapid.SliceOfN(rapid.StringOfN(rapid.RuneFrom([]rune("abcd")), 0, 12, -1), 0, 6).Draw(t, "pieces")
		got, want := chain(secrets, nil, pieces...), naive(secrets, strings.Join(pieces, ""))
		if got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}

func naive(secrets []string, text string) string {
	starts, joined := map[int]bool{}, make([]bool, len(text)+1) // joined[i]: bytes i-1 and i are in one occurrence
	covered := make([]bool, len(text))
	for _, s := range secrets {
		for i := range text {
			if s != "" && strings.HasPrefix(text[i:], s) {
				starts[i] = true
				for j := i; j < i+len(s); j++ {
					covered[j] = true
					joined[j] = joined[j] || j > i
				}
			}
		}
	}
	var out strings.Builder
	for i := range text {
		switch {
		case !covered[i]:
			out.WriteByte(text[i])
		case starts[i] && !joined[i]:
			out.WriteString(masked)
		}
	}
	return out.String()
}

// FuzzMask checks that the output is the same however the input is split, that no secret of some length is left in it, and that it is
// valid UTF-8.
func FuzzMask(f *testing.F) {
	f.Add([]byte("user s3cretvalue glpat-abc ?private_token=x \xff\xe2\x82"), []byte{3, 1, 7}, "s3cretvalue")
	f.Add([]byte("aaabaaab"), []byte{1}, "aab")
	f.Fuzz(func(t *testing.T, text, cuts []byte, secret string) {
		secrets := []string{secret, "s3cretvalue", "valueof"}
		var pieces []string
		for rest, i := string(text), 0; rest != ""; i++ {
			n := len(rest)
			if len(cuts) > 0 {
				n = min(n, 1+int(cuts[i%len(cuts)])%9)
			}
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		whole := chain(secrets, tokenPrefixes, string(text))
		if split := chain(secrets, tokenPrefixes, pieces...); split != whole {
			t.Errorf("split into %q: %q, whole: %q", pieces, split, whole)
		}
		if strings.Contains(whole, "s3cretvalue") {
			t.Errorf("a secret shows in %q", whole)
		}
		if !bytes.Equal(bytes.ToValidUTF8([]byte(whole), nil), []byte(whole)) {
			t.Errorf("not UTF-8: %q", whole)
		}
	})
}

// BenchmarkMask measures the masks: the one of secrets by itself, and all that a job's output goes through before it lies in the buffer, with
// ten secrets and all token prefixes there.
func BenchmarkMask(b *testing.B) {
	text := bytes.Repeat([]byte("go: downloading github.com/some/module v1.2.3 [done] (took 12ms) ?x=1\n"), 1000)
	ten := []string{"glcbt-64_1234567890abcdef", "hunter2hunter2", "dGhpcyBpcyBhIHNlY3JldA==", "Some-Pass-Word-1", "golden-retriever",
		"do-not-tell-anyone", "github_pat_0123456789", "x1y2z3x1y2z3", "9f86d081884c7d65", strings.Repeat("key", 700)}
	for _, tc := range []struct {
		name    string
		secrets []string
	}{{"no secrets", nil}, {"ten secrets", ten}} {
		b.Run(tc.name, func(b *testing.B) {
			var s secretMask
			m := newMatcher(tc.secrets)
			var out []byte
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				out = s.write(out[:0], text, m)
			}
		})
	}
	for _, tc := range []struct {
		name   string
		stamps bool
	}{{"whole chain", false}, {"whole chain with time stamps", true}} {
		b.Run(tc.name, func(b *testing.B) {
			w := writer{trace: &Trace{buf: newBuffer(b.TempDir(), 1), wrote: make(chan struct{}, 1), bulk: make(chan struct{}, 1)}}
			w.trace.secrets.values = map[string]bool{}
			w.trace.secrets.add(ten...)
			w.tokens.prefixes = newMatcher(tokenPrefixes)
			if tc.stamps {
				w.stamps = &stamper{tag: jobOut, now: time.Now}
			}
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				w.Write(text)
			}
		})
	}
}
