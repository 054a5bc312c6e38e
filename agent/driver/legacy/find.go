package legacy

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// binaryPrefix begins the name of a plug-in's binary.
const binaryPrefix = "docker-machine-driver-"

// inDockerMachine are the drivers that docker-machine's own binary serves as a plug-in.
// Source: docker-machine's documentation, "Machine drivers".
var inDockerMachine = []string{
	"amazonec2", "azure", "digitalocean", "exoscale", "generic", "google", "hyperv", "none", "openstack", "rackspace", "softlayer", "virtualbox",
	"vmwarefusion", "vmwarevcloudair", "vmwarevsphere",
}

// driverName is what may be part of a file's name.
var driverName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// ErrNone means that there is no plug-in of a name.
var ErrNone = errors.New("there is no such plug-in")

// Find returns the path of the binary that serves a driver: docker-machine-driver-NAME on the PATH, for the drivers inside docker-machine also
// that. errors.Is(err, ErrNone) when there is none.
func Find(name string) (string, error) {
	if !driverName.MatchString(name) {
		return "", fmt.Errorf("driver %q: %w: that is no driver's name", name, ErrNone)
	}
	path, err := exec.LookPath(binaryPrefix + name)
	if err == nil {
		return path, nil
	}
	if slices.Contains(inDockerMachine, name) {
		if path, whole := exec.LookPath("docker-machine"); whole == nil && !ourselves(path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("driver %s: %w: no %s on the PATH", name, ErrNone, binaryPrefix+name)
}

// ourselves tells whether path is this very program, which also goes by the name of docker-machine.
func ourselves(path string) bool {
	own, err := os.Executable()
	if err != nil {
		return false
	}
	a, err := os.Stat(path)
	if err != nil {
		return false
	}
	b, err := os.Stat(own)
	return err == nil && os.SameFile(a, b)
}

// All lists the drivers of which there is a plug-in docker-machine-driver-NAME on the PATH, sorted. It starts none.
func All() []string {
	var names []string
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		found, err := filepath.Glob(filepath.Join(dir, binaryPrefix+"*"))
		if err != nil {
			continue // a folder whose name is a pattern
		}
		for _, path := range found {
			name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), binaryPrefix), ".exe")
			if _, err := Find(name); err == nil {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
