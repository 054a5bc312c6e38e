package job

import (
	"encoding/json"
	"fmt"
	"reflect"
	"runtime"
	"slices"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/executor"
	"github.com/millwright-ci/millwright/agent/executor/custom"
	"github.com/millwright-ci/millwright/agent/executor/docker"
	"github.com/millwright-ci/millwright/agent/executor/instance"
	"github.com/millwright-ci/millwright/agent/executor/nesting"
	"github.com/millwright-ci/millwright/agent/executor/remote"
	hostshell "github.com/millwright-ci/millwright/agent/executor/shell"
	"github.com/millwright-ci/millwright/agent/executor/ssh"
	"github.com/millwright-ci/millwright/agent/job/shell"
	"github.com/millwright-ci/millwright/agent/trace"
)

// OnHost is what jobs need that run on a host instead of in containers.
type OnHost struct {
	User string // whose rights scripts get with the executor shell, where the agent is root; "" the agent's own
	// Helper returns the path of the helper binary for an operating system and an architecture in Go's words; "" when there is none.
	Helper     func(system, arch string) string
	HelperHint string // where it is looked for
}

// own is the helper of the agent's own host.
func (o OnHost) own() string {
	if o.Helper == nil {
		return ""
	}
	return o.Helper(runtime.GOOS, runtime.GOARCH)
}

// hostExecutors are the executors that run stages on a host: how its directories are called only the preparation tells.
var hostExecutors = []string{"shell", "ssh", "custom", instanceExecutor}

// instanceExecutor runs stages on machines themselves.
const instanceExecutor = "instance"

// Lasting tells whether jobs of an executor go on when the agent dies, so that a new one can take them up.
func Lasting(name string) bool { return name != "shell" && name != "custom" }

// onHost tells whether the job's stages run on a host.
func (r *run) onHost() bool { return slices.Contains(hostExecutors, r.p.Runner.Executor) }

// hostExecutor is newExecutor for executors without containers.
func (r *run) hostExecutor(handle []byte) (executor.Executor, error) {
	runner := r.p.Runner
	switch runner.Executor {
	case "custom":
		return r.customExecutor(handle)
	case "ssh":
		return ssh.New(runner.SSH, r.remoteSettings(handle))
	case instanceExecutor:
		o := r.remoteSettings(handle)
		o.Shared = !commonBuilds(runner)
		if runner.Autoscaler != nil && runner.Autoscaler.VMIsolation.Enabled {
			return r.nestedExecutor(o)
		}
		return instance.New(r.engine.Target, o)
	}
	o := hostshell.Options{
		Shell: runner.Shell, BuildsDir: runner.BuildsDir, CacheDir: runner.CacheDir, User: r.p.OnHost.User,
		Helper: r.p.OnHost.own(), HelperHint: r.p.OnHost.HelperHint,
		Expand: r.vars.expand, Console: r.trace, Log: r.log, JobID: r.p.Job.ID, Handle: handle,
	}
	return hostshell.New(o)
}

// remoteSettings are what executors have in common that reach a host over SSH.
func (r *run) remoteSettings(handle []byte) remote.Settings {
	runner := r.p.Runner
	name, pwsh := runner.Shell, ""
	if inPowerShell(runner) {
		name, pwsh = "", name
	}
	return remote.Settings{
		Shell: name, Pwsh: pwsh, BuildsDir: r.vars.expand(runner.BuildsDir), CacheDir: r.vars.expand(runner.CacheDir),
		Helper: r.p.OnHost.Helper, HelperHint: r.p.OnHost.HelperHint, Console: r.trace, Log: r.log, JobID: r.p.Job.ID, Handle: handle,
	}
}

// nestedExecutor runs the job in a virtual machine on its instance.
func (r *run) nestedExecutor(o remote.Settings) (executor.Executor, error) {
	image, err := r.virtualImage()
	if err != nil {
		return nil, err
	}
	v := &r.p.Runner.Autoscaler.VMIsolation
	return instance.NewNested(r.engine.Target, instance.Isolation{
		Image: image, Slot: r.engine.Seat, Login: v.ConnectorConfig, Nest: nesting.Options{Host: v.NestingHost, Config: v.NestingConfig},
	}, o)
}

