package provision

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// HostOptions describes the machine options that are the host's, whatever the driver: docker-machine's shared create flags. All
// other options are the driver's.
func HostOptions() []abi.Option { return slices.Clone(hostOptions) }

var hostOptions = []abi.Option{
	{Name: "engine-install-url", Type: abi.OptionString, Env: "MACHINE_DOCKER_INSTALL_URL", Help: "script that installs the engine where there is none"},
	{Name: "engine-opt", Type: abi.OptionList, Help: "flag=value or flag for the engine"},
	{Name: "engine-insecure-registry", Type: abi.OptionList, Help: "registry that may be spoken to without TLS"},
	{Name: "engine-registry-mirror", Type: abi.OptionList, Env: "ENGINE_REGISTRY_MIRROR", Help: "URL of a mirror of Docker Hub"},
	{Name: "engine-label", Type: abi.OptionList, Help: "key=value label of the engine"},
	{Name: "engine-storage-driver", Type: abi.OptionString, Help: "storage driver; empty leaves the engine's choice"},
	{Name: "engine-env", Type: abi.OptionList, Help: "KEY=value in the engine's environment"},
	{Name: "tls-san", Type: abi.OptionList, Help: "further name or address in the engine's certificate"},
	{Name: "tls-bootstrap-lock", Type: abi.OptionBool, Env: "MACHINE_TLS_BOOTSTRAP_LOCK", Help: "accepted; the lock is always on"},
	{Name: "swarm", Type: abi.OptionBool, Help: ignored}, {Name: "swarm-master", Type: abi.OptionBool, Help: ignored},
	{Name: "swarm-experimental", Type: abi.OptionBool, Help: ignored},
	{Name: "swarm-image", Type: abi.OptionString, Help: ignored}, {Name: "swarm-discovery", Type: abi.OptionString, Help: ignored},
	{Name: "swarm-strategy", Type: abi.OptionString, Help: ignored}, {Name: "swarm-host", Type: abi.OptionString, Help: ignored},
	{Name: "swarm-addr", Type: abi.OptionString, Help: ignored}, {Name: "swarm-opt", Type: abi.OptionList, Help: ignored},
	{Name: "swarm-join-opt", Type: abi.OptionList, Help: ignored},
}

const ignored = "accepted and ignored: classic Swarm is gone"

// IsHostOption tells whether an option is consumed here and not the driver's.
func IsHostOption(name string) bool {
	return slices.ContainsFunc(hostOptions, func(o abi.Option) bool { return o.Name == name })
}

// ValidateOptions checks the values of the host's options; it ignores the driver's.
func ValidateOptions(options abi.Options) []abi.Problem {
	_, problems := readEngineOptions("", options)
	return problems
}

// engineOptions are the host's options, read.
type engineOptions struct {
	installURL string
	mirrors    []string
	insecure   []string
	labels     map[string]string
	storage    string
	flags      []engineFlag // what stays for the engine's command line
	env        []string
	sans       []string
}

// engineFlag is one engine-opt: --name or --name=value.
type engineFlag struct {
	name, value string
	bare        bool
}

func (f engineFlag) String() string {
	if f.bare {
		return "--" + f.name
	}
	return "--" + f.name + "=" + f.value
}

// parseEngineOptions is readEngineOptions for options that should have been validated: the first problem is an error.
func parseEngineOptions(driver string, options abi.Options) (engineOptions, error) {
	o, problems := readEngineOptions(driver, options)
	for _, p := range problems {
		if !p.Warning {
			return o, fmt.Errorf("option %s: %s", p.Option, p.Message)
		}
	}
	return o, nil
}

func readEngineOptions(driver string, options abi.Options) (o engineOptions, problems []abi.Problem) {
	bad := func(option, format string, args ...any) {
		problems = append(problems, abi.Problem{Option: option, Message: fmt.Sprintf(format, args...)})
	}
	for _, h := range hostOptions {
		values := options[h.Name]
		if h.Help == ignored && len(values) > 0 && options.Get(h.Name) != "false" && options.Get(h.Name) != "" {
			problems = append(problems, abi.Problem{Option: h.Name, Message: ignored, Warning: true})
		}
		for _, v := range values {
			if strings.ContainsAny(v, "\n\r\x00") {
				bad(h.Name, "%q holds a line break", v)
				return o, problems
			}
		}
	}
	o = engineOptions{
		installURL: options.Get("engine-install-url"),
		mirrors:    nonEmpty(options["engine-registry-mirror"]),
		insecure:   nonEmpty(options["engine-insecure-registry"]),
		storage:    options.Get("engine-storage-driver"),
		sans:       nonEmpty(options["tls-san"]),
		labels:     map[string]string{},
	}
	for _, v := range nonEmpty(options["engine-env"]) {
		if k, _, ok := strings.Cut(v, "="); !ok || !envName.MatchString(k) {
			bad("engine-env", "%q; give KEY=value, KEY of letters, digits and underscores", k)
			continue
		}
		o.env = append(o.env, v)
	}
	for _, v := range nonEmpty(options["engine-opt"]) {
		if err := o.addFlag(v); err != nil {
			bad("engine-opt", "%v", err)
		}
	}
	for _, v := range nonEmpty(options["engine-label"]) {
		if err := o.addLabel(v); err != nil {
			bad("engine-label", "%v", err)
		}
	}
	for _, v := range o.mirrors {
		if !strings.HasPrefix(v, "http://") && !strings.HasPrefix(v, "https://") {
			bad("engine-registry-mirror", "%q; give a URL, http://HOST[:PORT] or https://HOST[:PORT]", v)
		}
	}
	if driver != "" {
		o.labels["provider"] = driver
	}
	return o, problems
}

func (o *engineOptions) addLabel(v string) error {
	k, value, ok := strings.Cut(v, "=")
	if !ok || k == "" {
		return fmt.Errorf("%q; give key=value", v)
	}
	o.labels[k] = value
	return nil
}

// addFlag sorts one engine-opt: what has an option of its own joins that, what belongs to the agent is refused.
func (o *engineOptions) addFlag(v string) error {
	name, value, hasValue := strings.Cut(strings.TrimLeft(v, "-"), "=")
	if !flagName.MatchString(name) {
		return fmt.Errorf("%q; give flag=value or flag, as the engine's command line has them without the dashes", v)
	}
	switch name {
	case "H", "host", "tls", "tlsverify", "tlscacert", "tlscert", "tlskey", "config-file", "pidfile", "p":
		return fmt.Errorf("%q; the agent sets that itself", name)
	case "registry-mirror":
		o.mirrors = append(o.mirrors, value)
	case "insecure-registry":
		o.insecure = append(o.insecure, value)
	case "storage-driver", "s":
		o.storage = value
	case "label":
		return o.addLabel(value)
	default:
		o.flags = append(o.flags, engineFlag{name: name, value: value, bare: !hasValue})
	}
	return nil
}

func nonEmpty(values []string) []string {
	return slices.DeleteFunc(slices.Clone(values), func(v string) bool { return strings.TrimSpace(v) == "" })
}
