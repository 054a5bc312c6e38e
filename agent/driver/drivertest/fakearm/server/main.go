// Command server is Azure Resource Manager in memory, for tests: the fake servers of Azure's own Go SDK behind HTTP. It listens on the address that
// it is given, prints its address and serves until its standard input ends. Package fakearm speaks to it; clouds have addresses of their own.
//
// It is a Go module of its own, since the SDK takes minutes to compile and nothing but this needs it.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
)

func main() {
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	versions, err := sdkVersions()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr())
	go func() { log.Fatal(http.Serve(listener, newControl(versions))) }()
	_, _ = io.Copy(io.Discard, os.Stdin)
}
