package config

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
)

// pluginForm is how a plug-in is named: an executable on the PATH or a driver, or an artifact of a registry with a constraint of its version.
var pluginForm = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]+)?/)?([A-Za-z0-9][A-Za-z0-9._-]*/)*[A-Za-z0-9][A-Za-z0-9._-]*(:[^\s/:]+( [^\s/:]+)*)?$`)

// autoscaler checks [runners.autoscaler] of a runner.
func (c check) autoscaler(config *Config, r *Runner, section string) {
	a := r.Autoscaler
	if !slices.Contains(Autoscaled(), r.Executor) {
		c.warn(section, "", "has no effect with executor %q; it is for %s", r.Executor, strings.Join(Autoscaled(), " and "))
	}
	if a.Plugin != "" && !pluginForm.MatchString(a.Plugin) {
		c.broken(section, "plugin", "%q is no plug-in; write name, name:constraint, repository/name or registry/repository/name:constraint", a.Plugin)
	}
	switch {
	case a.CapacityPerInstance == 0:
		c.warn(section, "capacity_per_instance", "is missing and counts as 1: each instance runs one job at a time")
	case a.CapacityPerInstance < 0:
		c.broken(section, "capacity_per_instance", "%d is negative; use 1 or more jobs at once", a.CapacityPerInstance)
	}
	c.counts(section, []counted{
		{"max_use_count", a.MaxUseCount, "use 0 (no limit) or more jobs"},
		{"max_instances", a.MaxInstances, "use 0 (the group's own maximum) or more"},
		{"failure_threshold", a.FailureThreshold, "use 0 (3 failures) or more"},
		{"shutdown_deletion_retries", a.ShutdownDeletionRetries, "use 0 (3 tries) or more"},
	})
	for _, f := range []timed{
		{"instance_acquire_timeout", a.InstanceAcquireTimeout}, {"update_interval", a.UpdateInterval},
		{"update_interval_when_expecting", a.UpdateIntervalExpecting}, {"deletion_retry_interval", a.DeletionRetryInterval},
		{"shutdown_deletion_interval", a.ShutdownDeletionInterval},
	} {
		c.whole(section, f)
	}
	c.pluginConfig(section+".plugin_config", a)
	c.throttle(section+".scale_throttle", a.ScaleThrottle)
	c.connector(section+".connector_config", a.ConnectorConfig)
	c.isolation(r, section)
	for i := range a.Policy {
		c.scalePolicy(fmt.Sprintf("%s.policy[%d]", section, i), &a.Policy[i], a)
	}
	if len(a.Policy) == 0 {
		c.warn(section, "policy", "is missing: no slot is held free, instances are made when jobs come and go after 5 minutes; write [[runners.autoscaler.policy]]")
	}
	capacity := max(a.CapacityPerInstance, 1)
	if a.MaxInstances > 0 && config.Concurrent >= 1 && config.Concurrent < a.MaxInstances*capacity {
		c.warn("", "concurrent", "%d is lower than max_instances × capacity_per_instance of %s, which is %d × %d = %d: not all instances can be used; set it to %[5]d or more",
			config.Concurrent, section, a.MaxInstances, capacity, a.MaxInstances*capacity)
	}
}

// pluginConfig has what serves the plug-in look at its configuration.
func (c check) pluginConfig(section string, a *Autoscaler) {
	if c.Plugin == nil || a.Plugin == "" {
		return
	}
	for _, p := range c.Plugin(a) {
		if p.Warning {
			c.warn(section, p.Option, "%s", p.Message)
		} else {
			c.broken(section, p.Option, "%s", p.Message)
		}
	}
}

// counted is a number that counts something, and what to write instead of one below 0.
type counted struct {
	key   string
	value int
	off   string
}

func (c check) counts(section string, fields []counted) {
	for _, f := range fields {
		if f.value < 0 {
			c.broken(section, f.key, "%d is negative; %s", f.value, f.off)
		}
	}
}

// timed is a time in seconds or more.
type timed struct {
	key   string
	value Duration
}

// whole wants a time of no less than a second, 0 apart. One without a unit has been told of when it was read.
func (c check) whole(section string, f timed) {
	switch t := time.Duration(f.value); {
	case t < 0:
		c.broken(section, f.key, "%s is negative; use 0 (the default) or more", t)
	case t >= time.Millisecond && t < time.Second:
		c.warn(section, f.key, `%s is under a second; write %s = "1s" or more`, t, f.key)
	}
}

func (c check) throttle(section string, t ScaleThrottle) {
	if t.Limit < -1 {
		c.broken(section, "limit", "%d is not allowed; use -1 (no limit), 0 (100) or more instances a second", t.Limit)
	}
	c.counts(section, []counted{{"burst", t.Burst, "use 0 (max_instances) or more"}})
	if t.Limit == -1 && c.lines[section+".burst"] > 0 {
		c.warn(section, "burst", "has no effect while limit is -1")
	}
}

func (c check) connector(section string, o Connector) {
	if protocols := []string{"ssh", "winrm", "winrm+https"}; o.Protocol != "" && !slices.Contains(protocols, o.Protocol) {
		c.broken(section, "protocol", "%q is not known; allowed are %s", o.Protocol, strings.Join(protocols, ", "))
	}
	if o.Protocol == "winrm" {
		c.warn(section, "protocol", `"winrm" sends the password, and the jobs' secrets, as they are: write protocol = "winrm+https"`)
	}
	if o.ProtocolPort < 0 || o.ProtocolPort > 65535 {
		c.broken(section, "protocol_port", "%d is no port; use 0 (the protocol's own) or 1 to 65535", o.ProtocolPort)
	}
	if o.UseStaticCredentials && o.Username == "" {
		c.broken(section, "use_static_credentials", "needs username, whom the credentials are of")
	}
	c.whole(section, timed{"keepalive", o.Keepalive})
	c.whole(section, timed{"timeout", o.Timeout})
}

