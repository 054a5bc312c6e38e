//go:build unix

package cli

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/internal/need"
)

// TestTutorial does what docs/tutorial.md says, in one shell, with the real binary, and holds what is printed to what stands there.
func TestTutorial(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds guests and runs an agent")
	}
	t.Parallel()
	follow(t, "docs/tutorial.md", 15)
}

// TestOwnDriver does the same with the part of providers/README.md that is for authors of a driver of their own.
func TestOwnDriver(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds a guest")
	}
	t.Parallel()
	follow(t, "providers/README.md", 3)
}

// follow does what a page says. It must have as many steps at least.
func follow(t *testing.T, page string, least int) {
	t.Helper()
	need.Command(t, "go")
	s := openShell(t, millwright(t))
	steps := tutorial(t, filepath.Join(repository, filepath.FromSlash(page)))
	if len(steps) < least {
		t.Fatalf("%d steps were found", len(steps))
	}
	for _, step := range steps {
		deadline := time.Now().Add(patience)
		for again := time.NewTicker(200 * time.Millisecond); ; <-again.C {
			got, code := s.run(step.commands)
			wrong := differs(step.want, got)
			if wrong == "" && (code != 0) != step.fails() {
				wrong = fmt.Sprintf("exit code %d", code)
			}
			if wrong == "" {
				break
			}
			if !step.looks() || time.Now().After(deadline) {
				log, _ := os.ReadFile(filepath.Join(s.dir, "tutorial", "agent.log"))
				t.Fatalf("%s:%d: %s\n%s\nprints\n%s\nthe agent's log\n%s", page, step.line, wrong, step.commands, got, log)
			}
		}
	}
}

// step is a block of commands, with what it prints; "" is not said.
type step struct {
	line           int // of the block
	commands, want string
}

// looks tells whether the commands change nothing: a reader repeats them until they show what is to come.
func (s step) looks() bool {
	return strings.HasPrefix(s.commands, "millwright policy ls") || strings.HasPrefix(s.commands, "millwright policy explain")
}

// fails tells whether the commands are meant to fail, as a trial does that shows a failure.
func (s step) fails() bool { return strings.Contains(s.want, "\nFAIL ") }

// tutorial reads the blocks: ```sh holds commands, and ```text what those before it print. A block after a comment is the reader's alone.
func tutorial(t *testing.T, path string) []step {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var steps []step
	var block []string
	fence, before := "", ""
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		switch kind, isFence := strings.CutPrefix(line, "```"); {
		case fence == "" && isFence:
			fence, block = kind, nil
			if strings.HasPrefix(before, "<!--") {
				fence = "reader"
			}
		case isFence:
			text := strings.Join(block, "\n")
			if fence == "sh" {
				steps = append(steps, step{line: n - len(block), commands: text})
			} else if fence == "text" {
				steps[len(steps)-1].want = text
			}
			fence = ""
		case fence != "":
			block = append(block, line)
		}
		before = line
	}
	return steps
}

// shell is one bash that runs the blocks one after the other.
type shell struct {
	t   *testing.T
	dir string
	in  io.Writer
	out *bufio.Reader
}

// openShell starts one in an empty folder, with the binary in front of its path. All that it starts ends with the test.
func openShell(t *testing.T, binary string) *shell {
	t.Helper()
	dir, err := os.MkdirTemp("", "mw") // short enough for a socket in it
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(binary, filepath.Join(bin, "millwright")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(need.Command(t, "bash"), "--noprofile", "--norc")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "GOWORK=off", "NO_COLOR=1", "TZ=UTC")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	t.Cleanup(func() {
		in.Close()
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // the group is the shell's own
		_ = cmd.Wait()
		out.Close()
		os.RemoveAll(dir)
	})
	return &shell{t, dir, in, bufio.NewReader(out)}
}

// run runs commands and returns what they printed, and the exit code of the last.
func (s *shell) run(commands string) (text string, code int) {
	s.t.Helper()
	const mark = "---- end of block"
	fmt.Fprintf(s.in, "%s\nprintf '\\n%s %%s\\n' \"$?\"\n", commands, mark)
	var lines []string
	for {
		line, err := s.out.ReadString('\n')
		if err != nil {
			s.t.Fatalf("the shell ended: %v\n%s\nprinted\n%s", err, commands, strings.Join(lines, "\n"))
		}
		line = strings.TrimSuffix(line, "\n")
		if _, err := fmt.Sscanf(line, mark+" %d", &code); err == nil {
			return strings.TrimRight(strings.Join(lines, "\n"), "\n"), code
		}
		lines = append(lines, line)
	}
}

// volatile are columns that differ in every run.
var volatile = []string{"CALLS", "MEAN", "FUEL", "SINCE", "SHA256"}

// volatileWords are the same outside of tables.
var volatileWords = []struct {
	form *regexp.Regexp
	name string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d to \d\d:\d\d:\d\d, \d+ times`), "<times>"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`), "<times>"},
	{regexp.MustCompile(`\b[\d.]+ ?(ns|µs|ms|s)\b`), "<duration>"},
	{regexp.MustCompile(`\(cached\)`), "<duration>"},
	{regexp.MustCompile(`[\d.]+ (MB|million) at most`), "<most>"},
	{regexp.MustCompile(`fuel \d+`), "<fuel>"},
}

var gap = regexp.MustCompile(` {2,}|\t`)

// lasting returns a text's lines without what differs in every run, and with single spaces.
func lasting(text string) []string {
	lines := strings.Split(text, "\n")
	var columns []string
	for i, line := range lines {
		if cells := gap.Split(strings.TrimSpace(line), -1); strings.HasPrefix(line, "NAME ") {
			columns = cells
		} else if len(cells) == len(columns) {
			for j, name := range columns {
				if slices.Contains(volatile, name) {
					cells[j] = "<" + name + ">"
				}
			}
			line = strings.Join(cells, "  ")
		}
		for _, v := range volatileWords {
			line = v.form.ReplaceAllString(line, v.name)
		}
		lines[i] = strings.Join(strings.Fields(line), " ")
	}
	return lines
}

// differs says which line of what is wanted did not come; "" when all did. A line of three dots stands for any lines.
func differs(want, got string) string {
	if want == "" {
		return ""
	}
	wanted, lines := lasting(want), lasting(got)
	any := false
	for _, w := range wanted {
		if w == "..." {
			any = true
			continue
		}
		i := slices.Index(lines, w)
		if i < 0 || i > 0 && !any {
			return fmt.Sprintf("wants the line %q", w)
		}
		lines, any = lines[i+1:], false
	}
	if len(lines) > 0 && !any {
		return fmt.Sprintf("prints %q too", lines[0])
	}
	return ""
}
