package docker

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"

	"github.com/millwright-ci/millwright/agent/executor"
)

// HelperTag is the helper image for an architecture in Go's words, as it lies in the archive and on the engine.
func HelperTag(arch string) string { return "millwright/helper:" + arch }

// ensureHelper makes the engine have the helper image. The configured one wins and is pulled like any image. Ours is loaded
// while a machine is provisioned; where that did not happen it is loaded from the archive now. Nothing of ours is ever pulled.
func (e *Executor) ensureHelper(ctx context.Context) (local, error) {
	if name := e.o.Config.HelperImage; name != "" {
		name = e.o.Expand(strings.NewReplacer(
			"${CI_RUNNER_VERSION}", e.o.Name.RunnerVersion, "$CI_RUNNER_VERSION", e.o.Name.RunnerVersion,
			"${CI_RUNNER_REVISION}", e.o.Name.RunnerCommit, "$CI_RUNNER_REVISION", e.o.Name.RunnerCommit,
		).Replace(name))
		return e.ensure(ctx, Image{Name: name})
	}
	tag := HelperTag(e.arch)
	found, err := e.inspectImage(ctx, Image{Name: tag})
	if errdefs.IsNotFound(err) {
		if err = e.loadHelper(ctx, tag); err == nil {
			found, err = e.inspectImage(ctx, Image{Name: tag})
		}
	}
	if err != nil {
		return local{}, engineErr(fmt.Errorf("helper image %s: %w", tag, err))
	}
	l := local{ref: found.ID}
	l.facts(found)
	return l, nil
}

func (e *Executor) loadHelper(ctx context.Context, tag string) error {
	var path string
	if e.o.HelperArchive != nil {
		path = e.o.HelperArchive(e.arch)
	}
	if path == "" {
		return executor.Errorf(executor.Configuration,
			"not on the engine, and there is no archive of it for %s; build one with `task helper-image` or set helper_image", e.arch)
	}
	archive, err := os.Open(path)
	if err != nil {
		return executor.Errorf(executor.Configuration, "%w; build it with `task helper-image` or set helper_image", err)
	}
	defer archive.Close()
	e.o.Console.Println("Loading helper image " + tag + " ...")
	answer, err := e.api.ImageLoad(ctx, archive, client.ImageLoadWithQuiet(true))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}
