package supervisor

import (
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator/embedded"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakegce"
	"github.com/millwright-ci/millwright/agent/driver/wasm"
	"github.com/millwright-ci/millwright/agent/internal/boxes"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestGoogleGroup has an instance group served by the module for each of the names that GitLab gives the plug-in, with the credential of its
// plugin_config.
func TestGoogleGroup(t *testing.T) {
	t.Parallel()
	const token = "ya29.of-the-service-account"
	cloud, err := fakegce.Start(fakegce.Settings{Token: token, Zones: []string{"europe-west1-c"}})
	if err != nil {
		t.Fatal(err)
	}
	defer cloud.Close()
	cloud.AddGroup(fakegce.Group{Project: "my-gcp-project", Location: "zones/europe-west1-c", Name: "my-linux-instance-group", Size: 1})
	d := builtinDrivers(t, &config.Operator{Drivers: map[string]config.OperatorDriver{"googlecompute": {Endpoint: cloud.URL()}}}, "googlecompute")
	for plugin, want := range map[string]string{
		"fleeting-plugin-googlecompute": "googlecompute", "googlecompute": "googlecompute", "googlecloud": "googlecompute", "fleeting-plugin-googlecloud": "googlecompute",
		"googlecloud:latest": "", "registry.example.com/plugins/googlecompute": "", "fleeting-plugin-aws": "",
	} {
		if got := d.groupModule(plugin); got != want {
			t.Errorf("%s is served by %q, want %q", plugin, got, want)
		}
	}
	a := &config.Autoscaler{Plugin: "googlecloud", PluginConfig: map[string]any{
		"name": "my-linux-instance-group", "project": "my-gcp-project", "zone": "europe-west1-c", "credentials_file": fakegce.Account(t, token),
	}}
	if problems := d.CheckPlugin(t.Context(), a); len(problems) > 0 {
		t.Errorf("plugin_config: %+v", problems)
	}
	options, err := d.groupOptions("runner-1", "googlecompute", a)
	if err != nil || strings.Contains(options.Get("credentials_file"), "/") {
		t.Fatalf("%v, %v", options, err)
	}
	g := wasm.NewGroup(wasm.GroupOptions{
		Name: "googlecompute", Owner: abi.Owner{ID: "abcdefgh01234567"}, Log: slog.New(slog.DiscardHandler), Use: d.serving("googlecompute", options),
		Connector: func() config.Connector { return config.Connector{Username: "runner"} },
	})
	if info, err := g.Info(t.Context()); err != nil || info.ID != "google/my-gcp-project/europe-west1-c/my-linux-instance-group" {
		t.Errorf("%+v, %v", info, err)
	}
	all, err := g.List(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatalf("%+v, %v", all, err)
	}
	if c, err := g.Connect(t.Context(), all[0].ID); err != nil || c.Key == "" || c.ExternalAddr == "" {
		t.Errorf("%+v, %v", c, err)
	}
	for _, wrong := range cloud.Wrong() {
		t.Error(wrong)
	}
	a.PluginConfig["zones"] = "x"
	if problems := d.CheckPlugin(t.Context(), a); len(problems) != 1 || !strings.Contains(problems[0].Message, "did you mean zone?") {
		t.Errorf("a key that is none: %+v", problems)
	}
}

// A job runs on an instance of a managed instance group: the group grows, the instance lets in the key that the agent made for it, and goes at the end.
func TestGoogleInstances(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	modules, binary := builtins(t, "providers/googlecompute"), helperBinary(t)
	hardware := boxes.Open(t, filepath.Join("..", "..", ".cache", "demo-images"))
	cloud, err := fakegce.Start(fakegce.Settings{OpTime: 50 * time.Millisecond, BootTime: 100 * time.Millisecond, Hardware: hardware})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cloud.Close() })
	cloud.AddGroup(fakegce.Group{Project: "project-1", Location: "regions/us-central1", Name: "builders"})
	r := w.runner("google")
	r.Executor = executorInstance
	r.Autoscaler = &config.Autoscaler{
		Plugin: "fleeting-plugin-googlecompute", CapacityPerInstance: 1, MaxUseCount: 1, MaxInstances: 2, DeleteInstancesOnShutdown: true,
		PluginConfig: map[string]any{
			"name": "builders", "project": "project-1", "region": "us-central1", "credentials_file": fakegce.Account(t, "ya29.x"),
		},
		ConnectorConfig: config.Connector{Username: "runner", UseExternalAddr: true},
		Policy:          []config.ScalePolicy{{IdleCount: 1, IdleTime: config.Duration(20 * time.Minute)}},
	}
	w.config.Runners = []config.Runner{r}
	w.start(modules, binary, func(o *Options) {
		o.Operator = func() (*config.Operator, error) {
			return &config.Operator{Drivers: map[string]config.OperatorDriver{"googlecompute": {Endpoint: cloud.URL()}}}, nil
		}
	})
	w.untilReady(1)
	one := w.coordinator.Enqueue(shelled("one", "id -un; pwd"))
	result := w.await(one)
	if trace := w.trace(one); result.State != embedded.Success || !strings.Contains(trace, "\nrunner\n/home/runner/builds/") {
		t.Errorf("%s\n%s", result.State, trace)
	}
	w.stop(errors.New("enough"))
	if err := w.finish(); err != nil {
		t.Error(err)
	}
	w.until("the group is empty", func() bool {
		members, target := cloud.Members("project-1", "regions/us-central1", "builders")
		return len(members) == 0 && target == 0
	})
	for _, wrong := range cloud.Wrong() {
		t.Error(wrong)
	}
}
