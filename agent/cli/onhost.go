package cli

import (
	"runtime"
	"strings"

	"github.com/millwright-ci/millwright/agent/job"
)

// onHost is what jobs need that run on a host; user is whose rights they get there.
func onHost(user string) job.OnHost {
	return job.OnHost{User: user, Helper: helperBinary, HelperHint: "looked for in " + strings.Join(shippedDirs(), " and ")}
}

// helperBinary finds the helper for an operating system and an architecture in Go's words; "" when there is none. The one of this host
// ships beside the agent's binary; others bear system and architecture in their names: millwright-helper-linux-arm64.
func helperBinary(system, arch string) string {
	suffix := ""
	if system == "windows" {
		suffix = ".exe"
	}
	if path := shipped("millwright-helper-" + system + "-" + arch + suffix); path != "" {
		return path
	}
	if system != runtime.GOOS || arch != runtime.GOARCH {
		return ""
	}
	return shipped("millwright-helper" + suffix)
}
