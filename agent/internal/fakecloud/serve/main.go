// Command serve runs a fake cloud as a process of its own, for tests and benchmarks whose cloud must not share the agent's process. It
// prints the API's address on the first line of its output and ends with SIGTERM, SIGINT, or its standard input when --until-eof is given.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/millwright-ci/millwright/agent/internal/fakecloud"
)

func main() {
	err := fakecloud.Command(os.Args[1:], os.Stdin, os.Stdout)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
