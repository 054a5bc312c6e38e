package shell

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/internal/need"
)

// shells are the commands that run a script file, as far as they are here.
func shells(t testing.TB) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for name, command := range map[string][]string{"bash": {"bash"}, "dash": {"dash"}, "busybox": {"busybox", "sh"}} {
		if _, err := exec.LookPath(command[0]); err == nil {
			out[name] = command
		}
	}
	if len(out) == 0 {
		need.Command(t, "sh")
		out["sh"] = []string{"sh"}
	}
	return out
}

// play runs a script and returns what it wrote and its exit code.
func play(t testing.TB, command []string, script []byte) (out string, code int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(file, script, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(command[0], append(command[1:], file)...)
	var b bytes.Buffer
	cmd.Stdout, cmd.Stderr = &b, &b
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return b.String(), cmd.ProcessState.ExitCode()
}

func frame(t testing.TB, variables ...coordinator.Variable) Frame {
	t.Helper()
	dir := t.TempDir()
	return Frame{Variables: variables, ProjectDir: dir, TempDir: filepath.Join(dir, "p.tmp")}
}

func TestStep(t *testing.T) {
	green := func(s string) string { return "\x1b[32;1m" + s + "\x1b[0;m\n" }
	for _, tt := range []struct {
		name      string
		entries   []string
		variables coordinator.Variables
		change    func(*Frame)
		want      string
		code      int
		bashOnly  bool
	}{
		{name: "echoed", entries: []string{"echo hi"}, want: green("$ echo hi") + "hi\n"},
		{name: "blank", entries: []string{"  ", " echo x "}, want: "\n" + green("$ echo x") + "x\n"},
		{name: "quotes", entries: []string{`echo "it's \"so\"" '$A'`}, want: green(`$ echo "it's \"so\"" '$A'`) + "it's \"so\" $A\n"},
		{name: "stops at a failure", entries: []string{"false", "echo no"}, want: green("$ false"), code: 1},
		{name: "exit code", entries: []string{"exit 37"}, want: green("$ exit 37"), code: 37},
		{name: "errexit off for the rest", entries: []string{"set +e", "false", "echo on"}, want: green("$ set +e") + green("$ false") + green("$ echo on") + "on\n"},
		{name: "but checked where asked for", change: func(f *Frame) { f.CheckExit = true }, entries: []string{"set +e", "false", "echo on"}, want: green("$ set +e") + green("$ false"), code: 1},
		{name: "pipefail", bashOnly: true, entries: []string{"false | true"}, want: green("$ false | true"), code: 1},
		{name: "variables", variables: coordinator.Variables{{Key: "A", Value: "a'b\"c\n$d\\"}, {Key: "A.B", Value: "not for a shell"}, {Key: "UID", Value: "read-only"}},
			entries: []string{`printf '[%s]' "$A"`}, want: green(`$ printf '[%s]' "$A"`) + "[a'b\"c\n$d\\]"},
		{name: "the last one wins", variables: coordinator.Variables{{Key: "A", Value: "1"}, {Key: "A", Value: "2"}}, entries: []string{"echo $A"}, want: green("$ echo $A") + "2\n"},
		{name: "file variable", variables: coordinator.Variables{{Key: "F", Value: "no newline at the end", File: true}}, entries: []string{`cat "$F"`}, want: green(`$ cat "$F"`) + "no newline at the end"},
		{name: "noclobber is off", entries: []string{"echo 1 >f; echo 2 >f; cat f"}, want: green("$ echo 1 >f; echo 2 >f; cat f") + "2\n"},
	} {
		for name, command := range shells(t) {
			if tt.bashOnly && name == "dash" {
				continue // it has no pipefail
			}
			t.Run(tt.name+"/"+name, func(t *testing.T) {
				f := frame(t, tt.variables...)
				if tt.change != nil {
					tt.change(&f)
				}
				out, code := play(t, command, Step(f, tt.entries))
				if diff := cmp.Diff(tt.want, out); diff != "" || code != tt.code {
					t.Errorf("exit code %d, want %d; output (-want +got):\n%s", code, tt.code, diff)
				}
			})
		}
	}
}

// What one stage leaves in GITLAB_ENV is a variable of the next; what is no assignment is not run.
func TestEnvFile(t *testing.T) {
	for name, command := range shells(t) {
		t.Run(name, func(t *testing.T) {
			f := frame(t)
			if err := os.MkdirAll(f.TempDir, 0o755); err != nil {
				t.Fatal(err)
			}
			_, code := play(t, command, Step(f, []string{`printf 'A=1\nB=two words=$(id)\nnot a name=x\n;id\n2=x\nC=last' >"$GITLAB_ENV"`}))
			if code != 0 {
				t.Fatalf("exit code %d", code)
			}
			out, code := play(t, command, Step(f, []string{`echo "<$A> <$B> <$C>"`}))
			if want := "<1> <two words=$(id)> <last>\n"; code != 0 || !strings.HasSuffix(out, want) {
				t.Errorf("got %q and exit code %d, want %q", out, code, want)
			}
		})
	}
}

func FuzzQuote(f *testing.F) {
	for _, seed := range []string{"", "'", `a'b"c`, "\n", "$(id)", "\\", "\x1b[0m", "ü", "!", "a\rb"} {
		f.Add(seed)
	}
	command := shells(f)
	f.Fuzz(func(t *testing.T, text string) {
		if strings.ContainsRune(text, 0) || !utf8.ValidString(text) {
			t.Skip("no shell can hold it")
		}
		for name, c := range command {
			out, code := play(t, c, []byte("printf '%s' "+Quote(text)+"\n"))
			if out != text || code != 0 {
				t.Errorf("%s: got %q with exit code %d, want %q", name, out, code, text)
			}
		}
	})
}

// No command with the address of a store is shown, though the job wishes to see its commands.
func TestCacheScriptsAreHidden(t *testing.T) {
	f := frame(t)
	f.Trace = true
	linked := []Cache{{Key: "k", Archives: []Archive{{Key: "k", Place: Place{File: "/c", Download: "https://s/?secret", Upload: "https://s/?secret"}}}}}
	local := []Cache{{Key: "k", Archives: []Archive{{Key: "k", Place: Place{File: "/c"}}}}}
	for name, script := range map[string]func([]Cache) []byte{
		"restore": func(c []Cache) []byte { return RestoreCache(f, Transfer{}, c) },
		"save":    func(c []Cache) []byte { return SaveCache(f, Transfer{}, c) },
	} {
		if bytes.Contains(script(linked), []byte("xtrace")) {
			t.Errorf("%s shows its commands", name)
		}
		if !bytes.Contains(script(local), []byte("xtrace")) {
			t.Errorf("%s without a store does not show its commands", name)
		}
	}
}

// The scripts for the helper are sound shell, whatever is in them.
func TestHelperScriptsParse(t *testing.T) {
	nasty := `a'b"$(touch owned)` + "\n`id`;"
	f := Frame{ProjectDir: "/builds/" + nasty, TempDir: "/tmp/" + nasty, Variables: coordinator.Variables{{Key: "A", Value: nasty, File: true}}}
	sources := Sources{Strategy: StrategyFetch, URL: nasty, Rewrite: []Rewrite{{nasty, nasty}}, ObjectFormat: nasty, SHA: nasty, Ref: nasty, Refspecs: []string{nasty},
		Checkout: true, CleanFlags: []string{nasty}, FetchFlags: []string{nasty}, CleanConfig: true, SafeDir: true, UserAgent: nasty, Correlation: nasty,
		BundleURI: true, Proactive: true, CloneFlags: []string{nasty}, SafeAnywhere: true, TLS: TLSFiles{nasty, nasty, nasty}, Submodules: Submodules{Strategy: "recursive", Depth: 3, Paths: []string{nasty}, Flags: []string{nasty}, ForceHTTPS: []Rewrite{{nasty, nasty}}}}
	native := sources
	native.Strategy, native.NativeClone, native.Depth, native.CredentialHelper = StrategyClone, true, 1, true
	place := Place{File: nasty, Object: nasty, Download: nasty, Check: nasty, Upload: nasty, UploadHeader: []string{nasty}}
	transfer := Transfer{Minutes: 10, MaxUpload: 5, Problem: nasty}
	cache := []Cache{{Key: nasty, Archives: []Archive{{nasty, place, place}, {Key: nasty, Place: place}}, Paths: []string{nasty}, Untracked: true}, {Skip: nasty}}
	scripts := map[string][]byte{
		"prepare":     Prepare(f, nasty, []string{nasty}),
		"get_sources": GetSources(f, sources),
		"clone":       GetSources(f, native),
		"clear":       ClearWorktree(f),
		"restore":     RestoreCache(f, transfer, cache),
		"save":        SaveCache(f, transfer, cache),
		"download":    DownloadArtifacts(f, nasty, []Download{{nasty, nasty, nasty}}),
		"upload":      UploadArtifacts(f, Upload{URL: nasty, Token: nasty, ID: nasty}, []coordinator.Artifact{{Name: nasty, Paths: []string{nasty}, Exclude: []string{nasty}, Untracked: true}}),
		"cleanup":     Cleanup(f, CleanProject(f, StrategyFetch, []string{nasty}, true)),
	}
	for name, command := range shells(t) {
		for stage, script := range scripts {
			file := filepath.Join(t.TempDir(), stage)
			if err := os.WriteFile(file, script, 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command(command[0], append(command[1:], "-n", file)...).CombinedOutput(); err != nil {
				t.Errorf("%s: %s: %v: %s\n%s", name, stage, err, out, script)
			}
		}
	}
}

func TestRelative(t *testing.T) {
	for _, tt := range []struct{ dir, file, want string }{
		{"/builds/group/project", "/cache/group/project/k/cache.zip", "../../../cache/group/project/k/cache.zip"},
		{"/builds/p", "/builds/cache/c.zip", "../cache/c.zip"},
		{"/b", "/b/c.zip", "c.zip"},
	} {
		if got := relative(tt.dir, tt.file); got != tt.want {
			t.Errorf("relative(%s, %s) = %s, want %s", tt.dir, tt.file, got, tt.want)
		}
	}
}

// An upload names its limits only where they are not those that every helper keeps by itself: GitLab's older helpers know no flags for them.
func TestUploadLimits(t *testing.T) {
	f, artifacts := frame(t), []coordinator.Artifact{{Paths: []string{"x"}}}
	usual := string(UploadArtifacts(f, Upload{Timeout: time.Hour, ResponseHeaderTimeout: 10 * time.Minute}, artifacts))
	if strings.Contains(usual, "timeout") {
		t.Errorf("the usual limits are named:\n%s", usual)
	}
	own := string(UploadArtifacts(f, Upload{Timeout: 2 * time.Hour, ResponseHeaderTimeout: time.Minute}, artifacts))
	if !strings.Contains(own, "'--timeout' '2h0m0s' '--response-header-timeout' '1m0s'") {
		t.Errorf("the limits are not named:\n%s", own)
	}
}
