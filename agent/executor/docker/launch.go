package docker

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"

	"github.com/millwright-ci/millwright/agent/executor"
	"github.com/millwright-ci/millwright/agent/executor/packed"
)

const (
	scriptDir  = ".millwright" // at the container's root
	scriptName = "script"
	// scriptVariable hands a container its first script, and is gone when that runs.
	scriptVariable = "MILLWRIGHT_FIRST_SCRIPT"
	// maxVariable is how long one may be: Linux takes 128 KiB, with its name and a zero byte.
	maxVariable = 120 << 10
)

// detectShell starts the script with the first shell that the image has, in GitLab Runner's order. The names are ones that no job exports.
const detectShell = `for millwright_shell in /usr/local/bin/bash /usr/bin/bash /bin/bash /usr/local/bin/sh /usr/bin/sh /bin/sh /busybox/sh; do ` +
	`[ -x "$millwright_shell" ] && exec ` + throughInit + `"$millwright_shell" "${millwright_dir}` + scriptName + `" </dev/null; done; echo shell not found; exit 1`

// startPwsh starts the script with the image's PowerShell 7, which takes a script of any name but on Windows.
const startPwsh = `command -v pwsh >/dev/null || { echo "pwsh not found: with shell = \"pwsh\" in config.toml the image needs PowerShell 7"; exit 1; }; ` +
	`exec ` + throughInit + `"$(command -v pwsh)" -NoProfile -NoLogo -NonInteractive -ExecutionPolicy Bypass -File "${millwright_dir}` + scriptName + `" </dev/null`

// throughInit puts millwright-init before a command, where it is there.
const throughInit = `${millwright_init:+"$millwright_init"} `

// findInit looks for millwright-init, which the helper has put where both containers see it, and settles whether it can be run: GitLab's helper image
// has none, a folder may be mounted so that nothing is run from there, which some shells' -x does not see, and limits may be too tight. It is tried,
// unless there are no limits that could be, and the kernel says that programs may be run from there.
func findInit(path string, limited bool) string {
	try := `"$millwright_init"`
	if !limited && !strings.ContainsAny(path, " \t\n\\") { // which the list of mounts writes in another way
		try = `{ ` + runsPrograms + ` && ` + unlimited + ` || ` + try + `; }`
	}
	return `millwright_init='` + strings.ReplaceAll(path, "'", `'\''`) + `'; { [ -x "$millwright_init" ] && ` + try + `; } >/dev/null 2>&1 || { millwright_init=; unset ` + packed.WordVariable + `; }; `
}

// What the kernel says, which costs no process: whether a file lies where programs may be run from, and whether this process may start some, with the
// addresses that they need. An engine may have limits of its own for all containers. Source: proc_pid_mounts(5), fstab(5), proc_pid_limits(5).
const (
	runsPrograms = `while read -r millwright_a millwright_at millwright_b millwright_how millwright_c; do case "$millwright_init" in "$millwright_at"/*) ` +
		`case ",$millwright_how," in *,noexec,*) millwright_how=noexec; break ;; esac ;; esac; done </proc/self/mounts && [ "$millwright_how" != noexec ]`
	unlimited = `while read -r millwright_a millwright_b millwright_c millwright_d; do case "$millwright_b $millwright_c $millwright_d" in ` +
		`processes\ unlimited* | processes\ [1-9][0-9][0-9][0-9]* | address\ space\ unlimited*) ;; ` +
		`processes* | address*) millwright_c=tight; break ;; esac; done </proc/self/limits && [ "$millwright_c" != tight ]`
)

// limited tells whether a container may have so little that a small program more does not fit in.
func (e *Executor) limited(h *container.HostConfig) bool {
	const enough = 64 << 20 // bytes, many times what it takes
	return h.Memory > 0 && h.Memory < enough || len(h.Ulimits) > 0 || h.CgroupParent != "" || !e.runc || h.Runtime != ""
}

// chooseDir settles what comes before the script's name.
const chooseDir = `millwright_dir=/` + scriptDir + `/; `

// gate holds a container until the word comes. Nothing else is ever read from there: another agent may give the word again, and a connection
// that is lost leaves the container waiting for that.
const (
	gate     = `read -r millwright_word || { echo "the engine has closed the container's input" >&2; exit 1; }; `
	gateWord = "go\n"
)

// unpack is what writes the script out of the environment, which costs an engine nothing; each archive that it unpacks for us costs it a
// process as large as itself. own is a file that comes with an archive, whose script is newer. The script lies beside the archive's folder,
// since a shell makes a file by itself and not a folder.
func unpack(own string) string {
	return unlessLoaded(own) + `{ millwright_dir=/` + scriptDir + `-; printf %s "$` + scriptVariable + `" >"${millwright_dir}` + scriptName + `" || exit 1; }; unset ` + scriptVariable + `; `
}

// runAtOnce is unpack for a script that any shell runs alike: this one does.
func runAtOnce(own string) string {
	return unlessLoaded(own) + `{ millwright_script=$` + scriptVariable + `; unset ` + scriptVariable + `; eval "$millwright_script"; exit; }; unset ` + scriptVariable + `; `
}

func unlessLoaded(own string) string { return `[ -e "${millwright_dir}` + own + `" ] || ` }

// ownFile is a file in the folder of the script that no image has: an image may have been made from a container of ours.
func (e *Executor) ownFile() string { return "of-" + e.handle.Stem }

// command settles how a place's container starts, and tells whether it has a gate.
func (e *Executor) command(c *container.Config, h *container.HostConfig, place executor.Place) (gated bool) {
	c.Env = e.o.Env
	line := detectShell
	if e.o.Pwsh && place == executor.Build {
		line = startPwsh
	}
	if place == executor.Build && e.o.Init.Path != "" {
		c.Env = append(slices.Clone(c.Env), packed.WordVariable+"="+e.o.Init.Word)
		line = findInit(e.o.Init.Path, e.limited(h)) + line
	}
	if gated = place == executor.Build && e.mayHold(); gated {
		c.OpenStdin = true // and not StdinOnce: who opens the gate may have to go and come again
		line = gate + line
	}
	if e.inEnvironment(place) {
		c.Env = append(slices.Clone(c.Env), scriptVariable+"="+string(e.firstScript(place)))
		if place == executor.Helper && e.first.HelperPlain && e.o.Config.HelperImage == "" {
			line = runAtOnce(e.ownFile()) + line
		} else {
			line = unpack(e.ownFile()) + line
		}
	}
	c.Cmd = []string{"sh", "-c", chooseDir + line}
	return gated
}

// inEnvironment tells whether a place's container gets its first script with its environment. That holds the job's variables already; a
// program before the shell is not to see it, and the shell has to be able to write the file.
func (e *Executor) inEnvironment(place executor.Place) bool {
	script := e.firstScript(place)
	return script != nil && len(script) < maxVariable && !bytes.ContainsRune(script, 0) && !e.hasEntrypoint(place) && e.isRoot(place)
}

// open gives a container that has been started for a stage the word for its gate.
func (e *Executor) open(ctx context.Context, id string) error {
	conn, err := e.api.ContainerAttach(ctx, id, container.AttachOptions{Stream: true, Stdin: true})
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Conn.Write([]byte(gateWord))
	return err
}
