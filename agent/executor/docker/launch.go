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

// findInit looks for millwright-init, which the helper has put where both containers see it, and tries whether it can be run: GitLab's helper image has
// none, a folder may be mounted so that nothing is run from there, which some shells' -x does not see, and limits may be too tight.
func findInit(path string) string {
	return `millwright_init='` + strings.ReplaceAll(path, "'", `'\''`) + `'; { [ -x "$millwright_init" ] && "$millwright_init"; } >/dev/null 2>&1 || { millwright_init=; unset ` + packed.WordVariable + `; }; `
}

// chooseDir settles what comes before the script's name. Uploads make the folder; an image without mkdir has its script beside it.
const chooseDir = `millwright_dir=/` + scriptDir + `/; `

// gate holds a container until the word comes. Nothing else is ever read from there: another agent may give the word again, and a connection
// that is lost leaves the container waiting for that.
const (
	gate     = `read -r millwright_word || { echo "the engine has closed the container's input" >&2; exit 1; }; `
	gateWord = "go\n"
)

// unpack is what writes the script out of the environment, which costs an engine nothing; each archive that it unpacks for us costs it a
// process as large as itself. own is a file that tells that the container has had a script, from there or in an archive.
func unpack(own string) string {
	return `[ -d /` + scriptDir + ` ] || mkdir /` + scriptDir + ` 2>/dev/null || millwright_dir=/` + scriptDir + `-; ` +
		`[ -e "${millwright_dir}` + own + `" ] || { printf %s "$` + scriptVariable + `" >"${millwright_dir}` + scriptName +
		`" && : >"${millwright_dir}` + own + `" || exit 1; }; unset ` + scriptVariable + `; `
}

// ownFile is a file in the folder of the script that no image has: an image may have been made from a container of ours.
func (e *Executor) ownFile() string { return "of-" + e.handle.Stem }

// command settles how a place's container starts, and tells whether it has a gate.
func (e *Executor) command(c *container.Config, place executor.Place) (gated bool) {
	c.Env = e.o.Env
	line := detectShell
	if e.o.Pwsh && place == executor.Build {
		line = startPwsh
	}
	if place == executor.Build && e.o.Init.Path != "" {
		c.Env = append(slices.Clone(c.Env), packed.WordVariable+"="+e.o.Init.Word)
		line = findInit(e.o.Init.Path) + line
	}
	if gated = place == executor.Build && e.mayHold(); gated {
		c.OpenStdin = true // and not StdinOnce: who opens the gate may have to go and come again
		line = gate + line
	}
	if e.inEnvironment(place) {
		c.Env = append(slices.Clone(c.Env), scriptVariable+"="+string(e.firstScript(place)))
		line = unpack(e.ownFile()) + line
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