// isolation checks what concerns virtual machines on instances.
func (c check) isolation(r *Runner, section string) {
	v := r.Autoscaler.VMIsolation
	c.connector(section+".vm_isolation.connector_config", v.ConnectorConfig)
	if h := v.NestingHost; h != "" && !strings.HasPrefix(h, "unix:/") && !strings.HasPrefix(h, "tcp://") {
		c.broken(section+".vm_isolation", "nesting_host", "%q is no address on the instances; write unix:///PATH, such as unix:///var/run/nesting.sock, or tcp://HOST:PORT", h)
	}
	if v.Enabled && (v.ConnectorConfig.Username == "" || v.ConnectorConfig.Password == "") {
		c.warn(section+".vm_isolation.connector_config", "username", "and password are how virtual machines are logged in to: without both, no job gets into one")
	}
	if v.ConnectorConfig.KeyPath != "" {
		c.warn(section+".vm_isolation.connector_config", "key_path", "has no effect: virtual machines are reached by username and password")
	}
	if i := r.Instance; i != nil && len(i.AllowedImages) > 0 && !v.Enabled {
		c.warn(strings.TrimSuffix(section, "autoscaler")+"instance", "allowed_images", "has no effect while vm_isolation is not enabled: jobs choose no image")
	}
}

// scalePolicy checks one [[runners.autoscaler.policy]].
func (c check) scalePolicy(section string, p *ScalePolicy, a *Autoscaler) {
	c.counts(section, []counted{
		{"idle_count", p.IdleCount, "use 0 (instances when jobs come) or more slots"},
		{"scale_factor_limit", p.ScaleFactorLimit, "use 0 (no limit) or more slots"},
	})
	if p.ScaleFactor < 0 {
		c.broken(section, "scale_factor", "%v is negative; use 0 (off) or more", p.ScaleFactor)
	}
	if p.ScaleFactorLimit > 0 && p.ScaleFactor == 0 {
		c.warn(section, "scale_factor_limit", "has no effect while scale_factor is 0")
	}
	c.whole(section, timed{"idle_time", p.IdleTime})
	c.timezone(section, "timezone", p.Timezone)
	c.crons(section, p.Periods)
	if p.PreemptiveMode != nil && *p.PreemptiveMode && p.IdleCount == 0 {
		c.warn(section, "preemptive_mode", "asks for jobs only while a slot is free, and with idle_count 0 none is held free: no job may ever come; "+
			"set idle_count to 1 or more, or leave preemptive_mode out")
	}
	if most := a.MaxInstances * max(a.CapacityPerInstance, 1); a.MaxInstances > 0 && p.IdleCount > most {
		c.warn(section, "idle_count", "%d is more than max_instances × capacity_per_instance, which is %d slots, so it is never reached", p.IdleCount, most)
	}
}

// crons wants expressions of unix cron's five fields: minute, hour, day of month, month, day of week.
func (c check) crons(section string, expressions []string) {
	for i, e := range expressions {
		item := fmt.Sprintf("periods[%d]", i)
		if c.Cron == nil {
			if n := len(strings.Fields(e)); n != 5 && !strings.HasPrefix(strings.TrimSpace(e), "@") {
				c.bad(section, item, "%q has %d fields; write five: minute hour day-of-month month day-of-week", e, n)
			}
			continue
		}
		warnings, err := c.Cron(e)
		if err != nil {
			c.bad(section, item, "%v", err)
		}
		for _, w := range warnings {
			c.warn(section, item, "%q %s", e, w)
		}
	}
}

// sharedGroups warns of entries that would scale one group against each other. What a driver makes one by one is no group.
func (c check) sharedGroups(runners []Runner) {
	for i := range runners {
		for first := range i {
			if sharesGroup(&runners[first], &runners[i]) {
				c.warn(fmt.Sprintf("runners[%d].autoscaler", i), "plugin_config", "is the same as that of runners[%d]: both would scale one group, and each "+
					"would remove the other's instances; give each entry a group of its own", first)
				break
			}
		}
	}
}

func sharesGroup(a, b *Runner) bool {
	for _, r := range []*Runner{a, b} {
		if r.Autoscaler == nil || !slices.Contains(Autoscaled(), r.Executor) || r.Autoscaler.Plugin == "" {
			return false
		}
	}
	x, y := a.Autoscaler, b.Autoscaler
	single := len(x.PluginConfig) > 0 && x.Driven(x.Plugin)
	return !single && x.Plugin == y.Plugin && reflect.DeepEqual(x.PluginConfig, y.PluginConfig)
}
