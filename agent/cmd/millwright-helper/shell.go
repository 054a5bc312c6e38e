package main

import (
	"context"
	"fmt"
	"os"
)

// buildName is the command that runs a stage's script.
const buildName = "gitlab-runner-build"

var shells = []string{"/usr/local/bin/bash", "/usr/bin/bash", "/bin/bash", "/usr/bin/sh", "/bin/sh"}

// build becomes a shell that runs the script given as argument, or standard input. What it makes is writable for every user: the
// build container may run as another one.
func build(_ context.Context, args []string, _ console) error {
	for _, shell := range shells {
		if info, err := os.Stat(shell); err == nil && info.Mode()&0o111 != 0 {
			return become(shell, args)
		}
	}
	return fmt.Errorf("%s: shell not found; looked for %v", buildName, shells)
}
