package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFleet(t *testing.T) {
	for _, tt := range []struct {
		name    string
		config  map[string]any
		options []string
		driven  bool
		err     string
	}{
		{name: "nothing", driven: true},
		{name: "every type", driven: true,
			config:  map[string]any{"google-project": "p", "google-preemptible": true, "google-disk-size": int64(20), "google-tags": []any{"a", "b"}, "engine-label": "x=y"},
			options: []string{"engine-label=x=y", "google-disk-size=20", "google-preemptible=true", "google-project=p", "google-tags=a", "google-tags=b"}},
		{name: "a list", driven: true, config: map[string]any{"MachineOptions": []any{"google-project=p", "google-preemptible"}},
			options: []string{"google-project=p", "google-preemptible"}},
		{name: "a fleeting plug-in's", config: map[string]any{"name": "group", "project": "p"}},
		{name: "a table", driven: true, config: map[string]any{"google-tags": map[string]any{}}, err: "plugin_config: google-tags: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := Runner{Executor: "instance", Autoscaler: &Autoscaler{Plugin: "google", PluginConfig: tt.config, MaxUseCount: 3}}
			if got := r.Autoscaler.Driven("google"); got != tt.driven {
				t.Errorf("a driver makes them: %t", got)
			}
			m, err := r.Fleet()
			if (err != nil) != (tt.err != "") || err != nil && !strings.HasPrefix(err.Error(), tt.err) {
				t.Fatalf("got %v, want %s", err, tt.err)
			}
			if err == nil && (m.MachineDriver != "google" || m.MaxBuilds != 3 || !cmp.Equal(m.MachineOptions, tt.options)) {
				t.Errorf("%+v", m)
			}
		})
	}
	machines := &Machine{MachineDriver: "docker"}
	if m, err := (&Runner{Executor: "docker+machine", Machine: machines, Autoscaler: &Autoscaler{}}).Fleet(); m != machines || err != nil {
		t.Errorf("of docker+machine: %v, %v", m, err)
	}
}

// What an entry asks for that there is not is named, with its key, and the entry is skipped.
func TestUnprovided(t *testing.T) {
	for text, want := range map[string]string{
		"":       "",
		"ssh":    "",
		`winrm`:  `runners[0].autoscaler.connector_config.protocol: "winrm" is not provided by this agent, which has ssh; this entry is skipped, the others run`,
		`telnet`: `runners[0].autoscaler.connector_config.protocol: "telnet" is not known; there is ssh; this entry is skipped, the others run`,
	} {
		file := "[[runners]]\nname = \"r\"\nurl = \"https://gitlab.example.com\"\ntoken = \"t\"\nexecutor = \"instance\"\n[runners.autoscaler]\nplugin = \"docker\"\ncapacity_per_instance = 1\n" +
			"[runners.autoscaler.connector_config]\nprotocol = \"" + text + "\"\n"
		_, diagnostics := Options{}.Parse("config.toml", []byte(file))
		var all []string
		for _, d := range diagnostics {
			all = append(all, d.String())
		}
		said := strings.Join(all, "\n")
		if want == "" && strings.Contains(said, "protocol") || !strings.Contains(said, want) {
			t.Errorf("protocol %q gives\n%s\nwant %s", text, said, want)
		}
	}
}

// The example of docs/autoscaler.md is taken as it stands.
func TestAutoscalerExample(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "autoscaler.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```toml\n")
	example, _, found := strings.Cut(rest, "```\n")
	if !found {
		t.Fatal("there is no example")
	}
	c, diagnostics := Options{}.Parse("config.toml", []byte(example))
	for _, d := range diagnostics {
		t.Error(d)
	}
	if m, err := c.Runners[0].Fleet(); err != nil || m.MachineDriver != "google" || len(m.MachineOptions) != 5 {
		t.Errorf("%+v, %v", m, err)
	}
}
