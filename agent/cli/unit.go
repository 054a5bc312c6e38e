package cli

import (
	"fmt"
	"strings"
)

// unit is what the service manager is told of the agent.
type unit struct {
	name        string // of the service
	description string
	executable  string
	arguments   []string
	directory   string // working directory; "" is the service manager's
	account     string // whose rights the agent has; "": root's, or the user's of a user service
	userService bool   // of the user who installs it, not of the system
}

// stopTimeout is how long systemd waits for running jobs to end, in seconds, before it kills: GitLab's documentation recommends two hours.
const stopTimeout = 7200

// systemd is the unit file. A stop is SIGQUIT, to the agent alone: it lets running jobs end, with all that they started. The runtime
// directory holds the state of running jobs, for the agent that comes after a crash.
func (u unit) systemd() string {
	target := "multi-user.target"
	if u.userService {
		target = "default.target"
	}
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("[Unit]")
	line("Description=%s", strings.ReplaceAll(u.description, "%", "%%"))
	line("ConditionFileIsExecutable=%s", strings.ReplaceAll(u.executable, "%", "%%"))
	line("Wants=network-online.target")
	line("After=network-online.target")
	line("StartLimitIntervalSec=5")
	line("StartLimitBurst=10")
	line("")
	line("[Service]")
	command := []string{unitQuote(u.executable)}
	for _, arg := range u.arguments {
		command = append(command, unitQuote(arg))
	}
	line("ExecStart=%s", strings.Join(command, " "))
	line("ExecReload=/bin/kill -HUP $MAINPID")
	if u.directory != "" {
		line("WorkingDirectory=%s", strings.ReplaceAll(u.directory, "%", "%%"))
	}
	if u.account != "" {
		line("User=%s", strings.ReplaceAll(u.account, "%", "%%"))
	}
	line("RuntimeDirectory=%s", u.name)
	line("RuntimeDirectoryMode=0700")
	line("RuntimeDirectoryPreserve=yes")
	line("KillSignal=SIGQUIT")
	line("KillMode=mixed")
	line("TimeoutStopSec=%d", stopTimeout)
	line("Restart=always")
	line("RestartSec=5") // a crash costs no job, but the coordinator gives up those that nobody reports begun within two minutes
	line("EnvironmentFile=-/etc/sysconfig/%s", u.name)
	line("EnvironmentFile=-/etc/default/%s", u.name)
	line("")
	line("[Install]")
	line("WantedBy=%s", target)
	return b.String()
}

// unitQuote writes a word of a command line as systemd reads it: no variable, no specifier, one word. Source: systemd.service(5).
func unitQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%", "$", "$$", "\n", `\n`).Replace(s) + `"`
}