// virtualImage is the image of the job's virtual machine: its own where allowed_images has it, or that of vm_isolation. Their variables are
// expanded first.
func (r *run) virtualImage() (string, error) {
	configured := r.vars.expand(r.p.Runner.Autoscaler.VMIsolation.Image)
	image := ""
	if r.p.Job.Image != nil {
		image = r.vars.expand(r.p.Job.Image.Name)
	}
	if image == "" {
		image = configured
	}
	if image == "" {
		return "", executor.Errorf(executor.Configuration, "no image of a virtual machine: neither the job nor [runners.autoscaler.vm_isolation] names one; set image")
	}
	var allowed []string
	if i := r.p.Runner.Instance; i != nil {
		allowed = i.AllowedImages
	}
	if image == configured || len(allowed) == 0 || docker.MatchesAny(allowed, image) {
		return image, nil
	}
	r.trace.Errorln(fmt.Sprintf("The image %q is not present on list of allowed images:", image))
	for _, glob := range allowed {
		r.trace.Println("- " + glob)
	}
	r.trace.Println("Please check runner's configuration: allowed_images in [runners.instance]")
	return "", executor.Errorf(executor.Configuration, "disallowed image")
}

// inPowerShell tells whether the user's scripts are in PowerShell's dialect.
func inPowerShell(r *config.Runner) bool {
	return r.Shell == config.Pwsh || r.Shell == config.PowerShell
}

// commonBuilds tells whether the jobs of an instance have one project directory without a part of their own: each has the instance, or a
// virtual machine on it, for itself alone.
func commonBuilds(r *config.Runner) bool {
	alone := r.Autoscaler != nil && (r.Autoscaler.MaxUseCount == 1 || r.Autoscaler.VMIsolation.Enabled)
	return alone && r.Instance != nil && r.Instance.UseCommonBuildDir
}

func (r *run) customExecutor(handle []byte) (executor.Executor, error) {
	response, err := json.Marshal(revealed(reflect.ValueOf(*r.p.Job)))
	if err != nil {
		return nil, fmt.Errorf("the job for its driver: %w", err)
	}
	services, err := json.Marshal(driverServices(r.p.Job.Services))
	if err != nil {
		return nil, fmt.Errorf("the job's services for its driver: %w", err)
	}
	runner := r.p.Runner
	section := runner.Custom
	if section == nil {
		section = &config.Custom{}
	}
	return custom.New(custom.Options{
		Config: section, Shell: runner.Shell, BuildsDir: r.vars.expand(runner.BuildsDir), CacheDir: r.vars.expand(runner.CacheDir),
		Env: func() []string { return r.vars.environment(nil) },
		Configured: func(ready executor.Ready) error {
			r.ready = ready
			return r.arrange()
		},
		Services: services, Response: response, Console: r.trace,
		Stdout: r.trace.Stdout(trace.StreamRunner), Stderr: r.trace.Stderr(trace.StreamRunner),
		Log: r.log, JobID: r.p.Job.ID, Handle: handle,
	})
}

// driverService is a service as a driver reads it in CUSTOM_ENV_CI_JOB_SERVICES.
type driverService struct {
	Name       string   `json:"name"`
	Alias      string   `json:"alias"`
	Entrypoint []string `json:"entrypoint"`
	Command    []string `json:"command"`
}

func driverServices(list []coordinator.Image) []driverService {
	out := []driverService{}
	for _, s := range list {
		out = append(out, driverService{Name: s.Name, Alias: s.Alias, Entrypoint: s.Entrypoint, Command: s.Command})
	}
	return out
}

// settle takes over what the preparation found out of the host: directories, and with them the variables.
func (r *run) settle() (err error) {
	if r.onHost() {
		err = r.arrange()
		r.maskValues()
	}
	for _, v := range r.ready.Variables {
		if !r.vars.has(v.Name) || r.vars.raw(v.Name) != v.Value { // an executor may have told before
			r.vars.add(public(v.Name, v.Value))
		}
	}
	return err
}

// hostFrame adds to the frame of the scripts what is different on a host.
func (r *run) hostFrame(f shell.Frame) shell.Frame {
	f.Host, f.HelperDir = r.onHost(), r.ready.HelperDir
	return f
}

// warnOfServices names what a job asks for that a host does not give.
func (r *run) warnOfServices() {
	if !r.onHost() || r.p.Runner.Executor == "custom" || len(r.p.Job.Services) == 0 {
		return
	}
	r.trace.Warningln("The executor " + r.p.Runner.Executor + " runs no services; those of the job are left out")
}
