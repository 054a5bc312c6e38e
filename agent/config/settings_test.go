package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// hidden is a file in which every secret holds the word sesame.
const hidden = `concurrent = 5
listen_address = ":9252"
sentry_dsn = "https://sesame@sentry.example/1"
[[runners]]
  name = "a"
  url = "https://$WHO:sesame@gitlab.example.com"
  token = "glrt-sesame"
  executor = "docker+machine"
  environment = ["DOCKER_AUTH_CONFIG=sesame=x=y", "PLAIN=sesame", "FF_TIMESTAMPS=true"]
  [runners.cache.s3]
    AccessKey = "AKIA"
    SecretKey = "sesame"
  [runners.cache.gcs]
    CredentialsFile = "/etc/key.json"
  [runners.custom_build_dir]
    enabled = false
  [runners.docker]
    image = "alpine"
    [runners.docker.tmpfs]
      "/run" = ""
  [runners.machine]
    MachineDriver = "amazonec2"
    MachineName = "m-%s"
    MachineOptions = ["amazonec2-secret-key=sesame", "amazonec2-region=eu-1", "engine-env=API_TOKEN=sesame", "engine-env=A=b", "bare",
      "engine-registry-mirror=http://me:sesame@mirror", "amazonec2-ssh-keypath=/id"]
    [[runners.machine.autoscaling]]
      Periods = ["* * 9-17 * * mon-fri *"]
      IdleCount = 5
  [runners.autoscaler]
    plugin = "x"
    [runners.autoscaler.plugin_config]
      password = "sesame"
      zones = ["a", "b"]
      nested = { api_key = "sesame", size = 0 }
`

func TestShow(t *testing.T) {
	t.Setenv("WHO", "me")
	c, _ := Parse("config.toml", []byte(hidden))
	got := c.Show()
	if strings.Contains(got, "sesame") {
		t.Errorf("a secret shows:\n%s", got)
	}
	for _, want := range []string{
		"concurrent = 5\ncheck_interval = 3\n", "shutdown_timeout = 30\n", `url = "https://[redacted]@gitlab.example.com"`, `token = "[redacted]"`,
		`environment = ["DOCKER_AUTH_CONFIG=[redacted]", "PLAIN=[redacted]", "FF_TIMESTAMPS=true"]`, `AccessKey = "AKIA"`, `CredentialsFile = "/etc/key.json"`,
		"[runners.custom_build_dir]\n      enabled = false", "    [runners.docker.tmpfs]\n      \"/run\" = \"\"\n", `unhealthy_interval = "1h0m0s"`,
		`MachineOptions = ["amazonec2-secret-key=[redacted]", "amazonec2-region=eu-1", "engine-env=API_TOKEN=[redacted]", "engine-env=A=b", "bare", ` +
			`"engine-registry-mirror=http://[redacted]@mirror", "amazonec2-ssh-keypath=/id"]`,
		"    [[runners.machine.autoscaling]]\n", `password = "[redacted]"`, `zones = ["a", "b"]`, "size = 0\n",
	} {
		if !strings.Contains(strings.Join(strings.Fields(got), " "), strings.Join(strings.Fields(want), " ")) {
			t.Errorf("it lacks %s", want)
		}
	}
	if _, diagnostics := Parse("shown.toml", []byte(got)); Err(diagnostics) != nil {
		t.Errorf("it can't be read again: %v", Err(diagnostics))
	}
	if t.Failed() {
		t.Log(got)
	}
}

func TestDiff(t *testing.T) {
	t.Setenv("WHO", "me")
	settings := func(text, salt string) []Setting {
		c, _ := Parse("config.toml", []byte(text))
		return c.Settings(salt)
	}
	before := settings(hidden, "salt")
	if got := Diff(before, settings(hidden, "salt")); len(got) > 0 {
		t.Errorf("the same file differs: %v", got)
	}
	text := strings.NewReplacer("concurrent = 5", "concurrent = 6", `"glrt-sesame"`, `"glrt-other"`, ":9252", ":9999", `IdleCount = 5`, `IdleTime = 5`, `SecretKey = "sesame"`, `SecretKey = "other"`).Replace(hidden)
	text += "[[runners]]\nname = \"a\"\nurl = \"https://x\"\nexecutor = \"docker\"\n"
	var got []Change
	for _, c := range Diff(before, settings(text, "salt")) {
		if !strings.HasPrefix(c.Path, "runners[a, number 2].") || strings.HasSuffix(c.Path, ".url") {
			got = append(got, c)
		}
	}
	want := []Change{
		{Path: "concurrent", Before: "5", After: "6"},
		{Path: "listen_address", Before: `":9252"`, After: `":9999"`, Restart: true},
		{Path: "runners[a, number 2].url", After: `"https://x"`},
		{Path: "runners[a].cache.s3.SecretKey", Before: `"[redacted]"`, After: `"[redacted]"`},
		{Path: "runners[a].machine.autoscaling[0].IdleCount", Before: "5"},
		{Path: "runners[a].machine.autoscaling[0].IdleTime", After: "5"},
		{Path: "runners[a].token", Before: `"[redacted]"`, After: `"[redacted]"`},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, s := range before {
		if strings.Contains(s.Value, "sesame") {
			t.Errorf("%s shows its secret", s.Path)
		}
	}
	if len(Diff(before, settings(hidden, "other"))) == 0 {
		t.Error("the salt makes no difference")
	}
}
