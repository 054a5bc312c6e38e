package config

import (
	"cmp"
	"fmt"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"time"
)

// check looks for what is wrong with values whose types are right.
type check struct {
	Options
	*decoder
}

func sortByLine(diagnostics []Diagnostic) {
	slices.SortStableFunc(diagnostics, func(a, b Diagnostic) int { return cmp.Compare(a.Line, b.Line) })
}

func (c check) all(config *Config) {
	if config.Concurrent < 1 {
		c.bad("", "concurrent", "%d; use 1 or more", config.Concurrent)
	}
	c.negative("", "check_interval", config.CheckInterval, "3 seconds")
	c.negative("", "shutdown_timeout", config.ShutdownTimeout, "30 seconds")
	c.oneOf("", "log_level", config.LogLevel, "panic", "fatal", "error", "warn", "warning", "info", "debug", "trace")
	c.oneOf("", "log_format", config.LogFormat, "runner", "text", "json")
	c.labels("labels", config.Labels)
	drain := config.Machine.ShutdownDrain
	if drain.Enabled && config.ShutdownTimeout < 300 {
		c.warn("machine.shutdown_drain", "enabled", "draining ends with shutdown_timeout, which is under 5 minutes; set shutdown_timeout to 300 or more")
	}
	if config.SessionServer.ListenAddress != "" {
		c.warn("session_server", "listen_address", "the web terminal and the proxy to services are not provided by this agent; the section is kept and has no effect")
	}
	for i := range config.Runners {
		c.runner(config, &config.Runners[i], fmt.Sprintf("runners[%d]", i))
	}
	if n := len(config.Runners); config.Concurrent >= 1 && config.Concurrent < n {
		c.warn("", "concurrent", "%d is lower than the number of runners, which is %d: a request that GitLab holds open (long polling) takes a slot, "+
			"and the other runners wait for theirs; set it to %d or more", config.Concurrent, n, n)
	}
	c.overlaps(config.Runners)
	c.sharedGroups(config.Runners)
}

// negative warns of a number that counts as its default, as in GitLab Runner: somebody may have meant something by it.
func (c check) negative(section, key string, value int, means string) {
	if value < 0 {
		c.warn(section, key, "%d is negative and counts as %s; use 1 or more, or leave it out", value, means)
	}
}

// oneOf wants one of the words; an empty value is the default.
func (c check) oneOf(section, key, value string, words ...string) {
	if value != "" && !slices.Contains(words, value) {
		message := fmt.Sprintf("%q is not known", value)
		if near := nearest(value, words); near != "" {
			message += fmt.Sprintf("; did you mean %q?", near)
		}
		c.bad(section, key, "%s; allowed are %s", message, strings.Join(words, ", "))
	}
}

var (
	labelKey   = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{2,64}$`)
	labelValue = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,256}$`)
)

const maxLabels = 32

func (c check) labels(section string, labels map[string]string) {
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		if !labelKey.MatchString(k) {
			c.bad(section, k, "a label's name has 3 to 65 letters, digits, dots, hyphens and underscores, and begins with none of . and -")
		} else if !labelValue.MatchString(labels[k]) {
			c.bad(section, k, "%q; a label's value has 1 to 256 letters, digits, dots, hyphens and underscores", labels[k])
		}
	}
}

