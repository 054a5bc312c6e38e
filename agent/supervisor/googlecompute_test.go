package supervisor

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakegce"
	"github.com/millwright-ci/millwright/agent/driver/wasm"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestGoogleGroup has an instance group served by the module for each of the names that GitLab gives the plug-in, with the credential of its
// plugin_config.
func TestGoogleGroup(t *testing.T) {
	t.Parallel()
	const token = "ya29.of-the-service-account"
	sso := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": 3600})
	}))
	defer sso.Close()
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
		"name": "my-linux-instance-group", "project": "my-gcp-project", "zone": "europe-west1-c", "credentials_file": serviceAccount(t, sso.URL),
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
