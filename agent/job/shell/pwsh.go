package shell

import (
	"fmt"
	"strings"
)

// pwshScript is the script of a user's entries in the dialect of PowerShell 7. What runs in the helper's place stays in the dialect of a POSIX
// shell, which the helper image has.
type pwshScript struct {
	frame Frame
	b     strings.Builder
}

// stepPwsh is Step and AfterScript for pwsh. notice, if not empty, is said first.
func stepPwsh(f Frame, notice string, entries []string) []byte {
	s := &pwshScript{frame: f}
	s.line("#!/usr/bin/env pwsh")
	if f.Trace {
		s.line("Set-PSDebug -Trace 2")
	}
	s.line("$ErrorActionPreference = 'Stop'")
	s.line("$PSNativeCommandUseErrorActionPreference = $false") // else a program's exit code becomes 1
	s.variables()
	s.line("Set-Location -LiteralPath " + quotePwsh(f.ProjectDir))
	if notice != "" {
		s.say(green + notice + reset)
	}
	for i, entry := range entries {
		entry = strings.TrimSpace(entry)
		s.echo(i, entry)
		if entry != "" {
			s.line(entry)
			// As errexit does: of a program that failed its exit code, of a cmdlet 1.
			s.line("if (-not $?) { exit $(if ($LASTEXITCODE) { $LASTEXITCODE } else { 1 }) }")
		}
	}
	s.line("exit 0")
	return []byte(s.b.String())
}

func (s *pwshScript) line(text string) { s.b.WriteString(text + "\n") }

// say prints a line as it is: what goes through PowerShell's formatting may lose its colours.
func (s *pwshScript) say(text string) { s.line("[Console]::Out.WriteLine(" + quotePwsh(text) + ")") }

// variables sets the job's variables, in the environment and, as scripts for GitLab's runner expect, under their own names too, but for names
// that are PowerShell's own and can't be set.
func (s *pwshScript) variables() {
	madeDir := false
	for _, v := range s.frame.Variables {
		if !validName(v.Key) {
			continue // it is in the engine's environment
		}
		value := quotePwsh(v.Value)
		if v.File {
			if !madeDir {
				s.line("[void][System.IO.Directory]::CreateDirectory(" + quotePwsh(s.frame.TempDir) + ")")
				madeDir = true
			}
			file := quotePwsh(FilePath(s.frame.TempDir, v.Key))
			s.line("[System.IO.File]::WriteAllText(" + file + ", " + value + ")")
			value = file
		}
		s.line("${env:" + v.Key + "} = " + value)
		s.line("try { ${" + v.Key + "} = " + value + " } catch { }")
	}
	s.line("${env:GITLAB_ENV} = " + quotePwsh(s.frame.EnvFile()))
	s.line("if ([System.IO.File]::Exists(${env:GITLAB_ENV})) {")
	s.line("  foreach ($millwright_line in [System.IO.File]::ReadAllLines(${env:GITLAB_ENV})) {")
	s.line("    $millwright_name, $millwright_value = $millwright_line -split '=', 2")
	s.line("    if ($millwright_name -match '^[A-Za-z_][A-Za-z0-9_]*$' -and $null -ne $millwright_value) {")
	s.line("      [System.Environment]::SetEnvironmentVariable($millwright_name, $millwright_value)")
	s.line("      try { Set-Variable -Name $millwright_name -Value $millwright_value } catch { }")
	s.line("    }")
	s.line("  }")
	s.line("}")
}

// echo shows an entry, as Script.echo does.
func (s *pwshScript) echo(n int, entry string) {
	first, _, several := strings.Cut(entry, "\n")
	switch {
	case entry == "":
		s.say("")
	case !several:
		s.say(green + "$ " + first + reset)
	case s.frame.ScriptSections:
		name := fmt.Sprintf("section_script_step_%d", n)
		s.mark("section_start", name+"[hide_duration=true,collapsed=true]", green+"$ "+entry+reset)
		s.mark("section_end", name, "")
	default:
		s.say(green + "$ " + first + " # collapsed multi-line command" + reset)
	}
}

// mark writes a section's marker, whose time is of the container's clock.
func (s *pwshScript) mark(kind, name, text string) {
	s.line("[Console]::Out.WriteLine(" + quotePwsh(kind+":") + " + [System.DateTimeOffset]::UtcNow.ToUnixTimeSeconds() + " +
		quotePwsh(":"+name) + " + [char]13 + [char]27 + " + quotePwsh("[0K"+text) + ")")
}

// quotePwsh makes text one literal of PowerShell, whatever it holds: within single quotes nothing is special but these, of which it knows
// several, and each stands for itself when it is there twice. A zero byte is left out, as in every dialect.
// Source: PowerShell's documentation, "about_Quoting_Rules"; its language specification, section 2.3.5.2 "String literals".
func quotePwsh(text string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for _, r := range text {
		switch r {
		case 0:
			continue
		case '\'', '\u2018', '\u2019', '\u201a', '\u201b':
			b.WriteRune(r)
		}
		b.WriteRune(r)
	}
	b.WriteByte('\'')
	return b.String()
}