func (c check) runner(config *Config, r *Runner, section string) {
	c.executor(r, section)
	if strings.TrimSpace(r.Token.Reveal()) == "" {
		c.warn(section, "token", "is empty; this entry asks for no jobs; write the token that GitLab shows when a runner is made, token = \"glrt-...\", or let `register` add the entry")
	}
	if strings.TrimSpace(r.URL) == "" {
		c.broken(section, "url", "is empty; write the address of GitLab, such as https://gitlab.example.com")
	} else if strings.HasSuffix(strings.TrimRight(r.URL, "/"), "/ci") {
		c.warn(section, "url", "ends in /ci, which is stripped; write the address without it")
	}
	c.negative(section, "limit", r.Limit, "no limit")
	c.negative(section, "request_concurrency", r.RequestConcurrency, "1")
	c.negative(section, "output_limit", r.OutputLimit, "4096 kilobytes")
	c.negative(section, "unhealthy_requests_limit", r.UnhealthyRequestsLimit, "3")
	c.negative(section, "job_status_final_update_retry_limit", r.FinalUpdateRetryLimit, "10")
	c.labels(section+".labels", r.Labels)
	merged := maps.Clone(config.Labels)
	if merged == nil {
		merged = map[string]string{}
	}
	maps.Copy(merged, r.Labels)
	if len(merged) > maxLabels {
		c.bad(section, "labels", "%d labels, the global ones included; %d at most are allowed", len(merged), maxLabels)
	}
	for i, e := range r.Environment {
		if !strings.Contains(e, "=") {
			c.warn(section, "environment", "entry %d has no = in it and is ignored; write NAME=value", i)
		}
	}
	c.docker(&r.Docker, section+".docker")
	if r.Referees != nil && r.Referees.Metrics.PrometheusAddress != "" {
		c.warn(section, "referees", "referees are not provided by this agent; the section is kept and has no effect")
	}
	c.cache(&r.Cache, section+".cache")
	if r.Machine != nil {
		c.machine(r, section+".machine")
	}
	if r.Monitoring != nil {
		c.monitoring(r.Monitoring, section+".monitoring")
	}
	if r.Autoscaler != nil {
		if key, why := r.Autoscaler.Unprovided(r.Executor); key != "" && slices.Contains(Autoscaled(), r.Executor) {
			c.warn(section+".autoscaler", key, "%s; this entry is skipped, the others run", why)
		}
		c.autoscaler(config, r, section+".autoscaler")
	}
}

func (c check) executor(r *Runner, section string) {
	provided := c.Executors
	if provided == nil {
		provided = Provided()
	}
	switch {
	case r.Executor == "":
		c.broken(section, "executor", "is missing; allowed are %s", strings.Join(provided, ", "))
	case goneExecutors[r.Executor] != "":
		c.broken(section, "executor", "%q does not exist; use %q", r.Executor, goneExecutors[r.Executor])
	case !slices.Contains(executors, r.Executor):
		message := fmt.Sprintf("%q is not known", r.Executor)
		if near := nearest(r.Executor, executors); near != "" {
			message += fmt.Sprintf("; did you mean %q?", near)
		}
		c.broken(section, "executor", "%s; allowed are %s", message, strings.Join(provided, ", "))
	case !slices.Contains(provided, r.Executor):
		c.warn(section, "executor", "%q is not provided by this agent; this entry is skipped, the others run", r.Executor)
	}
	switch {
	case slices.Contains([]string{Pwsh, PowerShell}, r.Shell) && slices.Contains(Shells(r.Executor), r.Shell):
		c.warn(section, "shell", "%q is an experiment: the scripts are checked by a grammar of PowerShell, and have not been run", r.Shell)
	case r.Shell == "" || slices.Contains(Shells(r.Executor), r.Shell):
	case slices.Contains([]string{Pwsh, PowerShell, "cmd"}, r.Shell):
		c.warn(section, "shell", "%q is not supported with this executor, which has %s; this entry is skipped, the others run", r.Shell, strings.Join(Shells(r.Executor), ", "))
	default:
		c.broken(section, "shell", "%q is not known; allowed are %s", r.Shell, strings.Join(Shells(r.Executor), ", "))
	}
	if r.Executor == "custom" && (r.Custom == nil || r.Custom.RunExec == "") {
		c.broken(section+".custom", "run_exec", "executor custom needs run_exec, the program that runs a stage's script")
	}
	if r.Executor == "ssh" && (r.SSH == nil || r.SSH.Host == "") {
		c.broken(section+".ssh", "host", "executor ssh needs host, the one that jobs run on")
	}
	if slices.Contains(Autoscaled(), r.Executor) && (r.Autoscaler == nil || r.Autoscaler.Plugin == "") {
		c.broken(section+".autoscaler", "plugin", "executor %s needs plugin, what makes its instances: a driver such as google or docker, or a fleeting plug-in", r.Executor)
	}
	if r.Executor == "docker+machine" && r.Machine == nil {
		c.broken(section, "machine", "executor docker+machine needs a section [runners.machine] with MachineDriver and MachineName")
	}
}

