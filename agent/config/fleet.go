package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Fleets are the executors whose runners have machines of the agent's.
func Fleets() []string { return append([]string{"docker+machine"}, Autoscaled()...) }

// Autoscaled are those of them whose machines [runners.autoscaler] describes.
func Autoscaled() []string { return []string{"docker-autoscaler", "instance"} }

// InstanceName is MachineName for instances, which their section has no name for.
const InstanceName = "instance-%s"

// optionsKey of plugin_config holds options as a list, as MachineOptions has them.
const optionsKey = "MachineOptions"

// Driven tells whether a driver of that name makes the instances, rather than a fleeting plug-in of the same name: then every key of
// plugin_config is an option of the driver's, which begins with its name, or of the engine's.
func (a *Autoscaler) Driven(name string) bool {
	if a.Plugin != name {
		return false
	}
	for key := range a.PluginConfig {
		own := strings.HasPrefix(key, name+"-") || strings.HasPrefix(key, "engine-") || key == "tls-san" || key == optionsKey
		if !own {
			return false
		}
	}
	return true
}

// Unprovided names what the section asks for with an executor and this agent has not: its key, and why. Runners that ask for it are skipped,
// rather than run their jobs otherwise than they should.
func (a *Autoscaler) Unprovided(executor string) (key, why string) {
	inside := a.VMIsolation.ConnectorConfig.Protocol
	switch p := a.ConnectorConfig.Protocol; {
	case isWinRM(p) && executor != "instance":
		return "connector_config.protocol", strconv.Quote(p) + " is provided with the executor instance alone; others need ssh"
	case isWinRM(p) && a.VMIsolation.Enabled:
		return "connector_config.protocol", strconv.Quote(p) + " reaches no nesting daemon; vm_isolation needs ssh"
	case p != "" && p != ssh && !isWinRM(p):
		return "connector_config.protocol", strconv.Quote(p) + " is not known; there are ssh, winrm and winrm+https"
	case !a.VMIsolation.Enabled:
	case executor != "instance":
		return "vm_isolation.enabled", "virtual machines on instances are provided with the executor instance alone"
	case inside != "" && inside != ssh:
		return "vm_isolation.connector_config.protocol", strconv.Quote(inside) + " is not provided by this agent, which reaches virtual machines by ssh"
	}
	return "", ""
}

const ssh = "ssh"

func isWinRM(protocol string) bool { return protocol == "winrm" || protocol == "winrm+https" }

// Options are plugin_config as MachineOptions has it: NAME=value, sorted by name, a list once for each entry. An error names the key.
func (a *Autoscaler) Options() ([]string, error) {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(a.PluginConfig)) {
		values, ok := a.PluginConfig[key].([]any)
		if !ok {
			values = []any{a.PluginConfig[key]}
		}
		for _, v := range values {
			text, err := scalar(v)
			if err != nil {
				return nil, fmt.Errorf("plugin_config: %s: %w", key, err)
			}
			if key != optionsKey {
				text = key + "=" + text
			}
			out = append(out, text)
		}
	}
	return out, nil
}

// scalar is a value of TOML as an option has it.
func scalar(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case int64, int, float64, json.Number:
		return fmt.Sprint(v), nil
	}
	return "", fmt.Errorf("%T is no value of an option; write a text, a number, true or false, or a list of those", v)
}

// Fleet is what makes the runner's machines: [runners.machine], or, with an executor of the newer autoscaler, [runners.autoscaler] in the words of
// that. It is nil for runners without machines.
func (r *Runner) Fleet() (*Machine, error) {
	if !slices.Contains(Autoscaled(), r.Executor) || r.Autoscaler == nil {
		return r.Machine, nil
	}
	a := r.Autoscaler
	m := &Machine{MachineDriver: a.Plugin, MachineName: InstanceName, MaxBuilds: a.MaxUseCount}
	if !a.Driven(a.Plugin) {
		return m, nil // a group's, which knows no options
	}
	var err error
	m.MachineOptions, err = a.Options()
	return m, err
}
