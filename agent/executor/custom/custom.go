// Package custom runs a job's stages by programs of the operator's, a driver: one that says how the job is set up, one that prepares its
// surroundings, one that is handed each stage's script, and one that clears up.
// Source: GitLab Runner documentation, "The Custom executor".
package custom

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/executor"
	"github.com/millwright-ci/millwright/agent/executor/process"
)

// The exit codes by which a driver tells a failure of the job from one of its own.
const (
	buildFailure  = 1
	systemFailure = 2
)

// Defaults of [runners.custom].
const (
	defaultTimeout = time.Hour
	defaultGrace   = 10 * time.Minute
)

// Options say what one job needs.
type Options struct {
	Config    *config.Custom
	Shell     string // of config.toml, the dialect of scripts; "" means bash
	BuildsDir string // of config.toml; the driver's answer wins
	CacheDir  string
	// Env returns the job's variables, NAME=value, as they are now.
	Env func() []string
	// Configured, if set, is told what the driver said of directories and shell, before the driver is called again.
	Configured func(executor.Ready) error

	Services []byte // the job's services as JSON
	Response []byte // the job as the coordinator handed it out, as JSON
	Console  executor.Console
	Stdout   io.Writer // of the driver while it prepares
	Stderr   io.Writer
	Log      *slog.Logger
	TempDir  string // for the job's own folder; "" means os.TempDir
	JobID    int64
	Handle   []byte // of the executor of an agent before, to clear what it left
}

// Executor is one job in a driver's care. It implements executor.Handled.
type Executor struct {
	o      Options
	stages int
	begun  bool // the driver has been called
	handle handle
}

// handle is what another agent needs to clear what this one left.
type handle struct {
	Dir    string         `json:"dir"` // holds the scripts, the driver's files, and the note of the process that runs
	JobEnv []string       `json:"job_env,omitempty"`
	Ready  executor.Ready `json:"ready"`
}

