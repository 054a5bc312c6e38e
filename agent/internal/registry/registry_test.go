package registry

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// writeLayout makes a layout with one random image.
func writeLayout(t *testing.T, dir, ref string) v1.Image {
	t.Helper()
	img, err := random.Image(2000, 2)
	if err != nil {
		t.Fatal(err)
	}
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := path.AppendImage(img, layout.WithAnnotations(map[string]string{RefName: ref})); err != nil {
		t.Fatal(err)
	}
	return img
}

func start(t *testing.T, dir string) *Server {
	t.Helper()
	s, err := Start("127.0.0.1:0", dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// get asks without keeping the connection, so that nothing is left running.
func get(t *testing.T, method, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// A real registry client pulls what engines would ask a mirror of Docker Hub for.
func TestPull(t *testing.T) {
	dir := t.TempDir()
	want := map[string]v1.Image{
		"library/busybox:1.35": writeLayout(t, filepath.Join(dir, "a"), "busybox:1.35"),
		"millwright/cc:tcc":    writeLayout(t, filepath.Join(dir, "b"), "millwright/cc:tcc"),
		"library/plain:latest": writeLayout(t, filepath.Join(dir, "c"), "plain"),
	}
	s := start(t, dir)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	for asked, made := range want {
		ref, err := name.ParseReference(strings.TrimPrefix(s.URL, "http://")+"/"+asked, name.Insecure)
		if err != nil {
			t.Fatal(err)
		}
		img, err := remote.Image(ref, remote.WithContext(t.Context()), remote.WithTransport(transport))
		if err != nil {
			t.Fatalf("%s: %v", asked, err)
		}
		if err := validate.Image(img); err != nil {
			t.Errorf("%s: %v", asked, err)
		}
		got, _ := img.Digest()
		if d, _ := made.Digest(); got != d {
			t.Errorf("%s: digest %s, want %s", asked, got, d)
		}
	}
}

func TestNames(t *testing.T) {
	for in, want := range map[string][2]string{
		"busybox":               {"library/busybox", "latest"},
		"busybox:1.35":          {"library/busybox", "1.35"},
		"docker.io/a/b:2":       {"a/b", "2"},
		"docker.io/redis":       {"library/redis", "latest"},
		"reg.example:5000/a/b":  {"reg.example:5000/a/b", "latest"},
		"reg.example:5000/a:v1": {"reg.example:5000/a", "v1"},
	} {
		if repo, tag := hubName(in); repo != want[0] || tag != want[1] {
			t.Errorf("%s: %s and %s, want %v", in, repo, tag, want)
		}
	}
}

func TestReadOnlyAndMisses(t *testing.T) {
	dir := t.TempDir()
	writeLayout(t, dir, "busybox:1.35")
	s := start(t, dir)
	for name, c := range map[string]struct {
		method, path string
		want         int
	}{
		"ping":             {"GET", "/v2/", 200},
		"manifest":         {"HEAD", "/v2/library/busybox/manifests/1.35", 200},
		"other tag":        {"GET", "/v2/library/busybox/manifests/9", 404},
		"other image":      {"GET", "/v2/library/nosuch/manifests/1", 404},
		"blob that is not": {"GET", "/v2/library/busybox/blobs/sha256:" + strings.Repeat("0", 64), 404},
		"blob outside":     {"GET", "/v2/library/busybox/blobs/..%2f..%2findex.json", 404},
		"upload":           {"POST", "/v2/library/busybox/blobs/uploads/", 405},
		"push":             {"PUT", "/v2/library/busybox/manifests/1.35", 405},
		"delete":           {"DELETE", "/v2/library/busybox/manifests/1.35", 405},
		"nothing of ours":  {"GET", "/favicon.ico", 404},
	} {
		t.Run(name, func(t *testing.T) {
			if code, body := get(t, c.method, s.URL+c.path); code != c.want {
				t.Errorf("%s %s: status %d (%s), want %d", c.method, c.path, code, body, c.want)
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	cases := map[string]struct {
		prepare func(t *testing.T, dir string)
		want    string
	}{
		"no folder":    {func(t *testing.T, dir string) { os.RemoveAll(dir) }, "demo-images"},
		"empty folder": {func(*testing.T, string) {}, "no OCI layout"},
		"no name":      {func(t *testing.T, dir string) { writeLayout(t, dir, "") }, "has no name"},
		"layer cut short": {func(t *testing.T, dir string) {
			img := writeLayout(t, dir, "a:1")
			layers, _ := img.Layers()
			h, _ := layers[0].Digest()
			if err := os.Truncate(filepath.Join(dir, "blobs", h.Algorithm, h.Hex), 10); err != nil {
				t.Fatal(err)
			}
		}, "has 10 bytes"},
		"layer missing": {func(t *testing.T, dir string) {
			img := writeLayout(t, dir, "a:1")
			layers, _ := img.Layers()
			h, _ := layers[1].Digest()
			os.Remove(filepath.Join(dir, "blobs", h.Algorithm, h.Hex))
		}, "is missing"},
		"index is no JSON": {func(t *testing.T, dir string) {
			writeLayout(t, dir, "a:1")
			os.WriteFile(filepath.Join(dir, "index.json"), []byte("{"), 0o600)
		}, dirHint},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "images")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			c.prepare(t, dir)
			_, err := Open(dir)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

const dirHint = "images in "

func TestImages(t *testing.T) {
	dir := t.TempDir()
	writeLayout(t, filepath.Join(dir, "1"), "redis:7.0")
	writeLayout(t, filepath.Join(dir, "2"), "busybox:1.35")
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := r.Images(), []string{"busybox:1.35", "redis:7.0"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
