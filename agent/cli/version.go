package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
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

func versionText() string {
	return fmt.Sprintf("millwright %s (%s) %s %s/%s", Version, revision(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
