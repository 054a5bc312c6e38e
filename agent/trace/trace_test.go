package trace

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/coordinator"
)

// offline makes a trace that is not sent, with a clock that moves by a second at each look.
func offline(t *testing.T, o Options) *Trace {
	t.Helper()
	if o.Job == nil {
		o.Job = &coordinator.Job{ID: 7, Features: coordinator.Features{TraceSections: true}}
	}
	client, err := coordinator.New(coordinator.Options{URL: "http://gitlab.test"})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 8, 22, 10, 11, 12, 345678900, time.FixedZone("there", 7200))
	o.Client, o.Dir, o.Now = client, t.TempDir(), func() time.Time {
		now = now.Add(time.Second)
		return now
	}
	tr, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.Close() })
	return tr
}

// kept returns what the trace holds after all writers are flushed.
func kept(t *testing.T, tr *Trace) string {
	t.Helper()
	tr.end()
	out, err := tr.buf.read(nil, 0, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestLines(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	for _, tc := range []struct {
		name  string
		write func(*Trace)
		want  string
	}{
		{"one line of each stream", func(tr *Trace) {
			tr.Println("Running")
			tr.Stdout(StreamJob).Write([]byte("out\n"))
			tr.Stderr(StreamJob).Write([]byte("err\n"))
			tr.Stdout(StreamService).Write([]byte("up\n"))
		}, "2026-08-22T08:11:13.345678Z 00O \x1b[0KRunning\x1b[0;m\n" +
			"2026-08-22T08:11:14.345678Z 01O out\n" +
			"2026-08-22T08:11:15.345678Z 01E err\n" +
			"2026-08-22T08:11:16.345678Z 0fO up\n"},
		{"lines in one write came at one time", func(tr *Trace) { tr.Stdout(StreamJob).Write([]byte("a\n\nb\n")) },
			"2026-08-22T08:11:13.345678Z 01O a\n2026-08-22T08:11:13.345678Z 01O \n2026-08-22T08:11:13.345678Z 01O b\n"},
		{"a line in two writes has the time of its first byte", func(tr *Trace) {
			tr.Stdout(StreamJob).Write([]byte("a"))
			tr.Stderr(StreamJob).Write([]byte("e\n"))
			tr.Stdout(StreamJob).Write([]byte("b\n"))
		}, "2026-08-22T08:11:14.345678Z 01E e\n2026-08-22T08:11:13.345678Z 01O ab\n"},
		{"a progress bar", func(tr *Trace) {
			tr.Stdout(StreamJob).Write([]byte("10%\r20%\r"))
			tr.Stdout(StreamJob).Write([]byte("30\n"))
			tr.Stdout(StreamJob).Write([]byte("next\n"))
		}, "2026-08-22T08:11:13.345678Z 01O 10%\r20%\r\n2026-08-22T08:11:14.345678Z 01O+30\n2026-08-22T08:11:15.345678Z 01O next\n"},
		{"a very long line", func(tr *Trace) {
			tr.Stdout(StreamJob).Write([]byte(long))
			tr.Stdout(StreamJob).Write([]byte("y"))
			tr.Stdout(StreamJob).Write([]byte("z\n"))
		}, "2026-08-22T08:11:13.345678Z 01O " + long + "y\n2026-08-22T08:11:14.345678Z 01O+z\n"},
		{"no line feed at the end", func(tr *Trace) { tr.Stdout(StreamJob).Write([]byte("a")) }, "2026-08-22T08:11:13.345678Z 01O a\n"},
		{"a section", func(tr *Trace) {
			end := tr.Section("prepare_executor[collapsed=true]", `Preparing the "docker" executor`)
			end()
			end()
			tr.Infoln("Job succeeded")
		}, "2026-08-22T08:11:14.345678Z 00O section_start:1787386273:prepare_executor[collapsed=true]\r\x1b[0K\n" +
			"2026-08-22T08:11:15.345678Z 00O+\x1b[0K\x1b[36;1mPreparing the \"docker\" executor\x1b[0;m\x1b[0;m\n" +
			"2026-08-22T08:11:17.345678Z 00O section_end:1787386276:prepare_executor\r\x1b[0K\n" +
			"2026-08-22T08:11:18.345678Z 00O+\x1b[32;1mJob succeeded\x1b[0;m\n"},
		{"a section's end lets out what the job holds back", func(tr *Trace) {
			end := tr.Section("step_script", "Executing")
			tr.Mask("secret")
			tr.Stdout(StreamJob).Write([]byte("no line feed, sec"))
			end()
		}, "2026-08-22T08:11:14.345678Z 00O section_start:1787386273:step_script\r\x1b[0K\n" +
			"2026-08-22T08:11:15.345678Z 00O+\x1b[0K\x1b[36;1mExecuting\x1b[0;m\x1b[0;m\n" +
			"2026-08-22T08:11:16.345678Z 01O no line feed, sec\n" +
			"2026-08-22T08:11:18.345678Z 00O section_end:1787386277:step_script\r\x1b[0K\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tr := offline(t, Options{Timestamps: true})
			tc.write(tr)
			if diff := cmp.Diff(tc.want, kept(t, tr)); diff != "" {
				t.Errorf("trace (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPlain(t *testing.T) {
	write := func(tr *Trace) {
		end := tr.Section("get_sources", "Getting source")
		tr.Warningln("slow")
		tr.Errorln("Job failed")
		tr.Stdout(StreamJob).Write([]byte("10%\r"))
		end()
	}
	for _, tc := range []struct {
		name     string
		sections bool
		want     string
	}{
		{"with sections", true, "section_start:1787386273:get_sources\r\x1b[0K\x1b[0K\x1b[36;1mGetting source\x1b[0;m\x1b[0;m\n" +
			"\x1b[0;33mWARNING: slow\x1b[0;m\n\x1b[31;1mERROR: Job failed\x1b[0;m\n10%\rsection_end:1787386274:get_sources\r\x1b[0K"},
		{"without sections", false, "\x1b[0K\x1b[36;1mGetting source\x1b[0;m\x1b[0;m\n" +
			"\x1b[0;33mWARNING: slow\x1b[0;m\n\x1b[31;1mERROR: Job failed\x1b[0;m\n10%\r"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			job := &coordinator.Job{ID: 7, Features: coordinator.Features{TraceSections: tc.sections}}
			tr := offline(t, Options{Job: job})
			write(tr)
			if diff := cmp.Diff(tc.want, kept(t, tr)); diff != "" {
				t.Errorf("trace (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLimit(t *testing.T) {
	notice := func(limit string) string {
		return "\n\x1b[33;1mJob's log exceeded limit of " + limit + " bytes.\n" +
			"Job execution will continue but no more output will be collected.\x1b[0;m\n"
	}
	x := strings.Repeat("x", 5000)
	for _, tc := range []struct {
		name   string
		writes []string
		want   string
	}{
		{"below", []string{x[:1023]}, x[:1023]},
		{"reached exactly", []string{x[:1000], x[:24], "more"}, x[:1024] + notice("1024")},
		{"exceeded", []string{x, "more"}, x[:1024] + notice("1024")},
		{"at a whole character", []string{x[:1022], "€", "more"}, x[:1022] + notice("1024")},
		{"after masking", []string{strings.Repeat("0123456789abcdef", 100)}, strings.Repeat(masked, 100)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tr := offline(t, Options{Limit: 1024})
			tr.Mask(" 0123456789abcdef\n")
			for _, w := range tc.writes {
				tr.Stdout(StreamJob).Write([]byte(w))
			}
			if diff := cmp.Diff(tc.want, kept(t, tr)); diff != "" {
				t.Errorf("trace (-want +got):\n%s", diff)
			}
			if tr.Size() != int64(len(tc.want)) {
				t.Errorf("size %d, want %d", tr.Size(), len(tc.want))
			}
		})
	}
}

func TestSecretsOfTheJob(t *testing.T) {
	job := &coordinator.Job{
		ID: 7, Token: "glcbt-64_jobtoken",
		Variables:    coordinator.Variables{{Key: "S", Value: " s3cret ", Masked: true}, {Key: "P", Value: "public"}, {Key: "E", Masked: true}},
		Credentials:  []coordinator.Credential{{Password: "passw0rd"}},
		Dependencies: []coordinator.Dependency{{Token: "othertoken"}},
		Features:     coordinator.Features{TokenMaskPrefixes: []string{"custom-"}},
	}
	tr := offline(t, Options{Job: job})
	tr.Stdout(StreamJob).Write([]byte("s3cret public passw0rd othertoken glcbt-64_jobtoken custom-x glpat-y gldt-z\n"))
	if got, want := kept(t, tr),
		"[MASKED] public [MASKED] [MASKED] [MASKED] custom-[MASKED] glpat-[MASKED] gldt-z\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestMorePrefixesThanFifteen has a coordinator that names more prefixes of tokens than gitlab-runner has room for.
func TestMorePrefixesThanFifteen(t *testing.T) {
	job := &coordinator.Job{ID: 7}
	var said, want []string
	for n := range 20 {
		prefix := fmt.Sprintf("own%c-", 'a'+n)
		job.Features.TokenMaskPrefixes = append(job.Features.TokenMaskPrefixes, prefix)
		said, want = append(said, prefix+"x"), append(want, prefix+"[MASKED]")
	}
	for _, prefix := range tokenPrefixes {
		said, want = append(said, prefix+"x"), append(want, prefix+"[MASKED]")
	}
	tr := offline(t, Options{Job: job, MaskAllTokens: true})
	fmt.Fprintln(tr.Stdout(StreamJob), strings.Join(said, " "))
	if got, want := kept(t, tr), strings.Join(want, " ")+"\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestBufferOnDisk reads back across the border between file and memory.
func TestBufferOnDisk(t *testing.T) {
	dir := t.TempDir()
	b := newBuffer(dir, 0)
	text := strings.Repeat("0123456789", 10_000)
	for i := 0; i < len(text); i += 1000 {
		b.append([]byte(text[i:i+1000]), "", mark{})
	}
	if b.onDisk == 0 || len(b.mem) == 0 {
		t.Fatalf("%d bytes on disk, %d in memory", b.onDisk, len(b.mem))
	}
	for _, at := range []int64{0, 1, b.onDisk - 5, b.onDisk, b.onDisk + 5, int64(len(text))} {
		for _, n := range []int{1, 10, len(text)} {
			got, err := b.read(nil, at, n)
			if want := text[at:min(int(at)+n, len(text))]; err != nil || string(got) != want {
				t.Errorf("read(%d, %d) = %d bytes, %v; want %d", at, n, len(got), err, len(want))
			}
		}
	}
	if err := b.close(); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := b.close(); err != nil {
		t.Error(err)
	}
}

// TestBufferWithoutDisk keeps everything in memory when there is no place for a file.
func TestBufferWithoutDisk(t *testing.T) {
	b := newBuffer("/does/not/exist", 0)
	text := strings.Repeat("x", 3*spill)
	b.append([]byte(text[:2*spill]), "", mark{})
	b.append([]byte(text[2*spill:]), "", mark{})
	if got, err := b.read(nil, 0, len(text)); err != nil || string(got) != text {
		t.Errorf("read: %d bytes, %v", len(got), err)
	}
}
