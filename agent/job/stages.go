package job

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/executor"
	"github.com/millwright-ci/millwright/agent/job/shell"
	"github.com/millwright-ci/millwright/agent/trace"
)

const timeoutDocs = "https://docs.gitlab.com/ci/runners/configure_runners/#set-script-and-after-script-timeouts"

// stages drives the stages in order. What comes back is the error that the job ends with: of 1 to 8 first, then of the caches,
// then of the artifacts.
func (r *run) stages(ctx context.Context) error {
	if err := r.begin(ctx); err != nil {
		return err
	}
	defer r.heedProvider(ctx)()
	defer r.tidy(ctx)
	err := r.getSources(ctx)
	var timeout *timeoutError
	if ctx.Err() != nil {
		return ended(ctx)
	}
	if errors.As(err, &timeout) {
		return err
	}
	for _, stage := range []func(context.Context) error{r.restoreCache, r.downloadArtifacts, r.scripts} {
		if err == nil {
			err = stage(ctx)
		}
		if ctx.Err() != nil {
			return ended(ctx)
		}
	}
	if r.engineLost {
		return err // there is nothing to run the rest on
	}
	r.control.enter(afterScripts, nil)
	result := err
	for _, stage := range []func(context.Context, bool) error{r.saveCache, r.uploadArtifacts} {
		later := stage(ctx, result == nil)
		if ctx.Err() != nil {
			return ended(ctx)
		}
		if err == nil {
			err = later
		}
	}
	return err
}

// begin is everything before the sources, within prepare_timeout.
func (r *run) begin(ctx context.Context) error {
	if d := time.Duration(r.p.Runner.PrepareTimeout); d > 0 && d < r.timeout {
		var end func()
		ctx, end = r.within(ctx, "prepare", d, timeoutf("prepare timeout: exceeded timeout of %s", d))
		defer end()
	}
	err := r.prepare(ctx)
	if err == nil {
		err = r.settle()
	}
	if err == nil {
		err = r.prepareScript(ctx)
	}
	if ctx.Err() != nil {
		return ended(ctx)
	}
	return err
}

// prepareScript runs prepare_script. Where its one line can be said without starting a container, that is all, and get_sources, the first
// stage that needs one, does the rest.
func (r *run) prepareScript(ctx context.Context) error {
	const name, title = "prepare_script", "Preparing environment"
	if r.ready.Hostname == "" {
		return r.stage(ctx, name, title, executor.Helper, shell.Prepare(r.frame(), r.via(), r.ready.Dirs))
	}
	defer r.trace.Section(name, title)()
	if d, ok := r.replayed(name); ok {
		return r.repeat(ctx, d)
	}
	r.goLive()
	r.observe(name, executor.Position{})
	_, err := fmt.Fprintf(r.trace.Stdout(trace.StreamJob), "Running on %s via %s...\n", r.ready.Hostname, r.via())
	r.trace.FlushJob()
	r.record(ctx, done{Name: name}, err)
	return err
}

// getSources runs get_sources, as often as GET_SOURCES_ATTEMPTS allows, within get_sources_timeout.
func (r *run) getSources(ctx context.Context) error {
	script, err := r.sourcesScript()
	if err != nil {
		return err
	}
	if d := time.Duration(r.p.Runner.GetSourcesTimeout); d > 0 && d < r.timeout {
		var end func()
		ctx, end = r.within(ctx, "get_sources", d, timeoutf("get sources timeout: exceeded timeout of %s", d))
		defer end()
	}
	err = r.attempts(ctx, "GET_SOURCES_ATTEMPTS", func(try int) error {
		if try > 1 {
			_ = r.stage(ctx, "clear_worktree", "Deleting all tracked and untracked files due to source fetch failure", executor.Helper, shell.ClearWorktree(r.frame()))
		}
		return r.stage(ctx, "get_sources", "Getting source from Git repository", executor.Helper, script)
	})
	if ctx.Err() != nil {
		return ended(ctx)
	}
	return err
}

// sourcesScript is the script of get_sources, and of what prepare_script has left to it.
func (r *run) sourcesScript() ([]byte, error) {
	src, err := r.sources()
	if err != nil {
		return nil, err
	}
	if r.ready.Hostname != "" {
		src.First = shell.Preparation(r.frame(), r.ready.Dirs)
	}
	return shell.GetSources(r.frame(), src), nil
}

func (r *run) restoreCache(ctx context.Context) error {
	caches, err := r.cachesToRestore()
	if err != nil || len(caches) == 0 {
		return err
	}
	script := shell.RestoreCache(r.frame(), r.transfer(ctx, "restore_cache", caches, r.linkDownloads), caches)
	return r.attempts(ctx, "RESTORE_CACHE_ATTEMPTS", func(int) error {
		return r.stage(ctx, "restore_cache", "Restoring cache", executor.Helper, script)
	})
}

