package provision

import (
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
)

// portSwitch is one address behind which the machine changes.
type portSwitch struct {
	port int

	mu     sync.Mutex // guards target
	target int
}

// newSwitch passes connections on to target. onConn is told the number of each, from 1 on, before it is passed on.
func newSwitch(t *testing.T, target int, onConn func(s *portSwitch, n int)) *portSwitch {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &portSwitch{port: l.Addr().(*net.TCPAddr).Port, target: target}
	var wg sync.WaitGroup
	t.Cleanup(func() { l.Close(); wg.Wait() })
	wg.Go(func() {
		for n := 1; ; n++ {
			in, err := l.Accept()
			if err != nil {
				return
			}
			onConn(s, n)
			wg.Go(func() { s.pass(in) })
		}
	})
	return s
}

func (s *portSwitch) to(port int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.target = port
}

func (s *portSwitch) pass(in net.Conn) {
	defer in.Close()
	s.mu.Lock()
	address := fmt.Sprintf("127.0.0.1:%d", s.target)
	s.mu.Unlock()
	out, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() { io.Copy(out, in); out.Close() })
	io.Copy(in, out)
	in.Close()
	wg.Wait()
}
