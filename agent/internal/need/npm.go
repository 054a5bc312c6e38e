package need

import (
	"os"
	"os/exec"
	"testing"
)

// NPM needs what the package-lock.json of dir names to be installed there: file is part of it. Where it is not, npm installs it, unless
// MILLWRIGHT_INSTALL is no.
func NPM(t testing.TB, dir, file string) {
	t.Helper()
	if _, err := os.Stat(file); err == nil {
		return
	}
	if os.Getenv("MILLWRIGHT_INSTALL") == "no" {
		missing(t, file+"; run npm ci in "+dir)
	}
	Command(t, "npm")
	cmd := exec.Command("npm", "ci", "--silent", "--no-progress", "--ignore-scripts")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		missing(t, file+", which npm ci in "+dir+" can't install: "+string(out))
	}
}