func (r *run) downloadArtifacts(ctx context.Context) error {
	var downloads []shell.Download
	for _, d := range r.p.Job.Dependencies {
		if d.ArtifactsFile != nil && d.ArtifactsFile.Filename != "" {
			downloads = append(downloads, shell.Download{Name: d.Name, ID: strconv.FormatInt(d.ID, 10), Token: d.Token.Reveal()})
		}
	}
	if len(downloads) == 0 {
		return nil
	}
	script := shell.DownloadArtifacts(r.frame(), r.p.Runner.URL, downloads)
	return r.attempts(ctx, "ARTIFACT_DOWNLOAD_ATTEMPTS", func(int) error {
		return r.stage(ctx, "download_artifacts", "Downloading artifacts", executor.Helper, script)
	})
}

// scripts runs the user's steps, then after_script, and returns the error that counts.
func (r *run) scripts(ctx context.Context) error {
	err := r.steps(ctx)
	r.control.enter(afterScripts, nil)
	if ctx.Err() != nil {
		return ended(ctx)
	}
	if r.engineLost {
		return err
	}
	r.setStatus(statusOf(err))
	after := r.afterScript(ctx)
	if ctx.Err() != nil {
		return ended(ctx)
	}
	if after != nil && err == nil && !r.vars.flag("AFTER_SCRIPT_IGNORE_ERRORS", true) {
		return after
	}
	if after != nil {
		r.trace.Warningln("after_script failed, but job will continue unaffected: " + after.Error())
	}
	return err
}

