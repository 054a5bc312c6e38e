package fleeting

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
)

// Options are what New needs. Plugin and Find must be there.
type Options struct {
	Plugin string                 // the plug-in's name, as the configuration has it
	Find   func() (string, error) // its binary, looked for at each start
	Env    []string               // its environment; nil: the agent's, without the agent's own secrets
	Log    *slog.Logger           // gets what it prints

	Config    map[string]any   // plugin_config, which it gets as JSON
	Connector config.Connector // connector_config
	Key       config.Secret    // what lies at key_path, as PEM

	Limits Limits
}

// Limits are how long a plug-in may take; one that takes longer is killed and started anew. What is 0 has its default.
type Limits struct {
	Start   time.Duration // until it is initialised; default 1m, as GitLab has it
	List    time.Duration // default 2m
	Change  time.Duration // of an increase or decrease, which some end only when the cloud has; default 10m
	Connect time.Duration // some wait for keys to be in place; default 5m
	Beat    time.Duration // default 1m
	End     time.Duration // of its farewell; default 10s
	Pause   time.Duration // from its first end to its next start, doubled each time up to 2m; default 1s
}

func (l Limits) withDefaults() Limits {
	l.Start = cmp.Or(l.Start, time.Minute)
	l.List = cmp.Or(l.List, 2*time.Minute)
	l.Change = cmp.Or(l.Change, 10*time.Minute)
	l.Connect = cmp.Or(l.Connect, 5*time.Minute)
	l.Beat = cmp.Or(l.Beat, time.Minute)
	l.End = cmp.Or(l.End, 10*time.Second)
	l.Pause = cmp.Or(l.Pause, time.Second)
	return l
}

// FromConfig are the options of a runner's [runners.autoscaler], but for Find and Log. The key of key_path is read. section is where it stands, such
// as "config.toml: runners[0].autoscaler", for errors.
func FromConfig(section string, a *config.Autoscaler) (Options, error) {
	o := Options{Plugin: a.Plugin, Config: a.PluginConfig, Connector: a.ConnectorConfig}
	if path := a.ConnectorConfig.KeyPath; path != "" {
		key, err := os.ReadFile(path)
		if err != nil {
			return o, fmt.Errorf("%s.connector_config.key_path: %w", section, err)
		}
		o.Key = config.Secret(key)
	}
	if _, err := o.pluginConfig(); err != nil {
		return o, fmt.Errorf("%s.plugin_config: %w", section, err)
	}
	return o, nil
}

// pluginConfig is plugin_config as JSON, with every type kept.
func (o Options) pluginConfig() ([]byte, error) {
	if o.Config == nil {
		return []byte("{}"), nil
	}
	return json.Marshal(o.Config)
}

// What connections have where connector_config says nothing.
// Source: GitLab Runner documentation, "The [runners.autoscaler.connector_config] section".
const (
	defaultKeepalive = 30 * time.Second
	defaultTimeout   = 10 * time.Minute
)

// connector is connector_config as plug-ins get it.
func (o Options) connector() connector {
	c := o.Connector
	out := connector{
		os: c.OS, arch: c.Arch, protocol: c.Protocol, username: c.Username, password: c.Password, key: o.Key, port: int64(c.ProtocolPort),
		keepalive: cmp.Or(time.Duration(c.Keepalive), defaultKeepalive), timeout: cmp.Or(time.Duration(c.Timeout), defaultTimeout),
	}
	if c.UseStaticCredentials {
		out.static = 1
	}
	return out
}

// secrets are the texts that no log and no error may show.
func (o Options) secrets(environment []string) []string {
	found := append(secretsOf(o.Config, false), secretsIn(environment)...)
	for _, v := range []string{o.Connector.Password.Reveal(), o.Key.Reveal()} {
		if v != "" {
			found = append(found, v)
		}
	}
	return found
}
