// Command serve is the daemon of nestd as a program of its own, for an instance that is another machine.
package main

import (
	"fmt"
	"os"

	"github.com/millwright-ci/millwright/agent/internal/nestd"
)

func main() {
	nestd.Main()
	fmt.Fprintln(os.Stderr, "nestd: its folder is not named")
	os.Exit(2)
}
