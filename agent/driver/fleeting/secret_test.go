package fleeting

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/config"
)

func TestSecrets(t *testing.T) {
	t.Parallel()
	got := secretsOf(map[string]any{
		"name": "builders", "token": "t0ken-value", "api_key": "k3y-value", "key_path": "/etc/key.pem", "credentials_file": "/etc/credentials", "ssh_key_name": "my-key-name",
		"access_key_id": "AKIAEXAMPLE", "secret_access_key": "s3cret-value", "yes_token": "yes", "region": "eu-central-1",
		"credentials": map[string]any{"user": "inner-user", "list": []any{"inner-item", int64(1234567)}}, "zones": []any{map[string]any{"password": "passw0rd"}},
	}, false)
	slices.Sort(got)
	if diff := cmp.Diff([]string{"1234567", "inner-item", "inner-user", "k3y-value", "passw0rd", "s3cret-value", "t0ken-value"}, got); diff != "" {
		t.Error(diff)
	}
	env := secretsIn([]string{"PATH=/usr/bin:/bin", "AWS_SECRET_ACCESS_KEY=abcdefgh", "AWS_ACCESS_KEY_ID=AKIAEXAMPLE", "GOOGLE_APPLICATION_CREDENTIALS_FILE=/etc/x", "HCLOUD_TOKEN=zyxwvuts", "X_TOKEN=abc"})
	slices.Sort(env)
	if diff := cmp.Diff([]string{"abcdefgh", "zyxwvuts"}, env); diff != "" {
		t.Error(diff)
	}
}

func TestFromConfig(t *testing.T) {
	t.Parallel()
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := &config.Autoscaler{Plugin: "aws", PluginConfig: map[string]any{"name": "x"}, ConnectorConfig: config.Connector{KeyPath: key}}
	o, err := FromConfig("config.toml: runners[0].autoscaler", a)
	if err != nil || o.Key.Reveal() != "PEM" || o.Plugin != "aws" {
		t.Errorf("%+v, %v", o, err)
	}
	a.ConnectorConfig.KeyPath = key + "-missing"
	if _, err := FromConfig("config.toml: runners[0].autoscaler", a); err == nil || !strings.HasPrefix(err.Error(), "config.toml: runners[0].autoscaler.connector_config.key_path: ") {
		t.Errorf("got %v", err)
	}
	a.ConnectorConfig.KeyPath, a.PluginConfig["x"] = "", func() {}
	if _, err := FromConfig("config.toml: runners[0].autoscaler", a); err == nil || !strings.HasPrefix(err.Error(), "config.toml: runners[0].autoscaler.plugin_config: ") {
		t.Errorf("got %v", err)
	}
}
