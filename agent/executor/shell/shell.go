// Package shell runs a job's stages as processes on the agent's own host. There is no wall between the job and the host: a job can read
// and change whatever its user can. Each stage's script is a file, started by a login shell in a process group of its own.
package shell

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/executor"
	"github.com/millwright-ci/millwright/agent/executor/process"
)

// The times that a script which is stopped has: between TERM and KILL, and after KILL until it is given up.
const (
	stopGrace = 10 * time.Second
	killGrace = 5 * time.Second
)

// Options say what one job needs.
type Options struct {
	Shell     string // bash, sh; "" takes bash, or sh where there is none; pwsh: that for what the helper does, PowerShell 7 for the user's scripts
	BuildsDir string // as config.toml has it; "" is builds in the agent's working directory
	CacheDir  string // "" is cache there
	User      string // whose rights the scripts get, where the agent is root; "" the agent's own
	Helper    string // the program that knows artifacts and caches; "" when it was not found
	// HelperHint says where it was looked for.
	HelperHint string
	Expand     func(string) string // of the job's variables in BuildsDir and CacheDir
	Console    executor.Console
	Log        *slog.Logger
	TempDir    string // for the job's own folder; "" means os.TempDir
	JobID      int64
	Handle     []byte // of the executor of an agent before, to clear what it left
}

// Executor is one job on this host. It implements executor.Handled.
type Executor struct {
	o      Options
	as     *process.Account
	shell  string // its path
	pwsh   string // that of PowerShell 7; "" where the shell runs all scripts
	work   string // directory that scripts start in
	stages int
	handle handle
}

// handle is what another agent needs to clear what this one left.
type handle struct {
	Dir string `json:"dir"` // holds the scripts and the note of the process that runs
}

// New returns an executor for one job.
func New(o Options) (*Executor, error) {
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	e := &Executor{o: o}
	if o.Handle != nil {
		if err := json.Unmarshal(o.Handle, &e.handle); err != nil {
			return nil, fmt.Errorf("what the agent before has noted of the job's processes: %w", err)
		}
		return e, nil
	}
	dir, err := process.Folder(o.TempDir, o.JobID)
	if err != nil {
		return nil, err
	}
	e.handle.Dir = dir
	return e, nil
}

// Handle implements executor.Handled.
func (e *Executor) Handle() []byte {
	data, _ := json.Marshal(e.handle) // strings: it cannot fail
	return data
}

// Prepare finds shell, user and directories.
func (e *Executor) Prepare(context.Context) (ready executor.Ready, err error) {
	wanted, name := e.o.Shell, e.o.Shell
	if wanted == config.Pwsh {
		if e.pwsh, err = exec.LookPath(config.Pwsh); err != nil {
			return ready, executor.Errorf(executor.Configuration, "shell: %w; install PowerShell 7, or name another shell in config.toml", err)
		}
		wanted = ""
	}
	if ready.Shell, e.shell, err = findShell(wanted); err != nil {
		return ready, err
	}
	e.o.Console.Println(fmt.Sprintf("Using Shell (%s) executor...", cmp.Or(name, ready.Shell)))
	if e.as, err = process.LookUp(e.o.User); err != nil {
		return ready, executor.Errorf(executor.Configuration, "%w", err)
	}
	if err := e.place(&ready); err != nil {
		return ready, err
	}
	ready.Shared = true
	if ready.HelperDir, err = e.placeHelper(); err != nil {
		return ready, err
	}
	// Others may pass, to the scripts that are theirs, but not look around.
	if err := os.Chmod(e.handle.Dir, 0o711); err != nil {
		return ready, fmt.Errorf("the job's folder: %w", err)
	}
	return ready, nil
}

// findShell returns the shell's name, which is its dialect, and its path.
func findShell(wanted string) (name, path string, err error) {
	names := []string{wanted}
	if wanted == "" {
		names = []string{"bash", "sh"}
	}
	for _, name := range names {
		if path, err = exec.LookPath(name); err == nil {
			return name, path, nil
		}
	}
	return "", "", executor.Errorf(executor.Configuration, "shell: %w; install it, or name another one with shell in config.toml", err)
}

// place settles the directories and makes those that are missing.
func (e *Executor) place(ready *executor.Ready) error {
	work, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("the agent's working directory: %w", err)
	}
	home := work
	if e.as != nil {
		home = e.as.Home
	} else if own, err := os.UserHomeDir(); err == nil {
		home = own
	}
	base := work
	if filepath.Dir(work) == work { // the root, as a service without a working directory has it
		base = home
	}
	e.work = base
	for _, d := range []struct {
		key, configured, fallback string
		to                        *string
	}{{"builds_dir", e.o.BuildsDir, "builds", &ready.BuildsDir}, {"cache_dir", e.o.CacheDir, "cache", &ready.CacheDir}} {
		path := e.expand(d.configured, work)
		if path == "" {
			path = filepath.Join(base, d.fallback)
		}
		if !filepath.IsAbs(path) {
			path = filepath.Join(base, path)
		}
		if filepath.Dir(path) == path {
			return executor.Errorf(executor.Configuration, "%s %q must not be the root; set it in config.toml", d.key, d.configured)
		}
		if err := e.make(path); err != nil {
			return executor.Errorf(executor.Configuration, "%s: %w; make it, or set another one in config.toml", d.key, err)
		}
		*d.to = filepath.ToSlash(path)
	}
	return nil
}

