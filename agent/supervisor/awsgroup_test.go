package supervisor

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakeasg"
	"github.com/millwright-ci/millwright/agent/driver/wasm"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestAWSGroup has an Auto Scaling group served by the module for the plug-in of GitLab's examples: with the keys of the profile's files, and in the profile's
// region.
func TestAWSGroup(t *testing.T) {
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} {
		t.Setenv(name, "")
	}
	folder := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cloud := fakeasg.Start(t, fakeasg.Settings{Name: "my-linux-asg", Region: "eu-central-1", AccessKey: "AKIAOFTHEPROFILE", Min: 1})
	d := builtinDrivers(t, &config.Operator{Drivers: map[string]config.OperatorDriver{"aws": {Endpoint: cloud.URL()}}}, "aws")
	for plugin, want := range map[string]string{
		"fleeting-plugin-aws": "aws", "aws": "aws", "aws:latest": "", "registry.example.com/plugins/aws": "", "fleeting-plugin-azure": "",
	} {
		if got := d.groupModule(plugin); got != want {
			t.Errorf("%s is served by %q, want %q", plugin, got, want)
		}
	}
	a := &config.Autoscaler{Plugin: "fleeting-plugin-aws", PluginConfig: map[string]any{
		"name": "my-linux-asg", "profile": "default", "config_file": file("config", "[default]\nregion = eu-central-1\n"),
		"credentials_file": file("credentials", "[default]\naws_access_key_id = AKIAOFTHEPROFILE\naws_secret_access_key = secret-of-the-profile\n"),
	}}
	if problems := d.CheckPlugin(t.Context(), a); len(problems) > 0 {
		t.Errorf("plugin_config: %+v", problems)
	}
	options, err := d.groupOptions("runner-1", "aws", a)
	if err != nil || strings.Contains(options.Get("credentials_file"), "/") {
		t.Fatalf("%v, %v", options, err)
	}
	g := wasm.NewGroup(wasm.GroupOptions{
		Name: "aws", Owner: abi.Owner{ID: "abcdefgh01234567"}, Log: slog.New(slog.DiscardHandler), Use: d.serving("aws", options),
		Connector: func() config.Connector { return config.Connector{Username: "ec2-user"} },
	})
	if info, err := g.Info(t.Context()); err != nil || info.ID != "aws/eu-central-1/123456789012/my-linux-asg" {
		t.Errorf("%+v, %v", info, err)
	}
	all, err := g.List(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatalf("%+v, %v", all, err)
	}
	if c, err := g.Connect(t.Context(), all[0].ID); err != nil || c.Key == "" || len(cloud.Keys()) != 1 {
		t.Errorf("%+v, %v", c, err)
	}
	for key, want := range map[string]string{"regoin": "did you mean region?", "endpoint": "is the operator's alone"} {
		wrong := &config.Autoscaler{Plugin: "aws", PluginConfig: map[string]any{"name": "a", key: "https://a.example.com"}}
		if problems := d.CheckPlugin(t.Context(), wrong); len(problems) != 1 || problems[0].Option != key || !strings.Contains(problems[0].Message, want) {
			t.Errorf("%s: %+v, want %q", key, problems, want)
		}
	}
	if problems := d.Check(t.Context(), "aws", nil); len(problems) != 1 || !strings.Contains(problems[0].Message, "[runners.autoscaler]") {
		t.Errorf("as a MachineDriver: %+v", problems)
	}
	forced := builtinDrivers(t, &config.Operator{LegacyDrivers: []string{"aws"}}, "aws")
	if got := forced.groupModule("fleeting-plugin-aws"); got != "" {
		t.Errorf("the operator wants the plug-in, and %s serves", got)
	}
}
