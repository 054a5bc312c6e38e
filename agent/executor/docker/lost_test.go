package docker_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/executor"
	"github.com/millwright-ci/millwright/agent/executor/docker"
	"github.com/millwright-ci/millwright/agent/internal/need"
)

// proxy stands between the executor and the engine and can cut what runs over it.
type proxy struct {
	net.Listener
	target string

	keeps []string // requests, by a part of their first line, whose connections never end by themselves

	mu    sync.Mutex // guards conns
	conns []net.Conn
	wait  sync.WaitGroup
}

func newProxy(t *testing.T, keeps ...string) *proxy {
	t.Helper()
	network, target, _ := strings.Cut(need.Docker(t), "://")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: listener, target: target, keeps: keeps}
	p.wait.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			engine, err := net.Dial(network, p.target)
			if err != nil {
				client.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, client, engine)
			p.mu.Unlock()
			p.wait.Go(func() { p.pass(client, engine) })
		}
	})
	t.Cleanup(func() { listener.Close(); p.cut(); p.wait.Wait() })
	return p
}

// pass hands on what client and engine say.
func (p *proxy) pass(client, engine net.Conn) {
	first := bufio.NewReader(client)
	_, _ = first.Peek(1)
	line, _ := first.Peek(first.Buffered())
	line, _, _ = bytes.Cut(line, []byte("\r\n"))
	p.wait.Go(func() { _, _ = io.Copy(engine, first); engine.Close() })
	_, _ = io.Copy(client, engine)
	if !slices.ContainsFunc(p.keeps, func(part string) bool { return bytes.Contains(line, []byte(part)) }) {
		client.Close()
	}
}

// cut ends all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}

// A stream that breaks off costs nothing: the stage goes on and each byte comes once.
func TestLostStream(t *testing.T) {
	p := newProxy(t)
	j := start(t, func(o *docker.Options) { o.Host = "tcp://" + p.Addr().String() })
	if _, _, err := j.script(t.Context(), executor.Build, "echo of an earlier stage"); err != nil {
		t.Fatal(err)
	}
	out := &signalWriter{when: "line 30\n", then: p.cut}
	var stderr bytes.Buffer
	err := j.Run(t.Context(), executor.Stage{Name: "test", Place: executor.Build, Stdout: out, Stderr: &stderr,
		Script: []byte("i=0; while [ $i -lt 90 ]; do i=$((i+1)); echo line $i; echo err $i >&2; sleep 0.05; done; exit 4")})
	var want, wantErr strings.Builder
	for i := 1; i <= 90; i++ {
		fmt.Fprintf(&want, "line %d\n", i)
		fmt.Fprintf(&wantErr, "err %d\n", i)
	}
	if err == nil || err.Error() != "exit code 4" {
		t.Errorf("got %v, want exit code 4", err)
	}
	if out.String() != want.String() || stderr.String() != wantErr.String() {
		t.Errorf("got %q\nand %q", out, stderr.String())
	}
}

// An engine that never ends the stream of a container that has ended holds nothing up: how it ended is asked, and the output comes from the
// engine's log.
func TestStreamWithoutEnd(t *testing.T) {
	p := newProxy(t, "/attach?")
	j := start(t, func(o *docker.Options) { o.Host, o.Silence = "tcp://"+p.Addr().String(), 500*time.Millisecond })
	for _, tt := range []struct{ script, out, err string }{
		{"true", "", ""},
		{"echo a first word", "a first word\n", ""},
		{"echo slow; sleep 3; echo and failed; exit 3", "slow\nand failed\n", "exit code 3"},
	} {
		out, _, err := j.script(t.Context(), executor.Build, tt.script)
		if got := fmt.Sprint(err); got != tt.err && (err != nil || tt.err != "") {
			t.Errorf("%s: %v, want %q", tt.script, err, tt.err)
		}
		if out != tt.out {
			t.Errorf("%s: %q, want %q", tt.script, out, tt.out)
		}
	}
}
