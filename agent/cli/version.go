package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/millwright-ci/millwright/agent/coordinator"
)

// Version and Revision are stamped by the build: -ldflags "-X .../agent/cli.Version=... -X .../agent/cli.Revision=...".
var (
	Version  = "dev"
	Revision = ""
)

// revision is the stamped one, or what Go itself noted at the build.
func revision() string {
	if Revision != "" {
		return Revision
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 8 {
				return s.Value[:8]
			}
		}
	}
	return "unknown"
}

// versionText is what --version prints. Scripts look for the lines of gitlab-runner's, and for a release of it.
func versionText(name string) string {
	if name == runnerName {
		return fmt.Sprintf("Version:      %s\nGit revision: %s\nGit branch:   millwright %s\nGO version:   %s\nBuilt:        \nOS/Arch:      %s/%s",
			coordinator.CompatVersion, revision(), Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	}
	return fmt.Sprintf("millwright %s (%s) %s %s/%s", Version, revision(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
