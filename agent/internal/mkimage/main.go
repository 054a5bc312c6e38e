// Command mkimage turns a root file system into a container image without an engine: a tar that `docker load` takes, or an OCI
// layout that agent/internal/registry serves. The image recipes call it.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/millwright-ci/millwright/agent/internal/registry"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "mkimage:", err)
		os.Exit(1)
	}
}

// recipe is what an image is made of.
type recipe struct {
	root, tag, arch              string
	archive, layout              string
	env, entrypoint, cmd, labels list
	exposed                      list
}

// list is a flag that may be given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, " ") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

func run(args []string) error {
	var r recipe
	fs := flag.NewFlagSet("mkimage", flag.ContinueOnError)
	fs.StringVar(&r.root, "root", "", "tar of the root file system")
	fs.StringVar(&r.tag, "tag", "", "name of the image, such as busybox:1.35")
	fs.StringVar(&r.arch, "arch", runtime.GOARCH, "architecture in Go's words")
	fs.StringVar(&r.archive, "archive", "", "write a tar for docker load here")
	fs.StringVar(&r.layout, "layout", "", "write an OCI layout into this folder, replacing it")
	fs.Var(&r.env, "env", "KEY=VALUE; may be repeated")
	fs.Var(&r.entrypoint, "entrypoint", "one word of the entry point; may be repeated")
	fs.Var(&r.cmd, "cmd", "one word of the default command; may be repeated")
	fs.Var(&r.labels, "label", "KEY=VALUE; may be repeated")
	fs.Var(&r.exposed, "expose", "PORT/tcp; may be repeated")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if r.root == "" || r.tag == "" || (r.archive == "") == (r.layout == "") {
		return fmt.Errorf("give -root, -tag and one of -archive and -layout")
	}
	img, err := r.image()
	if err != nil {
		return fmt.Errorf("%s: %w", r.tag, err)
	}
	if r.archive != "" {
		return r.writeArchive(img)
	}
	return r.writeLayout(img)
}

// image is the root file system as one compressed layer, and the configuration.
func (r recipe) image() (v1.Image, error) {
	layer, err := tarball.LayerFromFile(r.root)
	if err != nil {
		return nil, err
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", r.arch
	file.Config = v1.Config{Env: r.env, Entrypoint: r.entrypoint, Cmd: r.cmd, Labels: map[string]string{}, ExposedPorts: map[string]struct{}{}}
	for _, l := range r.labels {
		key, value, _ := strings.Cut(l, "=")
		file.Config.Labels[key] = value
	}
	for _, port := range r.exposed {
		file.Config.ExposedPorts[port] = struct{}{}
	}
	return mutate.ConfigFile(img, file)
}

// writeArchive writes beside the target and renames, so that a half-written file is never taken for an image.
func (r recipe) writeArchive(img v1.Image) error {
	ref, err := name.NewTag(r.tag)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(r.archive), 0o755); err != nil {
		return err
	}
	part := r.archive + ".part"
	defer os.Remove(part)
	if err := tarball.WriteToFile(part, ref, img); err != nil {
		return err
	}
	return os.Rename(part, r.archive)
}

func (r recipe) writeLayout(img v1.Image) error {
	part := r.layout + ".part"
	defer os.RemoveAll(part)
	if err := os.RemoveAll(part); err != nil {
		return err
	}
	path, err := layout.Write(part, empty.Index)
	if err != nil {
		return err
	}
	if err := path.AppendImage(img, layout.WithAnnotations(map[string]string{registry.RefName: r.tag})); err != nil {
		return err
	}
	if err := os.RemoveAll(r.layout); err != nil {
		return err
	}
	return os.Rename(part, r.layout)
}
