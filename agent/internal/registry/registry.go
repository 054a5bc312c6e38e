// Package registry serves images from OCI layouts on disk as a read-only registry, which Docker engines take as a mirror of
// Docker Hub (registry-mirror, plain HTTP). The demo's and the tests' machines pull their job images from it.
package registry

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	ociregistry "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// RefName is the annotation of an OCI layout's index that holds an image's name.
// Source: OCI image specification, pre-defined annotation keys.
const RefName = "org.opencontainers.image.ref.name"

// Registry holds the images of some layouts. It is safe for concurrent use.
type Registry struct {
	images  []string
	blobs   blobs
	handler http.Handler
}

// Open reads every OCI layout that is dir itself or one of its sub-folders. Only indexes and manifests are read now, so it takes
// milliseconds however large the images are; blobs are read when they are asked for. An image without a name is an error, so is
// a folder without any layout, and a manifest whose layers are not all there.
func Open(dir string) (*Registry, error) {
	r := &Registry{blobs: blobs{}}
	inner := ociregistry.New(ociregistry.WithBlobHandler(r.blobs), ociregistry.Logger(log.New(io.Discard, "", 0)))
	r.handler = readOnly(inner)
	layouts, err := findLayouts(dir)
	if err != nil {
		return nil, err
	}
	for _, path := range layouts {
		if err := r.add(inner, path); err != nil {
			return nil, fmt.Errorf("images in %s: %w", path, err)
		}
	}
	slices.Sort(r.images)
	return r, nil
}

// Images returns the names of the images, sorted, such as busybox:1.35.
func (r *Registry) Images() []string { return slices.Clone(r.images) }

// ServeHTTP answers the pulling half of the registry protocol.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) { r.handler.ServeHTTP(w, req) }

func findLayouts(dir string) ([]string, error) {
	isLayout := func(path string) bool {
		_, err := os.Stat(filepath.Join(path, "oci-layout"))
		return err == nil
	}
	if isLayout(dir) {
		return []string{dir}, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("images: %w; `go tool task demo-images` makes them", err)
	}
	var found []string
	for _, e := range entries {
		if path := filepath.Join(dir, e.Name()); e.IsDir() && isLayout(path) {
			found = append(found, path)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("images: no OCI layout in %s; `go tool task demo-images` makes some", dir)
	}
	return found, nil
}

// add takes one layout in: its blobs by digest, its manifests by name.
func (r *Registry) add(inner http.Handler, path string) error {
	l, err := layout.FromPath(path)
	if err != nil {
		return err
	}
	index, err := l.ImageIndex()
	if err != nil {
		return err
	}
	im, err := index.IndexManifest()
	if err != nil {
		return err
	}
	if err := r.blobs.scan(filepath.Join(path, "blobs")); err != nil {
		return err
	}
	for _, desc := range im.Manifests {
		name := desc.Annotations[RefName]
		if name == "" {
			return fmt.Errorf("manifest %s has no name: annotation %s is missing", desc.Digest, RefName)
		}
		if !desc.MediaType.IsImage() {
			return fmt.Errorf("image %s: media type %s is not that of an image", name, desc.MediaType)
		}
		raw, err := l.Bytes(desc.Digest)
		if err != nil {
			return fmt.Errorf("image %s: %w", name, err)
		}
		if err := r.blobs.complete(raw); err != nil {
			return fmt.Errorf("image %s: %w", name, err)
		}
		if err := put(inner, name, string(desc.MediaType), raw); err != nil {
			return fmt.Errorf("image %s: %w", name, err)
		}
		r.images = append(r.images, name)
	}
	return nil
}

// put hands a manifest to the library's registry, which keeps manifests in memory only, under the name that an engine asks a
// mirror for.
func put(inner http.Handler, name, mediaType string, raw []byte) error {
	repo, tag := hubName(name)
	req, err := http.NewRequest(http.MethodPut, "/v2/"+repo+"/manifests/"+tag, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", mediaType)
	var w answer
	inner.ServeHTTP(&w, req)
	if w.code != http.StatusCreated {
		return fmt.Errorf("manifest refused with status %d: %s", w.code, strings.TrimSpace(w.body.String()))
	}
	return nil
}

// answer keeps what a handler says to a request that came over no network.
type answer struct {
	header http.Header
	code   int
	body   strings.Builder
}

func (a *answer) Header() http.Header {
	if a.header == nil {
		a.header = http.Header{}
	}
	return a.header
}

func (a *answer) WriteHeader(code int) { a.code = code }

func (a *answer) Write(p []byte) (int, error) { return a.body.Write(p) }

// hubName splits an image's name into the repository and tag that an engine asks Docker Hub, or its mirror, for: busybox:1.35
// is library/busybox and 1.35, a name without a tag is latest.
func hubName(name string) (repo, tag string) {
	repo, tag = name, "latest"
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		repo, tag = name[:i], name[i+1:]
	}
	repo = strings.TrimPrefix(repo, "docker.io/")
	if !strings.Contains(repo, "/") {
		repo = "library/" + repo
	}
	return repo, tag
}

// readOnly refuses what would change the registry.
func readOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodGet && req.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "this registry is read-only", http.StatusMethodNotAllowed)
			return
		}
		next.ServeHTTP(w, req)
	})
}
