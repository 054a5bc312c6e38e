package artifact

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/stream"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"aws":                            "registry.gitlab.com/gitlab-org/fleeting/plugins/aws latest",
		"aws:1.2":                        "registry.gitlab.com/gitlab-org/fleeting/plugins/aws 1.2",
		"mine/plugin":                    "registry.gitlab.com/mine/plugin latest",
		"a/b/plugin:1":                   "registry.gitlab.com/a/b/plugin 1",
		"registry.example.com/a/b:1.2.3": "registry.example.com/a/b 1.2.3",
		"registry.example.com:5000/a/b":  "registry.example.com_5000/a/b latest",
		"localhost:5000/a/b:1.0.0-rc.1":  "localhost_5000/a/b 1.0.0-rc.1",
		"ghcr.io/x/plugin:latest":        "ghcr.io/x/plugin latest",
	} {
		r, err := parse(text)
		if got := filepath.ToSlash(r.folder()) + " " + r.tag.TagStr(); err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "aws:stable", "aws:1.2.3.4", "aws:-1", "AWS", "a b", "../../etc:1", "a/../b", "aws@sha256:" + strings.Repeat("0", 64), "aws:1.2.3+x", "aws:1.2.3-"} {
		if r, err := parse(text); err == nil || !strings.Contains(err.Error(), "use NAME, REPOSITORY/NAME") {
			t.Errorf("%q: got %v, %v", text, r.tag, err)
		}
	}
}

