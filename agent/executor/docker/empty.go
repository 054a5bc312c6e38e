package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/millwright-ci/millwright/agent/executor"
)

// Empty implements executor.Emptier. Where the engine keeps the directory elsewhere than on this host no container is started, either: of what is copied into one, a file in the place of a directory replaces it
// with all that it holds, and a directory in the place of that file is an empty one. Source: Docker Engine API v1.41, "Extract an archive of
// files or folders to a directory in a container", noOverwriteDirNonDir.
func (e *Executor) Empty(ctx context.Context, dir string) error {
	if e.emptyHere(ctx, dir) == nil {
		return nil
	}
	id, err := e.container(ctx, executor.Helper)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	now := time.Now()
	err = errors.Join(
		w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: path.Base(dir), Mode: 0o600, ModTime: now}),
		w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: path.Base(dir), Mode: 0o777, ModTime: now}),
		w.Close(),
	)
	if err == nil {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		err = e.api.CopyToContainer(call, id, path.Dir(dir), &b, container.CopyToContainerOptions{AllowOverwriteDirWithFile: true})
	}
	if err != nil {
		return fmt.Errorf("empty %s: %w", dir, engineErr(err))
	}
	return nil
}

var _ executor.Emptier = (*Executor)(nil)
