package registry

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	ociregistry "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// blobs finds the file of each blob by its digest. It is filled by Open and only read afterwards.
type blobs map[v1.Hash]blob

type blob struct {
	path string
	size int64
}

// scan takes in the blobs folder of a layout: ALGORITHM/HEX.
func (b blobs) scan(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil {
		return err
	}
	for _, path := range files {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		h, err := v1.NewHash(filepath.Base(filepath.Dir(path)) + ":" + filepath.Base(path))
		if err != nil || !info.Mode().IsRegular() {
			continue // a temporary file of whoever wrote the layout
		}
		b[h] = blob{path: path, size: info.Size()}
	}
	return nil
}

// complete tells whether the configuration and all layers that a manifest names are there in full.
func (b blobs) complete(manifest []byte) error {
	m, err := v1.ParseManifest(bytes.NewReader(manifest))
	if err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	for _, desc := range append([]v1.Descriptor{m.Config}, m.Layers...) {
		if have, ok := b[desc.Digest]; !ok {
			return fmt.Errorf("blob %s is missing", desc.Digest)
		} else if have.size != desc.Size {
			return fmt.Errorf("blob %s has %d bytes, its manifest says %d", desc.Digest, have.size, desc.Size)
		}
	}
	return nil
}

// Get opens a blob.
func (b blobs) Get(_ context.Context, _ string, h v1.Hash) (io.ReadCloser, error) {
	have, ok := b[h]
	if !ok {
		return nil, ociregistry.ErrNotFound
	}
	return os.Open(have.path)
}

// Stat returns a blob's size in bytes.
func (b blobs) Stat(_ context.Context, _ string, h v1.Hash) (int64, error) {
	have, ok := b[h]
	if !ok {
		return 0, ociregistry.ErrNotFound
	}
	return have.size, nil
}
