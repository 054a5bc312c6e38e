package config

import (
	"fmt"
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
	const (
		connector = "[runners.autoscaler.connector_config]\nprotocol = %q\n"
		isolation = "[runners.autoscaler.vm_isolation]\nenabled = true\n[runners.autoscaler.vm_isolation.connector_config]\nusername = \"u\"\npassword = \"p\"\nprotocol = %q\n"
		skipped   = "; this entry is skipped, the others run"
	)
	for _, tt := range []struct{ executor, text, want string }{
		{"instance", "", ""},
		{"instance", fmt.Sprintf(connector, "ssh"), ""},
		{"instance", fmt.Sprintf(connector, "winrm+https"), ""},
		{"instance", fmt.Sprintf(connector, "telnet"), `connector_config.protocol: "telnet" is not known; there are ssh, winrm and winrm+https` + skipped},
		{"docker-autoscaler", fmt.Sprintf(connector, "winrm"), `connector_config.protocol: "winrm" is provided with the executor instance alone; others need ssh` + skipped},
		{"instance", fmt.Sprintf(isolation, "ssh"), ""},
		{"instance", fmt.Sprintf(isolation, "winrm"), `vm_isolation.connector_config.protocol: "winrm" is not provided by this agent, which reaches virtual machines by ssh` + skipped},
		{"instance", fmt.Sprintf(connector+isolation, "winrm", "ssh"), `connector_config.protocol: "winrm" reaches no nesting daemon; vm_isolation needs ssh` + skipped},
		{"docker-autoscaler", fmt.Sprintf(isolation, "ssh"), `vm_isolation.enabled: virtual machines on instances are provided with the executor instance alone` + skipped},
	} {
		file := "[[runners]]\nname = \"r\"\nurl = \"https://gitlab.example.com\"\ntoken = \"t\"\nexecutor = \"" + tt.executor + "\"\n[runners.docker]\nimage = \"i\"\n" +
			"[runners.autoscaler]\nplugin = \"docker\"\ncapacity_per_instance = 1\n" + tt.text
		_, diagnostics := Options{}.Parse("config.toml", []byte(file))
		var all []string
		for _, d := range diagnostics {
			all = append(all, d.String())
		}
		said := strings.Join(all, "\n")
		if tt.want == "" && strings.Contains(said, skipped) || !strings.Contains(said, tt.want) {
			t.Errorf("%s with %s gives\n%s\nwant %s", tt.executor, tt.text, said, tt.want)
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