// New returns an executor for one job.
func New(o Options) (*Executor, error) {
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	e := &Executor{o: o}
	if o.Handle != nil {
		if err := json.Unmarshal(o.Handle, &e.handle); err != nil {
			return nil, fmt.Errorf("what the agent before has noted of the job's driver: %w", err)
		}
		e.begun = true
		if e.handle.Ready.BuildsDir == "" {
			return e, nil
		}
		return e, e.configured(e.handle.Ready)
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

// answer is what config_exec may say.
type answer struct {
	BuildsDir string `json:"builds_dir"`
	CacheDir  string `json:"cache_dir"`
	Shared    bool   `json:"builds_dir_is_shared"`
	Hostname  string `json:"hostname"`
	Shell     string `json:"shell"`
	Driver    struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	} `json:"driver"`
	JobEnv map[string]string `json:"job_env"`
}

// Prepare asks the driver how the job is set up, and has it prepare its surroundings.
func (e *Executor) Prepare(ctx context.Context) (ready executor.Ready, err error) {
	if e.o.Config.RunExec == "" {
		return ready, executor.Errorf(executor.Configuration, "[runners.custom] has no run_exec; name the program that runs a stage's script")
	}
	if err := os.WriteFile(e.file("response.json"), e.o.Response, 0o600); err != nil {
		return ready, fmt.Errorf("the job's folder: %w", err)
	}
	e.begun = true
	a, err := e.configure(ctx)
	if err != nil {
		return ready, err
	}
	ready.BuildsDir, ready.CacheDir = cmp.Or(a.BuildsDir, e.o.BuildsDir), cmp.Or(a.CacheDir, e.o.CacheDir)
	for _, d := range []struct{ key, value string }{{"builds_dir", ready.BuildsDir}, {"cache_dir", ready.CacheDir}} {
		if d.value == "" {
			return ready, executor.Errorf(executor.Configuration, "the executor custom needs %s: set it in config.toml, or have config_exec say it", d.key)
		}
	}
	ready.Shared = a.Shared
	if ready.Shell = cmp.Or(a.Shell, e.o.Shell, "bash"); !slices.Contains(config.Shells("custom"), ready.Shell) {
		return ready, executor.Errorf(executor.Configuration, "config_exec: shell %q is not supported; use %s", ready.Shell, strings.Join(config.Shells("custom"), " or "))
	}
	e.o.Console.Println(using(a))
	if err := e.configured(ready); err != nil {
		return ready, err
	}
	if e.o.Config.PrepareExec == "" {
		return ready, nil
	}
	limit := seconds(e.o.Config.PrepareExecTimeout, defaultTimeout)
	return ready, e.call(ctx, "prepare_exec", limit, e.o.Config.PrepareExec, e.o.Config.PrepareArgs, e.o.Stdout, e.o.Stderr)
}

// configured puts into force what the driver said.
func (e *Executor) configured(ready executor.Ready) error {
	e.handle.Ready = ready
	if e.o.Configured == nil {
		return nil
	}
	return e.o.Configured(ready)
}

func using(a answer) string {
	if a.Driver.Name == "" {
		return "Using Custom executor..."
	}
	return strings.TrimSpace("Using Custom executor with driver "+a.Driver.Name+" "+a.Driver.Version) + "..."
}

// maxAnswer is how much config_exec may say, in bytes.
const maxAnswer = 1 << 20

// configure runs config_exec and reads its answer.
func (e *Executor) configure(ctx context.Context) (a answer, err error) {
	if e.o.Config.ConfigExec == "" {
		return a, nil
	}
	out := &bounded{limit: maxAnswer}
	limit := seconds(e.o.Config.ConfigExecTimeout, defaultTimeout)
	if err := e.call(ctx, "config_exec", limit, e.o.Config.ConfigExec, e.o.Config.ConfigArgs, out, e.o.Stderr); err != nil {
		return a, err
	}
	if len(bytes.TrimSpace(out.Bytes())) == 0 {
		return a, nil
	}
	if err := json.Unmarshal(out.Bytes(), &a); err != nil {
		return a, fmt.Errorf("config_exec: what it printed is no JSON: %w; it must print one object and nothing else", err)
	}
	for _, name := range sorted(a.JobEnv) {
		e.handle.JobEnv = append(e.handle.JobEnv, name+"="+a.JobEnv[name])
	}
	if a.Hostname != "" {
		e.o.Log.Debug("The driver names where the job runs", "hostname", a.Hostname)
	}
	return a, nil
}

func sorted(m map[string]string) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Run hands a stage's script to run_exec.
func (e *Executor) Run(ctx context.Context, s executor.Stage) error {
	e.stages++
	script := e.file("script-" + strconv.Itoa(e.stages))
	if err := os.WriteFile(script, s.Script, 0o700); err != nil {
		return fmt.Errorf("stage %s: script: %w", s.Name, err)
	}
	defer os.Remove(script)
	if s.Starting != nil {
		s.Starting(executor.Start{})
	}
	c := e.command(e.o.Config.RunExec, append(slices.Clone(e.o.Config.RunArgs), script, s.Name), s.Stdout, s.Stderr)
	if s.Started != nil {
		c.Started = func() { s.Started(executor.Position{StartedAt: time.Now()}) }
	}
	if err := e.outcome("run_exec", c.Run(ctx)); err != nil {
		return stageError(s.Name, err)
	}
	return nil
}

// stageError names the stage of a failure that is not the job's.
func stageError(stage string, err error) error {
	var exit *executor.ExitError
	if errors.As(err, &exit) {
		return err
	}
	return fmt.Errorf("stage %s: %w", stage, err)
}

// call runs one of the driver's programs within its time limit.
func (e *Executor) call(ctx context.Context, key string, limit time.Duration, program string, args []string, stdout, stderr io.Writer) error {
	late := fmt.Errorf("%s: it took longer than %s; mend it, or raise %s_timeout", key, limit, key)
	limited, cancel := context.WithTimeoutCause(ctx, limit, late)
	defer cancel()
	return e.outcome(key, e.command(program, args, stdout, stderr).Run(limited))
}

func (e *Executor) command(program string, args []string, stdout, stderr io.Writer) process.Command {
	mark := process.MarkVariable + "=" + e.handle.Dir
	return process.Command{
		Path: program, Args: args, Env: append(e.environment(), mark), Dir: e.handle.Dir, Stdout: stdout, Stderr: stderr,
		Grace: seconds(e.o.Config.GracefulKillTimeout, defaultGrace), Force: seconds(e.o.Config.ForceKillTimeout, defaultGrace),
		Mark: mark, Note: e.note(), Log: e.o.Log,
	}
}

// environment is what the driver's programs get: that of the agent, the job's variables behind a prefix, and how to answer.
func (e *Executor) environment() []string {
	env := process.Environment(nil)
	for _, v := range e.o.Env() {
		env = append(env, "CUSTOM_ENV_"+v)
	}
	env = append(env,
		"CUSTOM_ENV_CI_JOB_SERVICES="+string(e.o.Services),
		"TMPDIR="+e.handle.Dir,
		"JOB_RESPONSE_FILE="+e.file("response.json"),
		"BUILD_EXIT_CODE_FILE="+e.file("exit_code"),
		"BUILD_FAILURE_EXIT_CODE="+strconv.Itoa(buildFailure),
		"SYSTEM_FAILURE_EXIT_CODE="+strconv.Itoa(systemFailure),
	)
	return append(env, e.handle.JobEnv...)
}

// outcome turns the exit code of one of the driver's programs into what it says of the job.
func (e *Executor) outcome(key string, err error) error {
	file := e.file("exit_code")
	defer os.Remove(file)
	var exit *executor.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	switch exit.Code {
	case buildFailure:
		return &executor.ExitError{Code: noted(file, buildFailure)}
	case systemFailure:
		return fmt.Errorf("%s: the driver reports a failure of the system", key)
	}
	return fmt.Errorf("%s: it ended with exit code %d, which is neither BUILD_FAILURE_EXIT_CODE nor SYSTEM_FAILURE_EXIT_CODE", key, exit.Code)
}

// noted is the exit code of the job's script, where the driver has written it down.
func noted(file string, fallback int) int {
	data, err := os.ReadFile(file)
	if err != nil {
		return fallback
	}
	code, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || code == 0 {
		return fallback
	}
	return code
}

func (e *Executor) file(name string) string { return filepath.Join(e.handle.Dir, name) }

func (e *Executor) note() string { return e.file("process.json") }

// Cleanup has the driver clear up, whatever happened before, and removes the job's folder. How the driver fares is told to the log alone.
func (e *Executor) Cleanup(ctx context.Context) error {
	if e.handle.Dir == "" {
		return nil
	}
	var errs []error
	if e.o.Handle != nil {
		_, err := process.Clear(e.note(), process.MarkVariable+"="+e.handle.Dir)
		errs = append(errs, err, os.MkdirAll(e.handle.Dir, 0o700))
	}
	if e.begun && e.o.Config.CleanupExec != "" {
		e.clear(ctx)
	}
	return errors.Join(append(errs, os.RemoveAll(e.handle.Dir))...)
}

// clear runs cleanup_exec, which has a time limit of its own: of ctx only the agent's end counts.
func (e *Executor) clear(ctx context.Context) {
	own, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() {
		if errors.Is(ctx.Err(), context.Canceled) {
			cancel(context.Cause(ctx))
		}
	})()
	out, said := &bounded{limit: maxAnswer}, &bounded{limit: maxAnswer}
	limit := seconds(e.o.Config.CleanupExecTimeout, defaultTimeout)
	err := e.call(own, "cleanup_exec", limit, e.o.Config.CleanupExec, e.o.Config.CleanupArgs, out, said)
	if out.Len() > 0 {
		e.o.Log.Debug("cleanup_exec", "stdout", out.String())
	}
	if said.Len() > 0 {
		e.o.Log.Warn("cleanup_exec", "stderr", said.String())
	}
	if err != nil {
		e.o.Log.Warn("The driver's clean-up failed; what it made may be left", "error", err)
	}
}

// seconds is a setting of [runners.custom]; one that is not set or not above 0 is the default.
func seconds(setting *int, fallback time.Duration) time.Duration {
	if setting == nil || *setting <= 0 {
		return fallback
	}
	return time.Duration(*setting) * time.Second
}

// bounded keeps the first bytes of what is written.
type bounded struct {
	bytes.Buffer
	limit int
}

func (b *bounded) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:min(len(p), b.limit-b.Len())])
	return len(p), nil
}

var _ executor.Handled = (*Executor)(nil)
