package legacy

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// The types that a plug-in's flags come as. Their names on the wire are those of docker-machine's Go types; see session.go.
type (
	stringFlag      struct{ Name, Usage, EnvVar, Value string }
	stringSliceFlag struct {
		Name, Usage, EnvVar string
		Value               []string
	}
	intFlag struct {
		Name, Usage, EnvVar string
		Value               int
	}
	boolFlag struct{ Name, Usage, EnvVar string }

	// rpcFlags is what SetConfigFromFlags takes: the value of every flag, in its type.
	rpcFlags struct{ Values map[string]any }
)

// flag is a plug-in's flag, whatever its type.
type flag struct {
	option abi.Option
	value  any // the default: string, []string, int or bool
	secret bool
}

// shared are the values of docker-machine's own flags, which plug-ins read too. Most are of Swarm, which is gone.
var shared = map[string]any{
	"engine-install-url": "https://get.docker.com", "engine-storage-driver": "", "engine-opt": []string{}, "engine-label": []string{},
	"engine-env": []string{}, "engine-insecure-registry": []string{}, "engine-registry-mirror": []string{}, "tls-san": []string{},
	"swarm": false, "swarm-master": false, "swarm-experimental": false, "swarm-image": "swarm:latest", "swarm-discovery": "",
	"swarm-strategy": "spread", "swarm-host": "tcp://0.0.0.0:3376", "swarm-addr": "", "swarm-opt": []string{}, "swarm-join-opt": []string{},
}

// readFlags asks the plug-in for its flags.
func readFlags(ctx context.Context, s *session) ([]flag, error) {
	list, err := get[[]any](ctx, s, "GetCreateFlags")
	if err != nil {
		return nil, err
	}
	flags := make([]flag, 0, len(list))
	for _, item := range list {
		var f flag
		switch v := item.(type) {
		case *stringFlag:
			f = flag{abi.Option{Name: v.Name, Type: abi.OptionString, Env: v.EnvVar, Help: v.Usage, Default: v.Value}, v.Value, false}
		case *stringSliceFlag:
			f = flag{abi.Option{Name: v.Name, Type: abi.OptionList, Env: v.EnvVar, Help: v.Usage, Default: strings.Join(v.Value, ",")}, notNil(v.Value), false}
		case *intFlag:
			f = flag{abi.Option{Name: v.Name, Type: abi.OptionInt, Env: v.EnvVar, Help: v.Usage, Default: strconv.Itoa(v.Value)}, v.Value, false}
		case *boolFlag:
			f = flag{abi.Option{Name: v.Name, Type: abi.OptionBool, Env: v.EnvVar, Help: v.Usage}, false, false}
		default:
			return nil, fmt.Errorf("the plug-in has a flag of the type %T, which docker-machine does not know", item)
		}
		if f.option.Name == "" {
			return nil, fmt.Errorf("the plug-in has a flag without a name")
		}
		f.secret = secretName.MatchString(f.option.Name)
		if f.secret && f.option.Type == abi.OptionString {
			f.option.Secret, f.option.Credential = true, abi.CredentialKey(f.option.Name)
		}
		flags = append(flags, f)
	}
	slices.SortFunc(flags, func(a, b flag) int { return strings.Compare(a.option.Name, b.option.Name) })
	return flags, nil
}

// secretName is which flags are taken to hold secrets: docker-machine has no mark for them.
var secretName = regexp.MustCompile(`(?i)token|password|passwd|secret|key|credential`)

// values are all of the plug-in's flags in the types that it expects, and docker-machine's own.
func values(flags []flag, options abi.Options) (map[string]any, []abi.Problem) {
	out := make(map[string]any, len(shared)+len(flags))
	for name, value := range shared {
		out[name] = value
	}
	var problems []abi.Problem
	for _, f := range flags {
		name := f.option.Name
		out[name] = f.value
		given, ok := options[name]
		if !ok {
			continue
		}
		switch f.option.Type {
		case abi.OptionString:
			out[name] = options.Get(name)
		case abi.OptionList:
			out[name] = notNil(given)
		case abi.OptionBool:
			out[name] = options.Bool(name)
		case abi.OptionInt:
			n, err := strconv.Atoi(options.Get(name))
			if err != nil {
				problems = append(problems, abi.Problem{Option: name, Message: "is no whole number"})
			}
			out[name] = n
		}
	}
	return out, problems
}

func notNil(list []string) []string {
	if list == nil {
		return []string{} // gob sends no nil inside an interface
	}
	return list
}

// secretsOf returns the values that no log and no error may show. Defaults are known to everybody, and very short values would hit half of a
// text.
func secretsOf(flags []flag, options abi.Options) []string {
	var secrets []string
	for _, f := range flags {
		if !f.secret {
			continue
		}
		for _, v := range options[f.option.Name] {
			if v != f.option.Default && len(v) >= 4 {
				secrets = append(secrets, v)
			}
		}
	}
	return secrets
}
