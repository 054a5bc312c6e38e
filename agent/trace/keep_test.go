package trace

import (
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/coordinator"
)

// crash ends a trace as the end of its process does: what no checkpoint covers is lost.
func crash(t *testing.T, tr *Trace) {
	t.Helper()
	tr.sender.halt()
	tr.buf.mu.Lock()
	defer tr.buf.mu.Unlock()
	tr.buf.kept = nil
	if err := tr.buf.file.Close(); err != nil {
		t.Error(err)
	}
	tr.buf.file = nil
}

var lineMark = regexp.MustCompile(`^\S+Z ([0-9a-f]{2}[OE])([ +])`)

// streams sorts the lines of a trace by stream, since those of two streams may come in another order after a crash, takes the time
// stamps off, and joins lines that these cut.
func streams(trace string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(trace) {
		m := lineMark.FindStringSubmatch(line)
		if m == nil {
			out[""] += line
			continue
		}
		if m[2] == "+" {
			out[m[1]] = strings.TrimSuffix(out[m[1]], "\n")
		}
		out[m[1]] += line[len(m[0]):]
	}
	return out
}

// TestResume ends the trace at random places of two stages' output, again and again, and each byte is there once.
func TestResume(t *testing.T) {
	for _, stamped := range []bool{true, false} {
		for n := range 40 {
			seed := uint64(n)
			t.Run(fmt.Sprintf("stamped=%v seed=%d", stamped, seed), func(t *testing.T) {
				r := rand.New(rand.NewPCG(seed, 1))
				var s server
				o := Options{
					Job:        &coordinator.Job{ID: 7, Token: "job-token", Variables: coordinator.Variables{{Key: "A", Value: "hunter22hunter", Masked: true}}},
					Timestamps: stamped, MaskAllTokens: true,
				}
				want := play(t, &s, o, nil)
				s = server{}
				got := play(t, &s, o, r)
				s.complete(t)
				if got != s.text() {
					t.Errorf("the coordinator has\n%q\nand the trace is\n%q", s.text(), got)
				}
				if stamped {
					checkStreams(t, streams(got), streams(want))
				} else if sorted(got) != sorted(want) {
					t.Errorf("got\n%q\nwant\n%q", got, want)
				}
			})
		}
	}
}

func checkStreams(t *testing.T, got, want map[string]string) {
	t.Helper()
	for tag := range want {
		if got[tag] != want[tag] {
			t.Errorf("stream %s:\n%q\nwant\n%q", tag, got[tag], want[tag])
		}
	}
}

// sorted has a trace's bytes in order: all that two orders of the same pieces have in common.
func sorted(s string) string {
	b := []byte(s)
	slices.Sort(b)
	return string(b)
}

// output is what the two streams of a stage say.
func output(stage int) (stdout, stderr string) {
	var o, e strings.Builder
	for i := range 60 {
		fmt.Fprintf(&o, "stage %d line %d hunter22hunter glpat-abc%d €\n", stage, i, i)
		fmt.Fprintf(&e, "stage %d error %d hunter22hun ?private_token=q%d progress\rdone\n", stage, i, i)
	}
	return o.String() + "no end glpat-", e.String() + "hunter22"
}

// play writes two stages and the lines around them, and crashes when r says so; then it begins anew as another agent does: it says all
// lines again, leaves out the stages that the state calls done, and reads the running one from its beginning.
func play(t *testing.T, s *server, o Options, r *rand.Rand) string {
	t.Helper()
	dir := t.TempDir()
	crashes := 0
	if r != nil {
		crashes = 1 + r.IntN(8)
	}
	var tr *Trace
	for life := 0; ; life++ {
		o.Keep = dir
		state := 0 // twice the stages that are done, and 1 when one runs
		if life == 0 {
			tr = start(t, s, func(given *Options) { o.Client = given.Client; *given = o; given.Keep = dir })
		} else {
			next, data, err := Resume(o)
			if err != nil {
				t.Fatal(err)
			}
			tr = next
			if _, err := fmt.Sscan(string(data), &state); err != nil {
				t.Fatal(err)
			}
			if life%2 == 0 {
				tr.Start(t.Context())
			}
		}
		steps := -1
		if life < crashes {
			steps = r.IntN(60)
		}
		if perform(t, tr, state, r, steps) {
			break
		}
		crash(t, tr)
	}
	tr.Start(t.Context())
	if err := tr.Finish(t.Context(), Outcome{State: coordinator.JobSuccess}); err != nil {
		t.Fatal(err)
	}
	text, err := tr.buf.read(nil, 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.Close(); err != nil {
		t.Error(err)
	}
	return string(text)
}

// perform is false when steps came to an end before the job did.
func perform(t *testing.T, tr *Trace, state int, r *rand.Rand, steps int) bool {
	t.Helper()
	commit := func(state int, fresh bool) {
		if err := tr.Commit(fmt.Append(nil, state), fresh); err != nil {
			t.Fatal(err)
		}
	}
	step := func() bool { steps--; return steps != -1 }
	if state == 0 {
		commit(0, false)
	}
	for stage := range 2 {
		tr.Println(fmt.Sprint("before stage ", stage))
		if !step() {
			return false
		}
		if state >= 2*stage+2 {
			continue
		}
		if state < 2*stage+1 {
			commit(2*stage+1, true)
		}
		tr.Live()
		stdout, stderr := output(stage)
		for len(stdout)+len(stderr) > 0 {
			stdout = some(tr.Stdout(StreamJob), stdout, r)
			stderr = some(tr.Stderr(StreamJob), stderr, r)
			if !step() {
				return false
			}
			if r != nil && r.IntN(4) == 0 {
				_ = tr.sendable()
			}
		}
		tr.FlushJob()
		if !step() {
			return false
		}
		commit(2*stage+2, false)
	}
	tr.Infoln("done")
	return true
}

// some writes the beginning of text and returns the rest.
func some(w io.Writer, text string, r *rand.Rand) string {
	n := len(text)
	if r != nil {
		n = min(n, r.IntN(200))
	}
	_, _ = io.WriteString(w, text[:n])
	return text[n:]
}

// TestLeave hands a trace over: nothing more is taken, and the next one goes on.
func TestLeave(t *testing.T) {
	var s server
	dir := t.TempDir()
	var o Options
	tr := start(t, &s, func(given *Options) { given.Keep = dir; o = *given })
	tr.Println("first")
	if err := tr.Commit([]byte(`"here"`), true); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(tr.Stdout(StreamJob), "one\ntwo\n")
	tr.Leave()
	tr.Println("too late")
	fmt.Fprint(tr.Stdout(StreamJob), "three\n")
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	next, state, err := Resume(o)
	if err != nil || string(state) != `"here"` {
		t.Fatalf("state %s, %v", state, err)
	}
	defer next.Close()
	next.Println("first")
	next.Live()
	fmt.Fprint(next.Stdout(StreamJob), "one\ntwo\nthree\n")
	next.Println("last")
	if got, want := kept(t, next), "\x1b[0Kfirst\x1b[0;m\none\ntwo\nthree\n\x1b[0Klast\x1b[0;m\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
