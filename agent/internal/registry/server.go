package registry

import (
	"fmt"
	"net"
	"net/http"
	"time"
)

// Server is a registry on an address.
type Server struct {
	URL    string   // http://HOST:PORT, what an engine takes as registry-mirror
	Images []string // the names of what it serves, sorted

	http *http.Server
	done chan struct{}
}

// Start serves the images of dir (see Open) on address, HOST:PORT; port 0 takes a free one. The caller closes the server.
func Start(address, dir string) (*Server, error) {
	r, err := Open(dir)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("image registry: %w", err)
	}
	s := &Server{
		URL:    "http://" + l.Addr().String(),
		Images: r.Images(),
		http:   &http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second},
		done:   make(chan struct{}),
	}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(l) // always ends with ErrServerClosed, after Close
	}()
	return s, nil
}

// Close ends the server and every pull under way, and waits for its goroutine.
func (s *Server) Close() error {
	err := s.http.Close()
	<-s.done
	return err
}
