package job

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/executor/docker"
	"github.com/millwright-ci/millwright/agent/executor/packed"
	"github.com/millwright-ci/millwright/agent/job/shell"
	"github.com/millwright-ci/millwright/agent/trace"
)

// configure settles flags, variables and directories. It asks nobody and fails softly: the trace, which needs some of it, must be
// open before a mistake can be shown.
func (r *run) configure() {
	job := r.p.Job
	r.flags, r.warnings = resolveFlags(r.p.Runner, job.Variables, assign(r.p.Runner.Environment))
	r.timeout = defaultTimeout
	if job.Runner.Timeout > 0 {
		r.timeout = time.Duration(job.Runner.Timeout) * time.Second
	}
	r.setup = r.checkPayload()
	r.strategy = r.gitStrategy(r.earlyVariables())
	if err := r.arrange(); r.setup == nil {
		r.setup = err
	}
	r.warnings = append(r.warnings, r.unserved()...)
}

// earlyVariables are those that are known before CI_PROJECT_DIR is.
func (r *run) earlyVariables() *variables {
	own := r.ownVariables(assign(r.p.Runner.Environment), paths{builds: r.buildsDir()})
	return newVariables("", r.flags.variables(), own, r.withoutFlags(r.p.Job.Variables))
}

// arrange settles the directories, and the variables that name them.
func (r *run) arrange() error {
	dirs, err := r.resolvePaths(r.earlyVariables())
	r.paths = dirs
	own := r.ownVariables(assign(r.p.Runner.Environment), dirs)
	r.vars = newVariables(dirs.temp, r.flags.variables(), own, r.withoutFlags(r.p.Job.Variables), r.lateVariables(), r.secrets)
	return err
}

// unserved names what the job asks for and does not get.
func (r *run) unserved() []string {
	var out []string
	for _, name := range []string{"CI_DEBUG_TRACE", "CI_DEBUG_SERVICES"} {
		if r.p.Runner.DebugTraceDisabled && r.vars.flag(name, false) {
			out = append(out, name+": usage is disabled on this runner")
		}
	}
	for _, image := range append([]coordinator.Image{orNone(r.p.Job.Image)}, r.p.Job.Services...) {
		if ports := strings.TrimSpace(string(image.Ports)); ports != "" && ports != "null" && ports != "[]" {
			out = append(out, "the ports of "+image.Name+" are not proxied: this runner has no web terminal and no proxy to services")
		}
	}
	return out
}

func orNone(image *coordinator.Image) coordinator.Image {
	if image == nil {
		return coordinator.Image{}
	}
	return *image
}

// withoutFlags leaves out the variables that are feature flags: their resolved values come first in the list.
func (r *run) withoutFlags(list coordinator.Variables) coordinator.Variables {
	var out coordinator.Variables
	for _, v := range list {
		if _, isFlag := flagDefaults[v.Key]; !isFlag {
			out = append(out, v)
		}
	}
	return out
}

const statusVariable = "CI_JOB_STATUS"

// ownVariables are those that the payload's variables of the same name win over.
func (r *run) ownVariables(environment coordinator.Variables, dirs paths) coordinator.Variables {
	job := r.p.Job
	list := coordinator.Variables{public("CI_RUNNER_SHORT_TOKEN", config.ShortToken(r.p.Runner.Token))}
	if job.Image != nil && job.Image.Name != "" {
		list = append(list, public("CI_JOB_IMAGE", job.Image.Name))
	}
	list = append(list, environment...)
	list = append(list,
		public("CI_BUILDS_DIR", dirs.builds),
		public("CI_PROJECT_DIR", dirs.project),
		public("CI_CONCURRENT_ID", strconv.Itoa(r.p.Slot)),
		public("CI_CONCURRENT_PROJECT_ID", strconv.Itoa(r.p.ProjectSlot)),
		public("CI_SERVER", "yes"),
		public(statusVariable, r.status),
		public("CI_JOB_TIMEOUT", strconv.Itoa(int(r.timeout/time.Second))),
	)
	for _, f := range []struct {
		key, pem string
		public   bool
	}{
		{"CI_SERVER_TLS_CA_FILE", job.TLS.CA, true},
		{"CI_SERVER_TLS_CERT_FILE", job.TLS.Cert, true},
		{"CI_SERVER_TLS_KEY_FILE", job.TLS.Key.Reveal(), false},
	} {
		if f.pem != "" {
			list = append(list, coordinator.Variable{Key: f.key, Value: f.pem, Public: f.public, File: true, Raw: true})
		}
	}
	return list
}

// lateVariables win over the payload's.
func (r *run) lateVariables() coordinator.Variables {
	environment := "CI_DISPOSABLE_ENVIRONMENT"
	if r.onHost() {
		environment = "CI_SHARED_ENVIRONMENT"
	}
	list := coordinator.Variables{
		public(environment, "true"),
		public("CI_RUNNER_VERSION", coordinator.CompatVersion),
		public("CI_RUNNER_REVISION", r.p.Version.Revision),
		public("CI_RUNNER_EXECUTABLE_ARCH", runtime.GOOS+"/"+runtime.GOARCH),
		public("RUNNER_TEMP_PROJECT_DIR", r.paths.temp),
	}
	if r.p.Job.Run != "" {
		list = append(list, coordinator.Variable{Key: "STEPS", Value: r.p.Job.Run, Raw: true})
	}
	return list
}