// GitLab's own examples: what a constraint picks among versions.
func TestConstraints(t *testing.T) {
	var all []version
	for _, text := range strings.Fields("1.0.0-rc.a 1.0.0-beta.2 1.0.0-alpha 1.0.0-beta.11 1.0.0 2.0.0-alpha 2.0.0 1.1.2 1.1.10 1.100.0 2.100.0 2.100.0-rc.1") {
		v, err := parseVersion(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	for text, want := range map[string]string{
		"latest": "2.100.0", "1": "1.100.0", "1.1": "1.1.10", "2.0": "2.0.0", "1.0.0": "1.0.0", "1.0.0-beta.11": "1.0.0-beta.11", "3": "", "1.2": "", "1.1.3": "", "1.0.0-gamma": "",
	} {
		c, err := parseConstraint(text)
		if err != nil {
			t.Fatal(err)
		}
		v, ok := c.best(all)
		if got := v.String(); ok != (want != "") || ok && got != want {
			t.Errorf("%s: got %s, %v, want %q", text, got, ok, want)
		}
	}
	ordered := strings.Fields("1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 1.0.0 1.0.1 1.10.0")
	for i := range ordered[1:] {
		a, _ := parseVersion(ordered[i])
		b, _ := parseVersion(ordered[i+1])
		if compare(a, b) >= 0 || compare(b, a) <= 0 {
			t.Errorf("%s is not before %s", a, b)
		}
	}
}

// place puts a program where a plug-in lies.
func place(t *testing.T, path string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFind(t *testing.T) {
	folder, bin := t.TempDir(), t.TempDir()
	own := filepath.Join(folder, "registry.gitlab.com", "gitlab-org", "fleeting", "plugins", "aws")
	old := place(t, filepath.Join(own, "0.5.0", program()))
	newest := place(t, filepath.Join(own, "1.10.0", program()))
	pre := place(t, filepath.Join(own, "2.0.0-!r!c1", program()))
	place(t, filepath.Join(own, "9.9.9-beta", program()))
	place(t, filepath.Join(own, "stable", program()))
	if err := os.WriteFile(filepath.Join(own, "8.0.0"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(own, "7.0.0"), 0o755); err != nil { // one without a program
		t.Fatal(err)
	}
	onPath := place(t, filepath.Join(bin, "fleeting-plugin-x"+filepath.Ext(program())))
	t.Setenv("PATH", bin)
	for name, want := range map[string]string{
		"aws:1": newest, "aws:1.10": newest, "aws:0.5.0": old, "aws:2.0.0-RC1": pre, "gitlab-org/fleeting/plugins/aws:0": old, "fleeting-plugin-x": onPath, onPath: onPath,
	} {
		if got, err := Find(name, folder); got != want || err != nil {
			t.Errorf("%s: got %s, %v, want %s", name, got, err, want)
		}
	}
	for name, want := range map[string]string{
		"googlecloud":       "run `millwright fleeting install`",
		"aws:3":             "(there are 0.5.0, 1.10.0, 2.0.0-RC1, 7.0.0, 9.9.9-beta)",
		"fleeting-plugin-y": "put fleeting-plugin-NAME on the PATH",
		"/nowhere/plugin":   "no such file",
	} {
		if got, err := Find(name, folder); !errors.Is(err, ErrNotInstalled) || runtime.GOOS != "windows" && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %s, %v, want %q", name, got, err, want)
		}
	}
	if got, err := Find("aws", folder); err == nil || errors.Is(err, ErrNotInstalled) { // 7.0.0 is the newest, and broken
		t.Errorf("got %s, %v", got, err)
	}
}

// file is one in an archive.
type file struct {
	name, text string
	kind       byte // 0: a plain file
	mode       int64
}

func archive(t *testing.T, files ...file) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.text)), Typeflag: f.kind}
		if f.kind == tar.TypeSymlink || f.kind == tar.TypeLink {
			h.Linkname, h.Size = f.text, 0
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := io.WriteString(w, f.text); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// publish puts a plug-in into a registry as GitLab's fleeting-artifact does: an index with an image for each platform, whose one layer is annotated with the
// version, and the tags of the version and its aliases.
func publish(t *testing.T, repository, v string, aliases []string, platforms map[string][]byte) {
	t.Helper()
	index := v1.ImageIndex(empty.Index)
	for platform, content := range platforms {
		p, err := v1.ParsePlatform(platform)
		if err != nil {
			t.Fatal(err)
		}
		image, err := mutate.Config(mutate.MediaType(empty.Image, types.OCIManifestSchema1), v1.Config{Entrypoint: []string{"/plugin/plugin"}, Env: []string{"FLEETING_PLUGIN_PKG_VERSION=" + v}})
		if err != nil {
			t.Fatal(err)
		}
		image, err = mutate.Append(mutate.ConfigMediaType(image, types.OCIConfigJSON), mutate.Addendum{
			Layer:       stream.NewLayer(io.NopCloser(bytes.NewReader(content)), stream.WithCompressionLevel(gzip.DefaultCompression)),
			Annotations: map[string]string{layerAnnotation: v},
		})
		if err != nil {
			t.Fatal(err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{
			Platform: p, Annotations: map[string]string{"org.opencontainers.image.version": v, "org.opencontainers.image.base.name": "scratch"},
		}})
	}
	for i, tag := range append([]string{v}, aliases...) {
		ref, err := name.NewTag(repository + ":" + tag)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			err = remote.WriteIndex(ref, index, remote.WithAuthFromKeychain(authn.DefaultKeychain))
		} else {
			err = remote.Tag(ref, index, remote.WithAuthFromKeychain(authn.DefaultKeychain))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// here is this machine's platform.
const here = runtime.GOOS + "/" + runtime.GOARCH

func host(s *httptest.Server) string { return strings.TrimPrefix(s.URL, "http://") }

func quiet() http.Handler { return registry.New(registry.Logger(log.New(io.Discard, "", 0))) }

func TestInstall(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	s := httptest.NewServer(quiet())
	defer s.Close()
	repository := host(s) + "/group/plugin"
	files := []file{{name: "plugin/", kind: tar.TypeDir, mode: 0o755}, {name: "plugin/" + program(), text: "one", mode: 0o755}, {name: "plugin/LICENSE", text: "free", mode: 0o644}, {name: "plugin/inner/data", text: "x", mode: 0o600}}
	publish(t, repository, "1.0.0", []string{"1", "1.0", "latest"}, map[string][]byte{here: archive(t, files...), "plan9/mips": archive(t)})
	folder := filepath.Join(t.TempDir(), "made", "by", "it")
	path, err := Install(t.Context(), repository, folder)
	if err != nil {
		t.Fatal(err)
	}
	found, err := Find(repository+":1.0", folder)
	if found != path || err != nil {
		t.Errorf("found %s, %v; installed %s", found, err, path)
	}
	if text, err := os.ReadFile(path); string(text) != "one" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o755 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if again, err := Install(t.Context(), repository, folder); again != path || err != nil {
		t.Errorf("again: %s, %v", again, err)
	}
	files[1].text = "two"
	publish(t, repository, "1.1.0", []string{"1", "1.1", "latest"}, map[string][]byte{here: archive(t, files...)})
	if newer, err := Install(t.Context(), repository+":1", folder); err != nil || filepath.Base(filepath.Dir(newer)) != "1.1.0" {
		t.Errorf("newer: %s, %v", newer, err)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(path)), ".install-*"))
	if diff := cmp.Diff([]string(nil), left); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

func TestRefusals(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	s := httptest.NewServer(quiet())
	defer s.Close()
	good := file{name: "plugin/" + program(), text: "x", mode: 0o755}
	for name, c := range map[string]struct {
		files    []file
		version  string
		platform string
		want     string
	}{
		"climbs":           {[]file{good, {name: "plugin/../../evil", text: "x"}}, "", "", "does not lie in plugin/"},
		"absolute":         {[]file{good, {name: "/etc/evil", text: "x"}}, "", "", "does not lie in plugin/"},
		"beside":           {[]file{good, {name: "evil", text: "x"}}, "", "", "does not lie in plugin/"},
		"symbolic link":    {[]file{good, {name: "plugin/link", text: "/etc/passwd", kind: tar.TypeSymlink}}, "", "", "no plain file"},
		"hard link":        {[]file{good, {name: "plugin/link", text: "plugin/plugin", kind: tar.TypeLink}}, "", "", "no plain file"},
		"device":           {[]file{good, {name: "plugin/null", kind: tar.TypeChar}}, "", "", "no plain file"},
		"twice":            {[]file{good, good}, "", "", "exists"},
		"no program":       {[]file{{name: "plugin/README", text: "x"}}, "", "", "has no file plugin/" + program()},
		"other platform":   {[]file{good}, "", "plan9/mips", "it is not published for " + here + ", but for [plan9/mips]"},
		"strange version":  {[]file{good}, "../../1.0.0", "", "is no version"},
		"another version":  {[]file{good}, "2.0.0", "", `is version 2.0.0, which "1.0.0" does not mean`},
		"not a plain name": {[]file{good, {name: "plugin/a/../b", text: "x"}}, "", "", "does not lie in plugin/"},
	} {
		t.Run(name, func(t *testing.T) {
			repository, folder := host(s)+"/refused/"+strings.ReplaceAll(name, " ", "-"), t.TempDir()
			platform, said := here, "1.0.0"
			if c.platform != "" {
				platform = c.platform
			}
			if c.version != "" {
				said = c.version
			}
			index := map[string][]byte{platform: archive(t, c.files...)}
			if said == "1.0.0" {
				publish(t, repository, said, nil, index)
			} else {
				publishAs(t, repository, "1.0.0", said, index)
			}
			path, err := Install(t.Context(), repository+":1.0.0", folder)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %s, %v, want %q", path, err, c.want)
			}
			_ = filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
				if err == nil && !d.IsDir() {
					t.Errorf("left: %s", path)
				}
				return nil
			})
		})
	}
}

