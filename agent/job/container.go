package job

import (
	"os"
	"slices"
	"strings"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/executor"
	"github.com/millwright-ci/millwright/agent/executor/docker"
	"github.com/millwright-ci/millwright/agent/job/shell"
	"github.com/millwright-ci/millwright/agent/trace"
)

// newExecutor makes the executor for the engine at hand; handle is of that of an agent before, or nil.
func (r *run) newExecutor(handle []byte) (executor.Executor, error) {
	if r.onHost() {
		return r.hostExecutor(handle)
	}
	job := r.p.Job
	o := docker.Options{
		Host: r.engine.Endpoint.Host, CertPath: r.engine.Endpoint.CertPath, Dial: r.engine.Dial, Config: &r.p.Runner.Docker,
		Pwsh:    r.p.Runner.Shell == config.Pwsh,
		Console: r.trace, Log: r.log,
		Expand:     r.vars.expand,
		Env:        r.vars.environment(nil),
		ServiceEnv: r.vars.environment(func(v coordinator.Variable) bool { return v.Public }),
		Name:       r.names(),
		BuildsDir:  r.paths.builds, ProjectDir: r.paths.project,
		KeepBuilds:    r.strategy == shell.StrategyFetch,
		Protected:     r.protectedCache(),
		HelperArchive: r.p.HelperArchive,
		Auth:          r.auth(),
		Handle:        handle,
		EngineFacts:   r.p.EngineFacts,
		Init:          r.firstProcess(),
		First:         r.firstStages,
		Flags: docker.Flags{
			NetworkPerBuild: r.flags["FF_NETWORK_PER_BUILD"],
			Init:            r.flags["FF_USE_INIT_WITH_DOCKER_EXECUTOR"],
			NativeStop:      r.flags["FF_USE_NATIVE_CONTAINER_STOP"],
			Owner:           r.flags[umaskFlag],
		},
	}
	if r.debugServices() {
		o.ServiceOutput = r.trace.Stdout(trace.StreamService)
	}
	if job.Image != nil {
		opts, err := readOpts(job.Image.ExecutorOpts)
		if err != nil {
			return nil, err
		}
		o.Image = docker.Image{Name: job.Image.Name, Entrypoint: job.Image.Entrypoint, PullPolicy: job.Image.PullPolicy, Platform: opts.Docker.Platform}
		o.UserOverAny = string(opts.Docker.User)
	}
	services, err := r.services()
	if err != nil {
		return nil, err
	}
	o.Services = services
	if r.flags["FF_LOG_IMAGES_CONFIGURED_FOR_JOB"] {
		r.logImages(o)
	}
	return docker.New(o)
}

// firstStages tells an executor that is being prepared what it can do ahead.
func (r *run) firstStages(ready executor.Ready) docker.First {
	r.ready = ready
	if err := r.settle(); err != nil || r.behind() {
		return docker.First{}
	}
	var f docker.First
	if script, err := r.sourcesScript(); err == nil {
		f.Helper, f.HelperPlain = script, !r.hooked()
	}
	if first := slices.IndexFunc(r.p.Job.Steps, isStep); first >= 0 {
		f.Build = r.stepScript(r.p.Job.Steps[first])
	}
	f.HelperEnds = !r.helperReturns()
	return f
}

// helperReturns tells whether a stage may run in the helper container when the scripts are over.
func (r *run) helperReturns() bool {
	saved := func(c coordinator.Cache) bool {
		policy, err := r.cachePolicy(c)
		return err != nil || policy != "pull"
	}
	return len(r.p.Job.Artifacts) > 0 || slices.ContainsFunc(r.p.Job.Cache, saved) || r.flags["FF_ENABLE_JOB_CLEANUP"]
}

// logImages names a job's images in the agent's log, for operators who keep account of what is used.
func (r *run) logImages(o docker.Options) {
	image := r.vars.expand(orElse(o.Image.Name, r.p.Runner.Docker.Image))
	var services []string
	for _, s := range o.Services {
		services = append(services, r.vars.expand(s.Name))
	}
	r.log.Info("images configured for the job", "image", image, "services", services, "project", r.p.Job.Info.ProjectID)
}

func (r *run) names() docker.Name {
	job := r.p.Job
	return docker.Name{
		ShortToken: config.ShortToken(r.p.Runner.Token), Token: r.p.Runner.Token, SystemID: r.p.SystemID, Agent: r.p.Owner,
		ProjectID: job.Info.ProjectID, Slot: r.p.Slot, ProjectSlot: r.p.ProjectSlot,
		JobID: job.ID, PipelineID: job.Info.PipelineID, JobURL: r.vars.get("CI_JOB_URL"),
		SHA: job.Git.SHA, BeforeSHA: job.Git.BeforeSHA, Ref: job.Git.Ref, Timeout: r.timeout,
		RunnerVersion: coordinator.CompatVersion, RunnerCommit: r.p.Version.Revision,
	}
}

// services are those of config.toml, then the job's.
func (r *run) services() ([]docker.Service, error) {
	var out []docker.Service
	for _, s := range r.p.Runner.Docker.Services {
		own := r.expandAll(s.Environment)
		out = append(out, docker.Service{
			Image: docker.Image{Name: s.Name, Entrypoint: s.Entrypoint},
			Alias: s.Alias, Command: s.Command, Env: own, HealthPort: healthPort(own), Configured: true,
		})
	}
	for _, s := range r.p.Job.Services {
		opts, err := readOpts(s.ExecutorOpts)
		if err != nil {
			return nil, err
		}
		own := make([]string, 0, len(s.Variables))
		for _, v := range s.Variables {
			own = append(own, v.Key+"="+r.vars.value(v))
		}
		out = append(out, docker.Service{
			Image: docker.Image{Name: s.Name, Entrypoint: s.Entrypoint, PullPolicy: s.PullPolicy, Platform: opts.Docker.Platform},
			User:  string(opts.Docker.User),
			Alias: s.Alias, Command: s.Command, Env: own, HealthPort: healthPort(own),
		})
	}
	return out, nil
}

func healthPort(env []string) string {
	const key = "HEALTHCHECK_TCP_PORT="
	i := slices.IndexFunc(env, func(e string) bool { return strings.HasPrefix(e, key) })
	if i < 0 {
		return ""
	}
	return env[i][len(key):]
}

// auth gathers the sources of registry credentials in their order.
func (r *run) auth() docker.Auth {
	a := docker.Auth{Variable: config.Secret(r.vars.content("DOCKER_AUTH_CONFIG"))}
	if home, err := os.UserHomeDir(); err == nil {
		a.Home = home
	}
	for _, c := range r.p.Job.Credentials {
		if c.Type == "registry" {
			a.Payload = append(a.Payload, docker.Credential{Path: c.URL, Username: c.Username, Password: c.Password})
		}
	}
	return a
}
