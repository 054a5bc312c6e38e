// Command s3 is a store in memory that speaks S3's API, for tests. It listens on the address that it is given, makes the bucket
// "caches", prints its address and serves until its standard input ends. It checks no signatures: the test in front of it does.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

func main() {
	backend := s3mem.New()
	if err := backend.CreateBucket("caches"); err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr())
	go func() { log.Fatal(http.Serve(listener, gofakes3.New(backend).Server())) }()
	_, _ = io.Copy(io.Discard, os.Stdin)
}
