package config

import (
	"fmt"
	"strings"
)

// maxHostname is how long a machine's name may be; nameOverhead is what becomes of its %s: Unix time, hyphen, eight hex digits.
const (
	maxHostname  = 63
	nameOverhead = 10 + 1 + 8
)

func (c check) machine(r *Runner, section string) {
	m := r.Machine
	for _, f := range []struct {
		key   string
		value int
		off   string
	}{
		{"IdleCount", m.IdleCount, "use 0 (machines on demand) or more"},
		{"IdleCountMin", m.IdleCountMin, "use 0 or more"},
		{"IdleTime", m.IdleTime, "use 0 (remove at once) or more seconds"},
		{"MaxGrowthRate", m.MaxGrowthRate, "use 0 (no limit) or more"},
		{"MaxBuilds", m.MaxBuilds, "use 0 (no limit) or more"},
		{"MaxRemovalAttempts", m.MaxRemovalAttempts, "use 0 (30 attempts) or more"},
	} {
		if f.value < 0 {
			c.broken(section, f.key, "%d is negative; %s", f.value, f.off)
		}
	}
	c.factor(section, m.IdleScaleFactor, m.IdleCountMin)
	c.idleLimit(section, m.IdleCount, r.Limit)
	for i := range m.Autoscaling {
		c.autoscaling(fmt.Sprintf("%s.autoscaling[%d]", section, i), &m.Autoscaling[i], r.Limit)
	}
	c.offPeak(section, m)
	if r.Executor != "docker+machine" {
		return
	}
	c.machineName(r, section)
	if m.MachineDriver == "" {
		c.broken(section, "MachineDriver", "is missing; name a driver, such as google, amazonec2 or docker")
	}
	c.machineOptions(m, section)
}

func (c check) factor(section string, factor float64, low int) {
	if factor < 0 {
		c.broken(section, "IdleScaleFactor", "%v is negative; use 0 (off) or more", factor)
	}
	if low > 0 && factor == 0 {
		c.warn(section, "IdleCountMin", "has no effect while IdleScaleFactor is 0")
	}
}

func (c check) idleLimit(section string, idle, limit int) {
	if limit > 0 && idle > limit {
		c.warn(section, "IdleCount", "%d is more than the limit of %d machines, so it is never reached", idle, limit)
	}
}

func (c check) autoscaling(section string, a *Autoscaling, limit int) {
	for _, f := range []struct {
		key   string
		value int
	}{{"IdleCount", a.IdleCount}, {"IdleCountMin", a.IdleCountMin}, {"IdleTime", a.IdleTime}} {
		if f.value < 0 {
			c.broken(section, f.key, "%d is negative; use 0 or more", f.value)
		}
		if c.lines[section+"."+f.key] == 0 && f.key != "IdleCountMin" {
			c.warn(section, f.key, "is not given and counts as 0 in this section; it is not inherited from [runners.machine]")
		}
	}
	c.factor(section, a.IdleScaleFactor, a.IdleCountMin)
	c.idleLimit(section, a.IdleCount, limit)
	c.timezone(section, "Timezone", a.Timezone)
	c.periods(section, "Periods", a.Periods)
	if len(a.Periods) == 0 {
		c.warn(section, "Periods", "is empty, so this section is never active")
	}
}

// offPeak says what to write instead of the keys that GitLab Runner 14.0 dropped: a section with the same periods does the same.
func (c check) offPeak(section string, m *Machine) {
	if len(m.OffPeakPeriods) == 0 {
		return
	}
	quoted := make([]string, len(m.OffPeakPeriods))
	for i, p := range m.OffPeakPeriods {
		quoted[i] = fmt.Sprintf("%q", p)
	}
	zone := ""
	if m.OffPeakTimezone != "" {
		zone = fmt.Sprintf("; Timezone = %q", m.OffPeakTimezone)
	}
	c.warn(section, "OffPeakPeriods", "has had no effect since GitLab Runner 14.0; write [[runners.machine.autoscaling]] with Periods = [%s]; IdleCount = %d; IdleTime = %d%s",
		strings.Join(quoted, ", "), m.OffPeakIdleCount, m.OffPeakIdleTime, zone)
}

func (c check) machineName(r *Runner, section string) {
	name := r.Machine.MachineName
	switch {
	case name == "":
		c.broken(section, "MachineName", `is missing; write a name with %%s in it, such as MachineName = "ci-%%s"`)
	case !strings.Contains(name, "%s"):
		c.broken(section, "MachineName", `%q has no %%s in it, where each machine gets its own part; write %q`, name, strings.TrimRight(name, "-")+"-%s")
	case strings.Count(name, "%") > 1:
		c.broken(section, "MachineName", "%q has more than one %% in it; one %%s is allowed and nothing else", name)
	default:
		long := len("runner-") + len(ShortToken(r.Token)) + 1 + len(name) - len("%s") + nameOverhead
		if long > maxHostname {
			c.warn(section, "MachineName", "machines get names of %d characters and providers allow %d; shorten it by %d", long, maxHostname, long-maxHostname)
		}
	}
}

func (c check) machineOptions(m *Machine, section string) {
	for i, o := range m.MachineOptionsWithName {
		if !strings.Contains(o, "%s") {
			c.bad(section, fmt.Sprintf("MachineOptionsWithName[%d]", i), "%s has no %%s in it, where the machine's name goes", optionName(o))
		}
	}
	if c.Driver == nil || m.MachineDriver == "" {
		return
	}
	options := append([]string(nil), m.MachineOptions...)
	for _, o := range m.MachineOptionsWithName {
		options = append(options, strings.ReplaceAll(o, "%s", "runner-abcdefghi-name"))
	}
	for _, p := range c.Driver(m.MachineDriver, options) {
		key := c.optionKey(m, p.Option)
		message := p.Message
		if p.Option != "" {
			message = p.Option + ": " + message
		}
		if p.Warning {
			c.warn(section, key, "%s", message)
		} else {
			c.broken(section, key, "%s", message)
		}
	}
}

// optionKey finds where an option is written.
func (c check) optionKey(m *Machine, option string) string {
	for _, list := range []struct {
		key     string
		options []string
	}{{"MachineOptions", m.MachineOptions}, {"MachineOptionsWithName", m.MachineOptionsWithName}} {
		for i, o := range list.options {
			if option != "" && optionName(o) == option {
				return fmt.Sprintf("%s[%d]", list.key, i)
			}
		}
	}
	if option == "" {
		return "MachineDriver"
	}
	return "MachineOptions"
}

// optionName is an option without its value, which may be a secret.
func optionName(option string) string {
	name, _, _ := strings.Cut(option, "=")
	return strings.TrimLeft(name, "-")
}

// overlaps warns of entries whose machines cannot be told apart by their names.
func (c check) overlaps(runners []Runner) {
	seen := map[string]int{}
	for i, r := range runners {
		if r.Executor != "docker+machine" || r.Machine == nil || r.Machine.MachineName == "" {
			continue
		}
		pattern := ShortToken(r.Token) + " " + r.Machine.MachineName
		if first, ok := seen[pattern]; ok {
			c.warn(fmt.Sprintf("runners[%d].machine", i), "MachineName", "runners[%d] has the same token and the same MachineName; give each its own", first)
			continue
		}
		seen[pattern] = i
	}
}
