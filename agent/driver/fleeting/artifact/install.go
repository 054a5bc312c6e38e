package artifact

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"

	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// layerAnnotation marks the layer of an image that holds the plug-in; its value is the version.
// Source: gitlab.com/gitlab-org/fleeting/fleeting-artifact, pkg/client.
const layerAnnotation = "com.gitlab.fleeting.layer"

// maxLayer bounds a plug-in in the registry, in bytes.
const maxLayer = 512 << 20

// Install fetches the newest version of a plug-in that its name allows into folder, unless that is there, and returns the path of its binary. What comes
// is checked against the digests that the registry promised, and is in place as a whole or not at all. A plug-in that is no registry's is left alone.
func Install(ctx context.Context, plugin, folder string) (string, error) {
	if path, ok, err := local(plugin); ok {
		return path, err
	}
	r, err := parse(plugin)
	if err != nil {
		return "", err
	}
	index, err := remote.Index(r.tag, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain))
	if err != nil {
		return "", fmt.Errorf("plugin %q: %s: %w%s", plugin, r.tag, err, hint(err, r))
	}
	layer, v, err := choose(index)
	if err != nil {
		return "", fmt.Errorf("plugin %q: %s: %w", plugin, r.tag, err)
	}
	if !r.constraint.allows(v) {
		return "", fmt.Errorf("plugin %q: %s is version %s, which %q does not mean; name that version", plugin, r.tag, v, r.tag.TagStr())
	}
	dir := filepath.Join(folder, r.folder(), v.folder())
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		if err := put(layer, dir); err != nil {
			return "", fmt.Errorf("plugin %q: %s: %w", plugin, r.tag, err)
		}
	}
	path := filepath.Join(dir, program())
	if err := runnable(path); err != nil {
		return "", fmt.Errorf("plugin %q: %w; remove %s and install it again", plugin, err, dir)
	}
	return path, nil
}

// hint says what to do about a registry's refusal.
func hint(err error, r reference) string {
	var refused *transport.Error
	if errors.As(err, &refused) && (refused.StatusCode == http.StatusUnauthorized || refused.StatusCode == http.StatusForbidden) {
		return "; see `millwright fleeting login " + r.tag.RegistryStr() + "`"
	}
	return ""
}

// choose picks the plug-in for this platform out of an index.
func choose(index v1.ImageIndex) (v1.Layer, version, error) {
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, version{}, err
	}
	image, err := forPlatform(index, manifest.Manifests)
	if err != nil {
		return nil, version{}, err
	}
	inner, err := image.Manifest()
	if err != nil {
		return nil, version{}, err
	}
	for _, d := range inner.Layers {
		text, ok := d.Annotations[layerAnnotation]
		if !ok {
			continue
		}
		v, err := parseVersion(text)
		if err != nil {
			return nil, v, fmt.Errorf("its plug-in's version: %w", err)
		}
		if d.Size > maxLayer {
			return nil, v, fmt.Errorf("its plug-in has %d bytes; %d at most are taken", d.Size, maxLayer)
		}
		layer, err := image.LayerByDigest(d.Digest)
		return layer, v, err
	}
	return nil, version{}, fmt.Errorf("it is no fleeting plug-in: none of its layers has the annotation %s", layerAnnotation)
}

// forPlatform returns the image that suits this machine best.
func forPlatform(index v1.ImageIndex, all []v1.Descriptor) (v1.Image, error) {
	var names []string
	for _, want := range suiting(runtime.GOOS, runtime.GOARCH, ownARM()) {
		for _, d := range all {
			if p := d.Platform; p != nil && d.MediaType.IsImage() && p.OS == want.OS && p.Architecture == want.Architecture && (p.Variant == want.Variant || p.Variant == "") {
				return index.Image(d.Digest)
			}
		}
	}
	for _, d := range all {
		if d.Platform != nil {
			names = append(names, d.Platform.String())
		}
	}
	return nil, fmt.Errorf("it is not published for %s/%s, but for %v", runtime.GOOS, runtime.GOARCH, names)
}

// suiting are the platforms whose programs a machine runs, best first. arm is the version of a 32-bit ARM.
func suiting(system, arch string, arm int) []v1.Platform {
	all := []v1.Platform{{OS: system, Architecture: arch}}
	switch arch {
	case "amd64":
		all = append(all, v1.Platform{OS: system, Architecture: "386"})
	case "arm64":
		all[0].Variant = "v8"
		arm = 7
	case "arm":
		all = nil
	default:
		arm = 0
	}
	if arch == "arm" || arch == "arm64" {
		for v := arm; v >= 5; v-- {
			all = append(all, v1.Platform{OS: system, Architecture: "arm", Variant: fmt.Sprint("v", v)})
		}
	}
	return all
}

// ownARM is the version of a 32-bit ARM that this program was built for.
func ownARM() int {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "GOARM" && s.Value != "" {
				return int(s.Value[0] - '0')
			}
		}
	}
	return 6
}

// put unpacks a layer and moves it to dir as a whole.
func put(layer v1.Layer, dir string) error {
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(parent, ".install-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	content, err := layer.Uncompressed()
	if err != nil {
		return err
	}
	defer content.Close()
	if err := unpack(content, temp); err != nil {
		return err
	}
	if n, err := io.Copy(io.Discard, io.LimitReader(content, maxUnpacked)); err != nil || n == maxUnpacked { // the digest is that of the whole
		return cmp.Or(err, errors.New("its archive goes on after its end"))
	}
	if err := os.Chmod(temp, 0o755); err != nil {
		return err
	}
	if err := os.Rename(temp, dir); err != nil {
		if _, there := os.Stat(dir); there == nil {
			return nil // another install was faster
		}
		return err
	}
	return nil
}
