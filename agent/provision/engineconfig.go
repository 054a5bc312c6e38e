package provision

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Where the engine's files lie on a machine; docker-machine's places.
const (
	remoteCA        = "/etc/docker/ca.pem"
	remoteServer    = "/etc/docker/server.pem"
	remoteServerKey = "/etc/docker/server-key.pem"
)

// plural maps flags of the engine to their keys in daemon.json where the two differ. Source: dockerd's reference page.
var plural = map[string]string{
	"add-runtime": "runtimes", "authorization-plugin": "authorization-plugins", "default-address-pool": "default-address-pools",
	"default-ulimit": "default-ulimits", "dns-opt": "dns-opts", "exec-opt": "exec-opts", "log-opt": "log-opts", "D": "debug",
	"node-generic-resource": "node-generic-resources", "storage-opt": "storage-opts", "l": "log-level", "G": "group", "b": "bridge",
}

// daemonJSON merges what the options ask for into the image's own daemon.json, for an engine that listens on port. What the image says stays unless it collides: the
// engine refuses to start when a key stands in the file and on its command line.
func (o engineOptions) daemonJSON(image []byte, port string) ([]byte, error) {
	config := map[string]any{}
	if len(image) > 0 {
		if err := json.Unmarshal(image, &config); err != nil {
			return nil, fmt.Errorf("the image's /etc/docker/daemon.json is no JSON object: %w", err)
		}
	}
	for _, f := range o.flags {
		delete(config, f.name)
		delete(config, plural[f.name])
	}
	delete(config, "tls")
	config["hosts"] = []string{"tcp://0.0.0.0:" + port, "unix:///var/run/docker.sock"}
	config["tlsverify"] = true
	config["tlscacert"], config["tlscert"], config["tlskey"] = remoteCA, remoteServer, remoteServerKey
	union(config, "registry-mirrors", o.mirrors)
	union(config, "insecure-registries", o.insecure)
	if o.storage != "" {
		config["storage-driver"] = o.storage
	}
	labels := maps.Clone(o.labels)
	for _, l := range stringList(config["labels"]) {
		if k, v, _ := strings.Cut(l, "="); labels[k] == "" {
			labels[k] = v
		}
	}
	var lines []string
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		lines = append(lines, k+"="+labels[k])
	}
	config["labels"] = lines
	out, err := json.MarshalIndent(config, "", "  ")
	return append(out, '\n'), err
}

// union puts values before what the list has, each once.
func union(config map[string]any, key string, values []string) {
	for _, v := range stringList(config[key]) {
		if !slices.Contains(values, v) {
			values = append(slices.Clip(values), v)
		}
	}
	if len(values) > 0 {
		config[key] = values
	}
}

func stringList(v any) []string {
	list, _ := v.([]any)
	var out []string
	for _, e := range list {
		if s, ok := e.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// dropIn is the systemd drop-in. It takes the unit's own command line away, whose -H would collide with hosts in daemon.json.
func (o engineOptions) dropIn(dockerd string) []byte {
	var b strings.Builder
	b.WriteString("# Written by Millwright.\n[Service]\nExecStart=\nExecStart=" + systemdQuote(dockerd, true))
	for _, f := range o.flags {
		b.WriteString(" " + systemdQuote(f.String(), true))
	}
	b.WriteString("\n")
	for _, e := range o.env {
		b.WriteString("Environment=" + systemdQuote(e, false) + "\n")
	}
	return []byte(b.String())
}

// startScript starts the engine where no systemd runs; it notes its process id and becomes the engine.
func (o engineOptions) startScript(dockerd string) []byte {
	var b strings.Builder
	b.WriteString("#!/bin/sh\n# Written by Millwright: the engine of this machine.\n")
	for _, e := range o.env {
		k, v, _ := strings.Cut(e, "=")
		b.WriteString("export " + k + "=" + shellQuote(v) + "\n")
	}
	b.WriteString("echo $$ > /run/millwright-engine.pid\nexec " + shellQuote(dockerd))
	for _, f := range o.flags {
		b.WriteString(" " + shellQuote(f.String()))
	}
	b.WriteString("\n")
	return []byte(b.String())
}

// systemdQuote makes s one word of a unit file. Only command lines expand $.
func systemdQuote(s string, command bool) string {
	r := strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`)
	s = r.Replace(s)
	if command {
		s = strings.ReplaceAll(s, "$", "$$")
	}
	return `"` + s + `"`
}
