// Package shell writes the scripts of a job's stages in the dialect that bash, dash and busybox understand alike. A script is a
// file that the executor starts; it holds everything that it needs and asks nothing on stdin.
package shell

import (
	"fmt"
	"path"
	"strings"

	"github.com/millwright-ci/millwright/agent/coordinator"
)

// Frame is what the scripts of one job have in common.
type Frame struct {
	Variables  coordinator.Variables // expanded, in order; of equal keys the last one wins
	ProjectDir string
	TempDir    string // holds file variables and git's settings; outside the project's files
	Trace      bool   // set -o xtrace (CI_DEBUG_TRACE)
	// LastWord is what a script of the helper's says last on both streams, where it ends well, and nobody else's lines are in it to go on after its
	// end or to show what it runs; "" is nothing.
	LastWord string
	// Init has the helper put millwright-init where the build container finds it.
	Init bool
	// Owner is the uid:gid that the helper gives the job's files to; "" lets every user write to them
	// (FF_DISABLE_UMASK_FOR_DOCKER_EXECUTOR).
	Owner string
	// CheckExit adds a check of the exit code after each line (FF_ENABLE_BASH_EXIT_CODE_CHECK), for scripts that switch
	// errexit off.
	CheckExit bool
	// ScriptSections puts entries of several lines into a section (FF_SCRIPT_SECTIONS, where the coordinator knows sections).
	ScriptSections bool
	// Host says that stages run on a host, not in containers: what they make keeps the modes that the host's user wants.
	Host      bool
	HelperDir string // a folder of the host that holds gitlab-runner-helper; "" looks along PATH
	Pwsh      bool   // the user's entries are in the dialect of PowerShell 7
}

// EnvFile is the file whose lines NAME=value later stages take over; GITLAB_ENV names it.
func (f Frame) EnvFile() string { return path.Join(f.TempDir, "gitlab_runner_env") }

// Script is one script in the making.
type Script struct {
	frame Frame
	b     strings.Builder
	steps int    // entries of a user's script so far, for the names of their sections
	word  string // to be said last
}

// New begins a script: shell options, variables, file variables and what earlier stages left in GITLAB_ENV.
func New(f Frame) *Script { return begin(f) }

func begin(f Frame, first ...string) *Script {
	s := &Script{frame: f}
	s.Line("#!/usr/bin/env bash")
	for _, line := range first {
		s.Line(line)
	}
	s.Line("trap 'exit 1' TERM")
	if f.Trace {
		s.Line("set -o xtrace")
	}
	// Not every sh has pipefail, and an unknown option would end a POSIX shell: hence the sub-shell.
	s.Line("if (set -o pipefail) 2>/dev/null; then set -o pipefail; fi")
	s.Line("set -o errexit")
	s.Line("set +o noclobber")
	s.exports()
	return s
}

// readOnly are bash's own read-only variables: assigning one would end the script.
var readOnly = map[string]bool{"UID": true, "EUID": true, "PPID": true, "BASHOPTS": true, "SHELLOPTS": true, "BASH_VERSINFO": true}

func (s *Script) exports() {
	madeDir := false
	for _, v := range s.frame.Variables {
		if !validName(v.Key) || readOnly[v.Key] {
			continue // it is in the engine's environment
		}
		value := v.Value
		if v.File {
			if !madeDir {
				s.Line("mkdir -p " + Quote(s.frame.TempDir))
				madeDir = true
			}
			value = FilePath(s.frame.TempDir, v.Key)
			// A build container's user need not own a file that the helper wrote, but may write to it.
			s.Line("printf '%s' " + Quote(v.Value) + " > " + Quote(value))
		}
		s.Line("export " + v.Key + "=" + Quote(value))
	}
	s.Line("export GITLAB_ENV=" + Quote(s.frame.EnvFile()))
	s.Line(`if [ -f "$GITLAB_ENV" ]; then while IFS= read -r millwright_line || [ -n "$millwright_line" ]; do` +
		` case "${millwright_line%%=*}" in '' | [0-9]* | *[!A-Za-z0-9_]*) ;; *) case "$millwright_line" in *=*) export "$millwright_line" ;; esac ;; esac;` +
		` done < "$GITLAB_ENV"; unset millwright_line; fi`)
}

// FilePath is where a file variable lies.
func FilePath(tempDir, key string) string { return path.Join(tempDir, key) }

func validName(name string) bool {
	for i, r := range name {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != ""
}

// Quote makes text one word of a shell command, whatever it holds. A zero byte, which no shell can hold, is left out.
func Quote(text string) string {
	return "'" + strings.ReplaceAll(strings.ReplaceAll(text, "\x00", ""), "'", `'\''`) + "'"
}

// Line adds a line of shell.
func (s *Script) Line(line string) { s.b.WriteString(line + "\n") }

// Linef adds a line of shell; the arguments are quoted.
func (s *Script) Linef(format string, args ...string) {
	quoted := make([]any, len(args))
	for i, a := range args {
		quoted[i] = Quote(a)
	}
	s.Line(fmt.Sprintf(format, quoted...))
}

// Command adds a command with quoted arguments.
func (s *Script) Command(args ...string) { s.Line(Words(args...)) }

// Words quotes and joins the words of a command.
func Words(args ...string) string {
	quoted := make([]string, len(args))
	for i, a := range args {
		quoted[i] = Quote(a)
	}
	return strings.Join(quoted, " ")
}

// Colours of the lines that a stage's script says itself, as GitLab's users know them.
const (
	green  = "\x1b[32;1m"
	yellow = "\x1b[0;33m"
	reset  = "\x1b[0;m"
)

// say is the command that prints one line.
func say(text string) string { return "printf '%s\\n' " + Quote(text) }

// Notice prints a line in bold green.
func (s *Script) Notice(text string) { s.Line(notice(text)) }

func notice(text string) string { return say(green + text + reset) }

// Warning prints a line in yellow.
func (s *Script) Warning(text string) { s.Line(warning(text)) }

func warning(text string) string { return say(yellow + text + reset) }

// Cd enters a directory.
func (s *Script) Cd(dir string) { s.Command("cd", dir) }

// Bytes ends the script and returns it.
func (s *Script) Bytes() []byte {
	if s.word != "" {
		s.Line(say(s.word) + "; " + say(s.word) + " >&2")
	}
	return []byte(s.b.String() + "exit 0\n")
}
