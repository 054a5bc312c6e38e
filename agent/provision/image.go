package provision

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/docker/docker/client"
)

// image is the third phase: the helper image, and archives that the operator named, are loaded where the engine does not have them yet.
func (r *run) image(ctx context.Context) error {
	if r.p.opts.HelperImage == nil && len(r.archives) == 0 {
		return nil
	}
	limit := r.p.opts.ImageTimeout
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not loaded within %s", limit))
	defer cancel()
	engine, err := newClient(r.p.Endpoint(r.m))
	if err != nil {
		return err
	}
	defer engine.Close()
	if err := r.helperImage(ctx, engine); err != nil {
		return err
	}
	for _, path := range r.archives { // a job that needs one has it pulled
		if err := r.load(ctx, engine, path); err != nil {
			r.log.Warn("an image is not preloaded", "file", path, "error", err)
		}
	}
	return nil
}

func (r *run) helperImage(ctx context.Context, engine *client.Client) error {
	loaded, err := r.p.LoadHelper(ctx, engine)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	r.debug.printf("helper image: loaded %t", loaded)
	return err
}

// LoadHelper loads the helper image into an engine that does not have it yet.
func (p *Provisioner) LoadHelper(ctx context.Context, engine *client.Client) (loaded bool, err error) {
	if p.opts.HelperImage == nil {
		return false, nil
	}
	info, err := engine.Info(ctx)
	if err != nil {
		return false, fmt.Errorf("engine info: %w", err)
	}
	arch := goArch(info.Architecture)
	file, err := p.opts.HelperImage(arch)
	if err != nil {
		return false, fmt.Errorf("helper image for %s: %w", arch, err)
	}
	if file == "" {
		return false, nil
	}
	if loaded, err = loadImage(ctx, engine, file); err != nil {
		return false, fmt.Errorf("helper image %s: %w", file, err)
	}
	return loaded, nil
}

// load has the engine load an archive.
func (r *run) load(ctx context.Context, engine *client.Client, path string) error {
	loaded, err := loadImage(ctx, engine, path)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	r.debug.printf("%s: loaded %t", path, loaded)
	return err
}

// loadImage loads the archive at file unless the engine has all its images, under their tags, already.
func loadImage(ctx context.Context, engine *client.Client, file string) (loaded bool, err error) {
	f, err := os.Open(file)
	if err != nil {
		return false, err
	}
	defer f.Close()
	images, err := readManifest(f)
	if err != nil {
		return false, err
	}
	missing := false
	for _, image := range images {
		for _, tag := range image.RepoTags {
			have, err := engine.ImageInspect(ctx, tag)
			if err != nil && !client.IsErrNotFound(err) {
				return false, err
			}
			missing = missing || err != nil || !image.is(have.ID)
		}
	}
	if !missing {
		return false, nil
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return false, err
	}
	res, err := engine.ImageLoad(ctx, f, client.ImageLoadWithQuiet(true))
	if err != nil {
		return false, err
	}
	defer res.Body.Close()
	return true, loadError(res.Body)
}

// archiveImage is one entry of manifest.json in an archive of `docker save`.
type archiveImage struct {
	Config   string   // file of the image's configuration, named by its digest: HEX.json, blobs/sha256/HEX or sha256:HEX
	RepoTags []string // NAME:TAG
}

// is tells whether id, sha256:HEX, is this image's. An engine with containerd's image store has other ids, and gets the image again.
func (a archiveImage) is(id string) bool {
	digest := strings.TrimPrefix(strings.TrimSuffix(path.Base(a.Config), ".json"), "sha256:")
	return strings.TrimPrefix(id, "sha256:") == digest
}

func readManifest(r io.Reader) ([]archiveImage, error) {
	archive := tar.NewReader(r)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil, errors.New("no image archive: it has no manifest.json")
		}
		if err != nil {
			return nil, fmt.Errorf("no image archive: %w", err)
		}
		if h.Name != "manifest.json" {
			continue
		}
		var images []archiveImage
		if err := json.NewDecoder(archive).Decode(&images); err != nil {
			return nil, fmt.Errorf("manifest.json: %w", err)
		}
		return images, nil
	}
}

// loadError reads the engine's progress messages to their end and returns the failure among them.
func loadError(r io.Reader) error {
	d := json.NewDecoder(r)
	for {
		var message struct {
			Error string `json:"error"`
		}
		err := d.Decode(&message)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the engine's answer: %w", err)
		}
		if message.Error != "" {
			return errors.New(message.Error)
		}
	}
}