// expand replaces variables: of the job, else of the agent's environment. PWD is the agent's working directory.
func (e *Executor) expand(text, work string) string {
	return os.Expand(text, func(name string) string {
		if name == "PWD" {
			return work
		}
		if value := e.o.Expand("${" + name + "}"); value != "" {
			return value
		}
		return os.Getenv(name)
	})
}

// make makes a directory that is not there, for the user whose scripts run.
func (e *Executor) make(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	return e.as.Own(path)
}

// placeHelper puts the helper under the name that scripts call it by into a folder of the job.
func (e *Executor) placeHelper() (dir string, err error) {
	if e.o.Helper == "" {
		e.o.Console.Warningln("millwright-helper was not found (" + e.o.HelperHint + "): caches and artifacts need it, or gitlab-runner-helper along PATH")
		return "", nil
	}
	dir = filepath.Join(e.handle.Dir, "bin")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", fmt.Errorf("the job's folder: %w", err)
	}
	name := "gitlab-runner-helper"
	if runtime.GOOS == "windows" {
		if err := os.Link(e.o.Helper, filepath.Join(dir, name+".exe")); err != nil {
			return "", fmt.Errorf("the helper: %w", err)
		}
		return filepath.ToSlash(dir), nil
	}
	if err := os.Symlink(e.o.Helper, filepath.Join(dir, name)); err != nil {
		return "", fmt.Errorf("the helper: %w", err)
	}
	return dir, nil
}

// Run implements executor.Executor.
func (e *Executor) Run(ctx context.Context, s executor.Stage) error {
	e.stages++
	script, err := e.write(s)
	if err != nil {
		return fmt.Errorf("stage %s: script: %w", s.Name, err)
	}
	defer os.Remove(script)
	path, args := e.shell, []string{"-l", script}
	if e.isPwsh(s) {
		path, args = e.pwsh, append(slices.Clone(pwshArgs), script)
	}
	mark := process.MarkVariable + "=" + e.handle.Dir
	c := process.Command{
		Path: path, Args: args, Env: append(process.Environment(e.as), mark), Dir: e.work, As: e.as,
		Stdout: s.Stdout, Stderr: s.Stderr, Grace: stopGrace, Force: killGrace, Mark: mark, Note: e.note(), Log: e.o.Log,
		Lingering: func() {
			e.o.Console.Warningln("The script has ended, but a process that it left in the background still holds its output; waiting for it. " +
				"Redirect the output of such a process to let the job go on.")
		},
	}
	if s.Starting != nil {
		s.Starting(executor.Start{})
	}
	if s.Started != nil {
		c.Started = func() { s.Started(executor.Position{StartedAt: time.Now()}) }
	}
	err = c.Run(ctx)
	var exit *executor.ExitError
	if err == nil || errors.As(err, &exit) || ctx.Err() != nil {
		return err
	}
	return fmt.Errorf("stage %s: %w", s.Name, err)
}

// pwshArgs start a script by PowerShell 7: its file follows.
var pwshArgs = []string{"-NoProfile", "-NoLogo", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-File"}

// isPwsh tells whether a stage's script is PowerShell's.
func (e *Executor) isPwsh(s executor.Stage) bool { return e.pwsh != "" && s.Place == executor.Build }

// write makes the script a file that its user alone can read: it holds the job's secrets.
func (e *Executor) write(s executor.Stage) (path string, err error) {
	path = filepath.Join(e.handle.Dir, "script-"+strconv.Itoa(e.stages))
	if e.isPwsh(s) {
		path += ".ps1" // on Windows PowerShell takes no other
	}
	if err := os.WriteFile(path, s.Script, 0o700); err != nil {
		return "", err
	}
	return path, e.as.Own(path)
}

func (e *Executor) note() string { return filepath.Join(e.handle.Dir, "process.json") }

// Cleanup removes the job's folder. Processes that a job has left in the background go on, as a deployment would have it; those of a job
// whose agent died are killed.
func (e *Executor) Cleanup(context.Context) error {
	if e.o.Handle == nil {
		return os.RemoveAll(e.handle.Dir)
	}
	if e.handle.Dir == "" {
		return nil
	}
	killed, err := process.Clear(e.note(), process.MarkVariable+"="+e.handle.Dir)
	if killed {
		e.o.Log.Info("Killed what a job of the agent before had left running", "folder", e.handle.Dir)
	}
	return errors.Join(err, os.RemoveAll(e.handle.Dir))
}

var _ executor.Handled = (*Executor)(nil)