// steps runs every step but after_script, until one fails.
func (r *run) steps(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if d := r.limit("RUNNER_SCRIPT_TIMEOUT", 0); d > 0 {
		var end func()
		ctx, end = r.within(ctx, "script", d, timeoutf("script timeout: %v", context.DeadlineExceeded))
		defer end()
	}
	r.control.enter(inScripts, cancel)
	for _, step := range r.p.Job.Steps {
		if !isStep(step) {
			continue
		}
		name := "step_" + step.Name
		title := fmt.Sprintf("Executing %q stage of the job script", name)
		err := r.stage(ctx, name, title, executor.Build, r.stepScript(step))
		if ctx.Err() != nil {
			err = ended(ctx)
			r.explainStop(name, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// isStep tells whether a step is one of those that steps runs.
func isStep(step coordinator.Step) bool { return step.Name != "after_script" && len(step.Script) > 0 }

func (r *run) stepScript(step coordinator.Step) []byte {
	entries := step.Script
	if step.Name == "release" {
		entries = r.expandAll(entries)
	}
	return shell.Step(r.frame(), wrap(r.p.Runner.PreBuildScript, entries, r.p.Runner.PostBuildScript))
}

func wrap(before string, entries []string, after string) []string {
	var out []string
	if before != "" {
		out = append(out, before)
	}
	out = append(out, entries...)
	if after != "" {
		out = append(out, after)
	}
	return out
}

// explainStop tells the user why a stage ended in the middle.
func (r *run) explainStop(stage string, err error) {
	var timeout *timeoutError
	switch {
	case errors.Is(err, errCanceled):
		r.trace.Warningln("script canceled externally (UI, API)")
	case errors.As(err, &timeout):
		r.trace.Warningln(stage + " could not run to completion because the timeout was exceeded. " +
			"For more control over job and script timeouts see: " + timeoutDocs)
	}
}

func statusOf(err error) string {
	var timeout *timeoutError
	switch {
	case err == nil:
		return "success"
	case errors.Is(err, errCanceled):
		return "canceled"
	case errors.As(err, &timeout):
		return "timedout"
	}
	return "failed"
}

// defaultAfterScriptTimeout holds where RUNNER_AFTER_SCRIPT_TIMEOUT is not set.
const defaultAfterScriptTimeout = 5 * time.Minute

func (r *run) afterScript(ctx context.Context) error {
	for _, step := range r.p.Job.Steps {
		if step.Name != "after_script" || len(step.Script) == 0 {
			continue
		}
		d := r.limit("RUNNER_AFTER_SCRIPT_TIMEOUT", defaultAfterScriptTimeout)
		ctx, end := r.within(ctx, "after_script", d, timeoutf("after_script timeout: %v", context.DeadlineExceeded))
		defer end()
		err := r.stage(ctx, "after_script", "Running after_script", executor.Build, shell.AfterScript(r.frame(), step.Script))
		if ctx.Err() != nil {
			err = ended(ctx)
			r.explainStop("after_script", err)
		}
		return err
	}
	return nil
}

func (r *run) saveCache(ctx context.Context, ok bool) error {
	caches, err := r.cachesToSave(ok)
	if err != nil || len(caches) == 0 {
		return err
	}
	name, title := "archive_cache", "Saving cache for successful job"
	if !ok {
		name, title = "archive_cache_on_failure", "Saving cache for failed job"
	}
	defer r.endUploads(ctx)
	return r.stage(ctx, name, title, executor.Helper, shell.SaveCache(r.frame(), r.transfer(ctx, name, caches, r.linkUploads), caches))
}

func (r *run) uploadArtifacts(ctx context.Context, ok bool) error {
	var wanted []coordinator.Artifact
	for _, a := range r.p.Job.Artifacts {
		if (len(a.Paths) > 0 || len(a.Exclude) > 0 || a.Untracked) && fits(a.When, ok) {
			wanted = append(wanted, a)
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	name, title := "upload_artifacts_on_success", "Uploading artifacts for successful job"
	if !ok {
		name, title = "upload_artifacts_on_failure", "Uploading artifacts for failed job"
	}
	to := shell.Upload{
		URL: r.p.Runner.URL, Token: r.p.Job.Token.Reveal(), ID: strconv.FormatInt(r.p.Job.ID, 10),
		Timeout:               orDuration(time.Duration(r.p.Runner.Artifact.UploadTimeout), time.Hour),
		ResponseHeaderTimeout: orDuration(time.Duration(r.p.Runner.Artifact.ResponseHeaderTimeout), 10*time.Minute),
		Provenance:            r.provenance(),
	}
	return r.stage(ctx, name, title, executor.Helper, shell.UploadArtifacts(r.frame(), to, wanted))
}

// fits tells whether something with that when is due. An empty one counts as on_success.
func fits(when string, ok bool) bool {
	switch when {
	case "always":
		return true
	case "on_failure":
		return !ok
	}
	return ok
}

// tidyLimit bounds the last stage, which runs when the job's time is over too.
const tidyLimit = 30 * time.Second

// tidy removes file variables and git's settings with the token, however the job ended. Its failure is the agent's matter.
func (r *run) tidy(ctx context.Context) {
	var interrupted *interruptedError
	if err := ended(ctx); r.engineLost || errors.As(err, &interrupted) || errors.Is(err, errAborted) || left(ctx) {
		return
	}
	alive, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyLimit)
	defer cancel()
	var lines []string
	if r.flags["FF_ENABLE_JOB_CLEANUP"] {
		lines = shell.CleanProject(r.frame(), r.strategy, r.cleanFlags(), r.vars.get("GIT_SUBMODULE_STRATEGY") != "")
	}
	const title = "Cleaning up project directory and file based variables"
	if r.ready.Hostname != "" && lines == nil { // it has nothing to say: nobody needs to wait for it
		r.trace.Section(tidyStage, title)()
		r.untidy = true
		return
	}
	if err := r.stage(alive, tidyStage, title, executor.Helper, shell.Cleanup(r.frame(), lines)); err != nil {
		r.log.Warn("cleaning up the project directory", "error", err)
	}
}

// tidyStage is the section in which what was secret is removed.
const tidyStage = "cleanup_file_variables"

// tidyUp does what tidy has left for when the job's end is being reported.
func (r *run) tidyUp(ctx context.Context) {
	if !r.untidy {
		return
	}
	r.untidy = false
	ctx, cancel := context.WithTimeout(ctx, tidyLimit)
	defer cancel()
	if e, ok := r.exec.(executor.Emptier); ok {
		err := e.Empty(ctx, r.frame().TempDir)
		if err == nil {
			return
		}
		r.log.Debug("cleaning up the project directory by a container", "error", err) // the job may have ended before there was one
	}
	err := r.exec.Run(ctx, executor.Stage{Name: tidyStage, Place: executor.Helper, Script: shell.Cleanup(r.frame(), nil), Stdout: io.Discard, Stderr: io.Discard})
	if err != nil {
		r.log.Warn("cleaning up the project directory", "error", err)
	}
}

// stage runs one script inside a section of the trace.
func (r *run) stage(ctx context.Context, name, title string, place executor.Place, script []byte) error {
	if ctx.Err() != nil {
		return ended(ctx)
	}
	end := r.trace.Section(name, title)
	defer end()
	tries, lastWord := r.tries("EXECUTOR_JOB_SECTION_ATTEMPTS"), ""
	if place == executor.Helper {
		lastWord = r.lastWord()
	}
	for try := 1; ; try++ {
		err := r.perform(ctx, executor.Stage{
			Name: name, Place: place, Script: script, LastWord: lastWord,
			Stdout: r.trace.Stdout(trace.StreamJob), Stderr: r.trace.Stderr(trace.StreamJob),
		})
		r.engineLost = r.engineLost || isEngineFault(err)
		var kind *executor.Error
		if !errors.As(err, &kind) || kind.Kind != executor.Gone || try >= tries {
			return err
		}
		r.trace.Infoln("Retrying " + name)
	}
}

func (r *run) observe(stage string, at executor.Position) {
	if r.p.OnState != nil {
		r.p.OnState(State{JobID: r.p.Job.ID, Machine: r.engine.Machine, Stage: stage, Status: r.status, Position: at, TraceSize: r.trace.Size()})
	}
}
