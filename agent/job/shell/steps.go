package shell

import (
	"fmt"
	"strings"
)

// Step is the script of one of the job's steps: the entries run one after the other in the project's directory.
func Step(f Frame, entries []string) []byte {
	if f.Pwsh {
		return stepPwsh(f, "", entries)
	}
	s := New(f)
	s.Cd(f.ProjectDir)
	s.Entries(entries)
	return s.Bytes()
}

const afterScriptNotice = "Running after script..."

// AfterScript is the script of after_script.
func AfterScript(f Frame, entries []string) []byte {
	if f.Pwsh {
		return stepPwsh(f, afterScriptNotice, entries)
	}
	s := New(f)
	s.Cd(f.ProjectDir)
	s.Notice(afterScriptNotice)
	s.Entries(entries)
	return s.Bytes()
}

// Entries adds a user's entries, each echoed before it runs.
func (s *Script) Entries(entries []string) {
	if len(entries) > 0 {
		s.word = ""
	}
	for _, entry := range entries {
		entry = strings.TrimSpace(entry)
		s.echo(entry)
		s.Line(entry)
		if s.frame.CheckExit {
			s.Line(`millwright_status=$?; if [ "$millwright_status" -ne 0 ]; then exit "$millwright_status"; fi`)
		}
		s.steps++
	}
}

// echo shows an entry: one line as it is, several collapsed or inside a section of their own.
func (s *Script) echo(entry string) {
	first, _, several := strings.Cut(entry, "\n")
	switch {
	case entry == "":
		s.Line("echo")
	case !several:
		s.Notice("$ " + first)
	case s.frame.ScriptSections:
		name := fmt.Sprintf("section_script_step_%d", s.steps)
		s.mark("section_start", name+"[hide_duration=true,collapsed=true]", green+"$ "+entry+reset)
		s.mark("section_end", name, "")
	default:
		s.Notice("$ " + first + " # collapsed multi-line command")
	}
}

// mark writes a section's marker. Its time is of the container's clock; awk is what every image has that can tell it.
func (s *Script) mark(kind, name, text string) {
	s.Linef(`printf '%%s:%%s:%%s\r\033[0K%%s\n' %s "$(awk 'BEGIN{srand(); print srand()}')" %s %s`, kind, name, text)
}
