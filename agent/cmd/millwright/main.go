// Command millwright is the agent and its command line.
package main

import (
	"os"

	"github.com/millwright-ci/millwright/agent/cli"
)

func main() { os.Exit(cli.Main(os.Args)) }
