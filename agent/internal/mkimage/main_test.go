package main

import (
	"archive/tar"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/millwright-ci/millwright/agent/internal/registry"
)

func rootTar(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "root.tar")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := tar.NewWriter(f)
	if err := w.WriteHeader(&tar.Header{Name: "./bin/sh", Mode: 0o755, Size: 2}); err != nil {
		t.Fatal(err)
	}
	w.Write([]byte("#!"))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func options(root string, more ...string) []string {
	return append([]string{"-root", root, "-tag", "millwright/test:amd64", "-arch", "arm64", "-env", "PATH=/bin", "-env", "LANG=C.UTF-8",
		"-entrypoint", "sh", "-cmd", "-c", "-cmd", "", "-label", "a.b=c=d", "-expose", "22/tcp"}, more...)
}

// check reads the configuration back.
func check(t *testing.T, img v1.Image) {
	t.Helper()
	if err := validate.Image(img); err != nil {
		t.Fatal(err)
	}
	c, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	want := v1.Config{
		Env: []string{"PATH=/bin", "LANG=C.UTF-8"}, Entrypoint: []string{"sh"}, Cmd: []string{"-c", ""},
		Labels: map[string]string{"a.b": "c=d"}, ExposedPorts: map[string]struct{}{"22/tcp": {}},
	}
	if diff := cmp.Diff(want, c.Config); diff != "" || c.OS != "linux" || c.Architecture != "arm64" {
		t.Errorf("%s/%s: %s", c.OS, c.Architecture, diff)
	}
}

func TestArchive(t *testing.T) {
	out := filepath.Join(t.TempDir(), "sub", "image.tar")
	if err := run(options(rootTar(t), "-archive", out)); err != nil {
		t.Fatal(err)
	}
	manifest, err := tarball.LoadManifest(func() (io.ReadCloser, error) { return os.Open(out) })
	if err != nil {
		t.Fatal(err)
	}
	// An engine takes the tag as it stands; with a registry's name in front it would be another image.
	if len(manifest) != 1 || !slices.Equal(manifest[0].RepoTags, []string{"millwright/test:amd64"}) {
		t.Errorf("manifest %+v", manifest)
	}
	img, err := tarball.ImageFromPath(out, nil)
	if err != nil {
		t.Fatal(err)
	}
	check(t, img)
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(out), "*.part")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestLayoutIsServed(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "test")
	for range 2 { // the second replaces the first
		if err := run(options(rootTar(t), "-layout", out)); err != nil {
			t.Fatal(err)
		}
	}
	index, err := layout.ImageIndexFromPath(out)
	if err != nil {
		t.Fatal(err)
	}
	m, err := index.IndexManifest()
	if err != nil || len(m.Manifests) != 1 {
		t.Fatalf("%v, %+v", err, m)
	}
	img, err := index.Image(m.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	check(t, img)
	r, err := registry.Open(dir)
	if err != nil || !slices.Equal(r.Images(), []string{"millwright/test:amd64"}) {
		t.Errorf("%v, %v", r.Images(), err)
	}
}

func TestRefuses(t *testing.T) {
	root := rootTar(t)
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"nothing":     {nil, "give -root"},
		"no target":   {options(root), "one of -archive and -layout"},
		"two targets": {options(root, "-archive", "a", "-layout", "b"), "one of"},
		"no root":     {options(filepath.Join(t.TempDir(), "none"), "-archive", "a"), "millwright/test:amd64: "},
		"odd tag":     {[]string{"-root", root, "-tag", "UPPER case", "-archive", "a"}, "UPPER"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if err := run(c.args); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if left, _ := os.ReadDir("."); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}