// size is what memory limits may be: a number with an optional unit.
var size = regexp.MustCompile(`(?i)^\d+(\.\d+)? ?([kmgtp]?i?b?)$`)

func (c check) docker(d *Docker, section string) {
	for _, f := range []struct{ key, value string }{
		{"memory", d.Memory}, {"memory_swap", d.MemorySwap}, {"memory_reservation", d.MemoryReservation},
		{"service_memory", d.ServiceMemory}, {"service_memory_swap", d.ServiceMemorySwap}, {"service_memory_reservation", d.ServiceMemoryReservation},
	} {
		if f.value != "" && f.value != "-1" && !size.MatchString(f.value) {
			c.broken(section, f.key, "%q is no size; write a number with a unit: %s = \"512m\"", f.value, f.key)
		}
	}
	for _, f := range []struct{ key, value string }{{"cpus", d.CPUS}, {"service_cpus", d.ServiceCPUS}} {
		if n, ok := new(big.Rat).SetString(f.value); f.value != "" && (!ok || n.Sign() < 0) {
			c.broken(section, f.key, "%q is no number of CPUs; write, say, %s = \"1.5\"", f.value, f.key)
		}
	}
	for _, f := range []struct {
		key    string
		values []string
	}{{"pull_policy", d.PullPolicy}, {"allowed_pull_policies", d.AllowedPullPolicies}} {
		for _, v := range f.values {
			if v != "always" && v != "if-not-present" && v != "never" {
				c.broken(section, f.key, "%q is not known; allowed are always, if-not-present, never", v)
			}
		}
	}
	for _, f := range []struct {
		key    string
		values []string
	}{{"allowed_images", d.AllowedImages}, {"allowed_services", d.AllowedServices}} {
		for _, v := range f.values {
			if strings.HasPrefix(v, "!") {
				c.warn(section, f.key, "%q excludes nothing: one match allows an image, whatever the other patterns say", v)
			}
		}
	}
	if d.HelperImageFlavor != "" && d.HelperImage == "" {
		c.warn(section, "helper_image_flavor", "has no effect: this agent brings one helper image of its own; set helper_image to use another")
	}
	for _, k := range slices.Sorted(maps.Keys(d.LogOptions)) {
		if k != "env" && k != "labels" {
			c.broken(section+".log_options", k, "is not allowed; allowed are env and labels")
		}
	}
}

func (c check) monitoring(m *Monitoring, section string) {
	for i, j := range m.JobQueuingDurations {
		at := fmt.Sprintf("%s.job_queuing_durations[%d]", section, i)
		c.periods(at, "periods", j.Periods)
		c.timezone(at, "timezone", j.Timezone)
		if _, err := regexp.Compile(j.JobsRunningForProject); err != nil {
			c.bad(at, "jobs_running_for_project", "%v", err)
		}
	}
}

// timezone wants an IANA name, UTC or Local; empty means Local.
func (c check) timezone(section, key, name string) {
	if _, err := time.LoadLocation(name); name != "" && name != "Local" && err != nil {
		c.bad(section, key, "%q is not a known time zone; use a name such as Europe/Berlin, UTC or Local", name)
	}
}

// periods wants expressions of seven fields: second, minute, hour, day of month, month, day of week, year.
func (c check) periods(section, key string, expressions []string) {
	for i, e := range expressions {
		item := fmt.Sprintf("%s[%d]", key, i)
		if c.Period != nil {
			warnings, err := c.Period(e)
			if err != nil {
				c.bad(section, item, "%v", err)
			}
			for _, w := range warnings {
				c.warn(section, item, "%q %s", e, w)
			}
			continue
		}
		fields := strings.Fields(e)
		switch {
		case strings.HasPrefix(strings.TrimSpace(e), "@"):
			c.warn(section, item, "%q names single seconds, not spans of time; write seven fields", e)
		case len(fields) < 5:
			c.bad(section, item, "%q has %d fields; write seven: second minute hour day-of-month month day-of-week year", e, len(fields))
		case len(fields) != 7:
			c.warn(section, item, "%q has %d fields; write seven: second minute hour day-of-month month day-of-week year", e, len(fields))
		case fields[0] != "*" && fields[0] != "?":
			c.warn(section, item, "%q is active in some seconds of a minute only; write * for the seconds", e)
		}
	}
}
