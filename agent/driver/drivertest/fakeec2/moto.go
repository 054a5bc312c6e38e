package fakeec2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"time"
)

// root is the folder where `go tool task moto` lays a small Debian with moto, below the module's.
var root = filepath.Join(".cache", "moto")

// Server is a running moto.
type Server struct {
	url     string
	command *exec.Cmd
	output  bytes.Buffer
	ended   chan struct{} // closed when it has
}

// Usable tells why moto can't be run here from the root file system given, "" when it can.
func Usable(root string) string {
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		return "moto runs in a chroot: be root on Linux"
	}
	if _, err := os.Stat(filepath.Join(root, "usr", "bin", "python3")); err != nil {
		return root + " is missing: `go tool task moto` makes it on Debian and Ubuntu"
	}
	return ""
}

// StartServer runs moto from a root file system on a port of loopback's. Close ends it.
func StartServer(ctx context.Context, root string) (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	s := &Server{url: "http://127.0.0.1:" + strconv.Itoa(port), ended: make(chan struct{})}
	s.command = inRoot(root, "/usr/bin/python3", "-m", "moto.server", "-H", "127.0.0.1", "-p", strconv.Itoa(port))
	s.command.Env = []string{"AWS_ACCESS_KEY_ID=moto", "AWS_SECRET_ACCESS_KEY=moto", "PATH=/usr/bin:/bin", "HOME=/tmp", "PYTHONDONTWRITEBYTECODE=1"}
	s.command.Stdout, s.command.Stderr = &s.output, &s.output
	if err := s.command.Start(); err != nil {
		return nil, err
	}
	var why error // it ended, once that is so
	go func() {
		defer close(s.ended)
		why = s.command.Wait()
	}()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		res, err := http.Get(s.url + "/moto-api/data.json")
		if err == nil {
			res.Body.Close()
			return s, nil
		}
		select {
		case <-s.ended:
			return nil, fmt.Errorf("moto ended: %w\n%s", why, s.output.String())
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), s.Close())
		case <-tick.C:
		}
	}
}

// URL is where moto answers, for all that it has of AWS. It tells services by what a request is signed for, and believes any signature.
func (s *Server) URL() string { return s.url }

// Close ends moto.
func (s *Server) Close() error {
	err := s.command.Process.Kill()
	<-s.ended
	return err
}
