package cli

import (
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/millwright-ci/millwright/agent/config"
)

// page is a file in Markdown of the tree, as its lines: prose, and what stands in blocks of code.
type page struct {
	path  string // from the root of the tree
	lines []pageLine
}

// pageLine is a line of a page. fence is the language of its block ("toml"); "text" for one that is only indented.
type pageLine struct {
	text, fence string
	code        bool
}

// pages reads all that people read: everything in Markdown but test data, and templates, whose links hold where they are copied to.
func pages(t *testing.T) []page {
	t.Helper()
	var found []page
	err := filepath.WalkDir(repository, func(path string, d fs.DirEntry, err error) error {
		switch name := d.Name(); {
		case err != nil:
			return err
		case d.IsDir() && (name == "testdata" || name == "templates" || name == "node_modules" || name == "target" || len(name) > 2 && name[0] == '.'):
			return fs.SkipDir
		case d.IsDir() || filepath.Ext(name) != ".md":
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(repository, path)
		found = append(found, page{filepath.ToSlash(rel), pageLines(string(data))})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 40 {
		t.Fatalf("%d pages were found", len(found))
	}
	return found
}

func pageLines(text string) []pageLine {
	var lines []pageLine
	fence, inFence, blank := "", false, true
	for _, line := range strings.Split(text, "\n") {
		mark, isFence := strings.CutPrefix(strings.TrimSpace(line), "```")
		indented := strings.HasPrefix(line, "    ") && (blank || lines[len(lines)-1].code)
		switch {
		case isFence:
			fence, inFence = mark, !inFence
			line = ""
		case inFence:
			lines = append(lines, pageLine{line, fence, true})
			continue
		case indented:
			lines = append(lines, pageLine{line[4:], "text", true})
			blank = false
			continue
		}
		lines = append(lines, pageLine{text: line})
		blank = strings.TrimSpace(line) == ""
	}
	return lines
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	span    = regexp.MustCompile("`([^`]+)`")
	heading = regexp.MustCompile(`^#+ +(.*)$`)
)

// anchors are the ends of addresses that lead to a page's headings, as GitLab and GitHub make them.
func (p page) anchors() []string {
	var all []string
	for _, l := range p.lines {
		if m := heading.FindStringSubmatch(l.text); m != nil && !l.code {
			all = append(all, strings.Map(func(r rune) rune {
				switch {
				case r == ' ':
					return '-'
				case r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r > 127:
					return r
				}
				return -1
			}, strings.ToLower(m[1])))
		}
	}
	return all
}

// TestPagesLinks wants every link of the documentation to lead to a file of the tree, and to a heading where it names one.
func TestPagesLinks(t *testing.T) {
	t.Parallel()
	all := pages(t)
	links := 0
	for _, p := range all {
		for n, l := range p.lines {
			if l.code {
				continue
			}
			for _, m := range link.FindAllStringSubmatch(span.ReplaceAllString(l.text, "code"), -1) {
				to, err := url.Parse(m[1])
				if err != nil || to.Scheme != "" {
					continue
				}
				links++
				path := p.path
				if to.Path != "" {
					path = filepath.ToSlash(filepath.Join(filepath.Dir(p.path), filepath.FromSlash(to.Path)))
				}
				if _, err := os.Stat(filepath.Join(repository, filepath.FromSlash(path))); err != nil {
					t.Errorf("%s:%d: %s is not there", p.path, n+1, m[1])
				}
				i := slices.IndexFunc(all, func(p page) bool { return p.path == path })
				if to.Fragment != "" && (i < 0 || !slices.Contains(all[i].anchors(), to.Fragment)) {
					t.Errorf("%s:%d: %s has no heading %s", p.path, n+1, path, to.Fragment)
				}
			}
		}
	}
	if links < 150 {
		t.Errorf("%d links were found", links)
	}
}

// ours are the paths of the tree that prose names.
var ours = regexp.MustCompile(`^(?:agent|docs|examples|hostfuncs|policies|providers|sdk)/[\w./-]*[\w/]$`)

// TestPagesPaths wants every path of the tree that the documentation names to be there.
func TestPagesPaths(t *testing.T) {
	t.Parallel()
	for _, p := range pages(t) {
		for n, l := range p.lines {
			for _, m := range span.FindAllStringSubmatch(l.text, -1) {
				if path := m[1]; !l.code && ours.MatchString(path) && !strings.ContainsAny(path, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
					if _, err := os.Stat(filepath.Join(repository, filepath.FromSlash(path))); err != nil {
						t.Errorf("%s:%d: %s is not there", p.path, n+1, path)
					}
				}
			}
		}
	}
}

// TestPagesCommands wants every command line of the documentation to be one of the program's, with flags that it has, and every task to be one of
// Taskfile.yml.
func TestPagesCommands(t *testing.T) {
	t.Parallel()
	a := newApp(ownName, io.Discard, io.Discard)
	roots := map[string]*cobra.Command{ownName: a.root(), dockerMachineName: a.dockerMachineRoot()}
	roots[ownName].InitDefaultCompletionCmd()
	taskfile, err := os.ReadFile(filepath.Join(repository, "Taskfile.yml"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	check := func(p page, n int, words []string) {
		name := filepath.Base(words[0])
		switch root := roots[name]; {
		case strings.Join(words[:min(3, len(words))], " ") == "go tool task" && len(words) > 3:
			for _, task := range words[3:] {
				if strings.HasPrefix(task, "-") {
					break
				}
				found++
				if task = strings.TrimRight(task, ",;"); !strings.Contains(string(taskfile), "\n  "+task+":\n") && task != "NAME" {
					t.Errorf("%s:%d: Taskfile.yml has no task %s", p.path, n, task)
				}
			}
		case root != nil && len(words) > 1:
			found++
			if wrong := wrongCommand(root, words[1:]); wrong != "" {
				t.Errorf("%s:%d: %s: %s", p.path, n, strings.Join(words, " "), wrong)
			}
		case len(words) > 1 && slices.Contains([]string{"policy", "machine", "driver", "fleeting"}, name) || name == "config" && words[len(words)-1] == "check":
			found++
			if wrong := wrongCommand(roots[ownName], words); wrong != "" {
				t.Errorf("%s:%d: %s: %s", p.path, n, strings.Join(words, " "), wrong)
			}
		}
	}
	for _, p := range pages(t) {
		for n, l := range p.lines {
			var commands []string
			if l.code && l.fence != "toml" {
				commands = []string{l.text}
			} else if !l.code {
				for _, m := range span.FindAllStringSubmatch(l.text, -1) {
					commands = append(commands, strings.ReplaceAll(m[1], `\|`, "/"))
				}
			}
			for _, c := range commands {
				if words := commandWords(c); len(words) > 0 {
					check(p, n+1, words)
				}
			}
		}
	}
	if found < 200 {
		t.Errorf("%d commands were found", found)
	}
}

// commandWords are the words of a command line from the program on, up to its end: a pipe, a redirection, a comment, a further command.
func commandWords(line string) []string {
	words := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "$ "))
	if end := slices.IndexFunc(words, func(w string) bool { return strings.ContainsAny(w, "|<>#&;)\\") }); end >= 0 {
		words = words[:end]
	}
	for len(words) > 0 && (words[0] == "sudo" || strings.Contains(words[0], "=")) { // the environment
		words = words[1:]
	}
	return words
}

// wrongCommand says what is wrong with the words after a program's name; "" is nothing.
func wrongCommand(root *cobra.Command, words []string) string {
	c, rest, err := root.Find(words)
	if err != nil {
		return err.Error()
	}
	if len(rest) > 0 && c.HasSubCommands() && regexp.MustCompile(`^[a-z-]+$`).MatchString(rest[0]) && !strings.HasPrefix(rest[0], "-") {
		return "there is no such command"
	}
	if c.DisableFlagParsing { // create has its driver's
		return ""
	}
	for _, w := range rest {
		name, isFlag := strings.CutPrefix(w, "--")
		name, _, _ = strings.Cut(strings.Trim(name, "[].,"), "=")
		if isFlag && name != "" && name != "help" && name != "version" && c.Flags().Lookup(name) == nil && c.InheritedFlags().Lookup(name) == nil {
			return "has no flag --" + name
		}
	}
	return ""
}

// TestPagesConfigurations wants every config.toml of the documentation to be taken: no key that is not known, no value that is not allowed.
func TestPagesConfigurations(t *testing.T) {
	t.Parallel()
	found := 0
	for _, p := range pages(t) {
		for at := 0; at < len(p.lines); at++ {
			begin := at
			var block []string
			for at < len(p.lines) && p.lines[at].code && p.lines[at].fence == "toml" {
				block = append(block, p.lines[at].text)
				at++
			}
			text := strings.Join(block, "\n")
			if !strings.Contains(text, "[[runners]]") || strings.Contains(text, "...\n") {
				continue
			}
			found++
			_, diagnostics := config.Options{Period: readPeriod, Cron: readCron}.Parse(p.path, []byte(text))
			for _, d := range diagnostics {
				missing := d.Key == "url" || d.Key == "token" // left out where they are not the point
				if d.Severity == config.SeverityError && !missing || strings.Contains(d.Message, "unknown key") {
					t.Errorf("%s:%d: %s", p.path, begin+1, d)
				}
			}
		}
	}
	if found < 10 {
		t.Errorf("%d configurations were found", found)
	}
}
