package cli

import (
	"archive/tar"
	"bytes"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/stream"
)

// publishPlugin puts a plug-in for this platform into a registry, as a version and as its aliases.
func publishPlugin(t *testing.T, repository string, tags ...string) {
	t.Helper()
	var content bytes.Buffer
	w := tar.NewWriter(&content)
	file := "plugin/plugin"
	if runtime.GOOS == "windows" {
		file = "Files/plugin/plugin.exe"
	}
	if err := w.WriteHeader(&tar.Header{Name: file, Mode: 0o755, Size: int64(len(tags[0])), Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, tags[0]); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	image, err := mutate.Append(empty.Image, mutate.Addendum{
		Layer: stream.NewLayer(io.NopCloser(&content)), Annotations: map[string]string{"com.gitlab.fleeting.layer": tags[0]},
	})
	if err != nil {
		t.Fatal(err)
	}
	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{
		Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: runtime.GOOS, Architecture: runtime.GOARCH}},
	})
	for i, tag := range tags {
		ref, err := name.NewTag(repository + ":" + tag)
		if err == nil && i == 0 {
			err = remote.WriteIndex(ref, index)
		} else if err == nil {
			err = remote.Tag(ref, index)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// gitlab-runner's command fleeting: its flags, its lines and its exit codes, with plug-ins from a registry.
func TestFleeting(t *testing.T) {
	binary := millwright(t)
	s := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer s.Close()
	dir := t.TempDir()
	t.Setenv("FLEETING_PLUGIN_PATH", filepath.Join(dir, "plugins"))
	t.Setenv("DOCKER_CONFIG", dir)
	host := strings.TrimPrefix(s.URL, "http://")
	repository := host + "/ci/cloud"
	publishPlugin(t, repository, "1.0.0", "1", "latest")
	write := func(name, section string) string {
		path := filepath.Join(dir, name)
		text := "[[runners]]\n  name = \"r\"\n  url = \"https://gitlab.example.com\"\n  token = \"glrt-token0-x\"\n  executor = \"instance\"\n  [runners.autoscaler]\n    " + section + "\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	path := write("config.toml", "plugin = \""+repository+":1\"")
	driven := write("driven.toml", "plugin = \"docker\"\n    [runners.autoscaler.plugin_config]\n      docker-memory = \"1g\"")
	where := func(v string) string {
		program := "plugin"
		if runtime.GOOS == "windows" {
			program = "plugin.exe"
		}
		return filepath.Join(dir, "plugins", strings.Replace(repository, ":", "_", 1), v, program)
	}
	step := func(args string, code int, want ...string) {
		t.Helper()
		got, text := run(t, binary, strings.Fields(args)...)
		if got != code {
			t.Errorf("%s: exit code %d, want %d", args, got, code)
		}
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%s: got %s, want %s", args, text, w)
			}
		}
	}
	step("fleeting -c "+path+" list", 1, "runner: token0-x, plugin: "+repository+":1, error: ", "run `millwright fleeting install`")
	step("fleeting -c "+path+" install", 0, "runner: token0-x, plugin: "+repository+":1, path: "+where("1.0.0")+"\n")
	step("fleeting list --config "+path, 0, "path: "+where("1.0.0")+"\n")
	publishPlugin(t, repository, "1.1.0", "1", "latest")
	step("fleeting install -c "+path, 0)
	step("fleeting list -c "+path, 0, "path: "+where("1.0.0")+"\n")
	step("fleeting -c "+path+" install --upgrade", 0, "path: "+where("1.1.0")+"\n")
	step("fleeting -c "+driven+" list", 0, "plugin: docker, served by the driver docker\n")
	step("fleeting login "+host+" --username me --password p", 0, "logged in via "+filepath.Join(dir, "config.json"))
	step("fleeting login "+host, 1, "login: a login needs a user name and a password")
	step("fleeting instal", 2, `has no command "instal"; did you mean install?`)
}