// setStatus changes the runner's own entry of CI_JOB_STATUS; one of the payload stays as it is and wins.
func (r *run) setStatus(status string) {
	r.status = status
	for i := range r.vars.list {
		if r.vars.list[i].Key == statusVariable {
			r.vars.list[i].Value = status
			return
		}
	}
}

// gitStrategy is GIT_STRATEGY, or what the project's setting says where that is no strategy.
func (r *run) gitStrategy(early *variables) string {
	fallback := shell.StrategyClone
	if r.p.Job.AllowGitFetch {
		fallback = shell.StrategyFetch
	}
	switch s := early.get("GIT_STRATEGY"); s {
	case "":
		return fallback
	case shell.StrategyFetch, shell.StrategyClone, shell.StrategyNone, shell.StrategyEmpty:
		return s
	default:
		r.warnings = append(r.warnings, fmt.Sprintf("GIT_STRATEGY %q is unknown; use clone, fetch, none or empty. Using %s", s, fallback))
		return fallback
	}
}

// debug tells whether scripts show every command (CI_DEBUG_TRACE).
func (r *run) debug() bool {
	return !r.p.Runner.DebugTraceDisabled && r.vars.flag("CI_DEBUG_TRACE", false)
}

func (r *run) debugServices() bool {
	return !r.p.Runner.DebugTraceDisabled && r.vars.flag("CI_DEBUG_SERVICES", false)
}

func (r *run) traceOptions() trace.Options {
	return trace.Options{
		Job: r.p.Job, Client: r.p.Client, Dir: r.p.TraceDir, Keep: r.p.Keep,
		Limit:            r.p.Runner.OutputLimit * 1024,
		Timestamps:       r.flags["FF_TIMESTAMPS"],
		MaskAllTokens:    r.flags["FF_MASK_ALL_DEFAULT_TOKENS"],
		DynamicForceSend: r.flags["FF_USE_DYNAMIC_TRACE_FORCE_SEND_INTERVAL"],
		DebugTrace:       r.debug() || r.debugServices(),
		FinalRetries:     r.p.Runner.FinalUpdateRetryLimit,
		OnCancel:         r.control.cancel,
		OnAbort:          r.control.drop,
	}
}

// maskValues hides what the payload's masked variables expand to, beside what they hold.
func (r *run) maskValues() {
	for _, v := range r.vars.list {
		if v.Masked {
			r.trace.Mask(config.Secret(r.vars.value(v)))
		}
	}
	r.trace.Mask(r.p.Job.Token)
}

// frame is what the scripts of the job have in common, as the variables are now.
func (r *run) frame() shell.Frame {
	return r.hostFrame(shell.Frame{
		Variables: r.vars.expanded(), ProjectDir: r.paths.project, TempDir: r.paths.temp, Owner: r.ready.Owner,
		Trace:          r.debug(),
		LastWord:       r.lastWord(),
		Init:           r.firstProcess().Path != "",
		CheckExit:      r.flags["FF_ENABLE_BASH_EXIT_CODE_CHECK"],
		ScriptSections: r.flags["FF_SCRIPT_SECTIONS"] && r.p.Job.Features.TraceSections,
		Pwsh:           inPowerShell(r.p.Runner),
	})
}

// lastWord is what the scripts of the helper container say last, "" on hosts. Nobody but the job's owner can know it, and an agent that takes the
// job up knows it too.
func (r *run) lastWord() string {
	if r.onHost() {
		return ""
	}
	return r.word("last word of ")
}

// firstProcess says where millwright-init is for the build container, unless the job does without.
func (r *run) firstProcess() docker.Init {
	if r.onHost() || !r.vars.flag("MILLWRIGHT_INIT", true) {
		return docker.Init{}
	}
	return docker.Init{Path: shell.InitFile(r.paths.temp), Word: r.word("word of the first process of ")}
}

// word is a line that nobody but the job's owner can know.
func (r *run) word(of string) string {
	sum := sha256.Sum256([]byte(of + r.p.Job.Token.Reveal()))
	return string(rune(packed.Mark)) + hex.EncodeToString(sum[:12])
}

// via names the machine, or the host of the agent; "" where that says nothing.
func (r *run) via() string {
	if r.engine.Machine != "" {
		return r.engine.Machine
	}
	if r.onHost() && r.p.Runner.Executor != "ssh" && r.p.Runner.Executor != instanceExecutor { // the script is on the agent's host, or says itself where it is
		return ""
	}
	if r.p.Host != "" {
		return r.p.Host
	}
	name, err := os.Hostname()
	if err != nil {
		return "this host"
	}
	return name
}

func (r *run) expandAll(list []string) []string {
	out := make([]string, len(list))
	for i, text := range list {
		out[i] = r.vars.expand(text)
	}
	return out
}