// publishAs publishes a version by another's tag.
func publishAs(t *testing.T, repository, tag, said string, platforms map[string][]byte) {
	t.Helper()
	image, err := mutate.Append(empty.Image, mutate.Addendum{
		Layer: stream.NewLayer(io.NopCloser(bytes.NewReader(platforms[here]))), Annotations: map[string]string{layerAnnotation: said},
	})
	if err != nil {
		t.Fatal(err)
	}
	p, err := v1.ParsePlatform(here)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.NewTag(repository + ":" + tag)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(ref, mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: p}})); err != nil {
		t.Fatal(err)
	}
}

// A registry, or whoever sits before it, that serves another layer than it promised.
func TestTampered(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	inner, tamper := quiet(), false
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !tamper || r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/") {
			inner.ServeHTTP(w, r)
			return
		}
		var evil bytes.Buffer
		z := gzip.NewWriter(&evil)
		z.Write(archive(t, file{name: "plugin/" + program(), text: "evil", mode: 0o755}))
		z.Close()
		w.Write(evil.Bytes())
	}))
	defer s.Close()
	repository, folder := host(s)+"/group/plugin", t.TempDir()
	publish(t, repository, "1.0.0", []string{"latest"}, map[string][]byte{here: archive(t, file{name: "plugin/" + program(), text: "good", mode: 0o755})})
	tamper = true
	if path, err := Install(t.Context(), repository, folder); err == nil {
		text, _ := os.ReadFile(path)
		t.Fatalf("installed %q", text)
	}
	if _, err := Find(repository, folder); !errors.Is(err, ErrNotInstalled) {
		t.Errorf("got %v", err)
	}
}

func TestLogin(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	inner := quiet()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "me" || password != "right" {
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	defer s.Close()
	repository, folder := host(s)+"/group/plugin", t.TempDir()
	if _, err := Install(t.Context(), repository, folder); err == nil || !strings.Contains(err.Error(), "see `millwright fleeting login "+host(s)+"`") {
		t.Errorf("got %v", err)
	}
	if _, err := Login(t.Context(), host(s), "me", "wrong"); err == nil {
		t.Error("wrong credentials are kept")
	}
	if _, err := Login(t.Context(), host(s), "", ""); err == nil || !strings.Contains(err.Error(), "--password-stdin") {
		t.Errorf("got %v", err)
	}
	kept, err := Login(t.Context(), host(s), "me", "right")
	if err != nil || filepath.Dir(kept) != dir {
		t.Fatal(kept, err)
	}
	publish(t, repository, "1.0.0", []string{"latest"}, map[string][]byte{here: archive(t, file{name: "plugin/" + program(), text: "x", mode: 0o755})})
	if _, err := Install(t.Context(), repository, folder); err != nil {
		t.Error(err)
	}
}

func TestSuiting(t *testing.T) {
	for name, c := range map[string]struct {
		arch string
		arm  int
		want string
	}{
		"amd64": {"amd64", 6, "linux/amd64 linux/386"},
		"arm64": {"arm64", 6, "linux/arm64/v8 linux/arm/v7 linux/arm/v6 linux/arm/v5"},
		"arm":   {"arm", 6, "linux/arm/v6 linux/arm/v5"},
		"s390x": {"s390x", 6, "linux/s390x"},
	} {
		var got []string
		for _, p := range suiting("linux", c.arch, c.arm) {
			got = append(got, p.String())
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: got %v, want %s", name, got, c.want)
		}
	}
}
