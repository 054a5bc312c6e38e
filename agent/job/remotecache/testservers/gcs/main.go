// Command gcs is a store in memory that speaks the API of Google Cloud Storage, for tests. It listens on the address that it is given,
// makes the bucket "caches", prints its address and serves until its standard input ends. It checks no signatures: the test in front
// of it does.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"

	"github.com/fsouza/fake-gcs-server/fakestorage"
)

func main() {
	server, err := fakestorage.NewServerWithOptions(fakestorage.Options{NoListener: true, PublicHost: os.Args[2]})
	if err != nil {
		log.Fatal(err)
	}
	server.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: "caches"})
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr())
	go func() { log.Fatal(http.Serve(listener, server.HTTPHandler())) }()
	_, _ = io.Copy(io.Discard, os.Stdin)
}
