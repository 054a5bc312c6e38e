package shell

import (
	"path/filepath"
	"slices"
	"strings"
)

func isPowerShell(shell string) bool {
	name := strings.TrimSuffix(strings.ToLower(filepath.Base(shell)), ".exe")
	return slices.Contains([]string{"pwsh", "powershell"}, name)
}

// arguments make a shell run a script as a login shell, with the user's profile. PowerShell gets none: a profile that changes how errors
// are handled would change what a job means.
func arguments(shell, script string) []string {
	if isPowerShell(shell) {
		return []string{"-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-File", script}
	}
	return []string{"-l", script}
}

// extension is what PowerShell wants of a script's name.
func extension(shell string) string {
	if isPowerShell(shell) {
		return ".ps1"
	}
	return ""
}
