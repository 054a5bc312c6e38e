package main

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"errors"
	"io"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/millwright-ci/millwright/agent/internal/need"
)

// The archives of both architectures say which one they are of, hold programs of that one only, and each library that those want.
func TestHelperImageOfEachArchitecture(t *testing.T) {
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		t.Run(arch, func(t *testing.T) {
			t.Parallel()
			archive := need.File(t, "../../../bin/helper-image-"+arch+".tar", "`go tool task helper-image` builds it")
			manifest, err := tarball.LoadManifest(func() (io.ReadCloser, error) { return os.Open(archive) })
			if err != nil {
				t.Fatal(err)
			}
			if len(manifest) != 1 || strings.Join(manifest[0].RepoTags, " ") != "millwright/helper:"+arch {
				t.Errorf("the manifest: %+v", manifest)
			}
			img, err := tarball.ImageFromPath(archive, nil)
			if err != nil {
				t.Fatal(err)
			}
			config, err := img.ConfigFile()
			if err != nil || config.OS != "linux" || config.Architecture != arch || strings.Join(config.Config.Cmd, " ") != "gitlab-runner-build" {
				t.Errorf("the configuration: %+v, %v", config, err)
			}
			files := mutate.Extract(img)
			defer files.Close()
			checkPrograms(t, files, machine)
		})
	}
}

// checkPrograms reads a file system.
func checkPrograms(t *testing.T, files io.Reader, machine elf.Machine) {
	t.Helper()
	names, links, wanted := map[string]bool{}, map[string]string{}, map[string]string{}
	for r := tar.NewReader(files); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		name := path.Clean("/" + h.Name)
		names[path.Base(name)] = true
		if h.Typeflag == tar.TypeSymlink {
			links[name] = h.Linkname
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		file, err := elf.NewFile(bytes.NewReader(data))
		if err != nil {
			continue // no program
		}
		if file.Machine != machine {
			t.Errorf("%s is of %s, want %s", name, file.Machine, machine)
		}
		libraries, _ := file.ImportedLibraries() // a static program has none
		for _, l := range libraries {
			wanted[l] = name
		}
	}
	for _, program := range []string{"millwright-helper", "git", "git-lfs", "bash", "ssh", "ca-certificates.crt"} {
		if !names[program] {
			t.Errorf("%s is missing", program)
		}
	}
	for _, name := range []string{"/usr/bin/gitlab-runner-helper", "/usr/bin/gitlab-runner-build"} {
		if links[name] != "millwright-helper" {
			t.Errorf("%s leads to %q", name, links[name])
		}
	}
	for library, by := range wanted {
		if !names[library] {
			t.Errorf("%s wants %s, which is missing", by, library)
		}
	}
}
