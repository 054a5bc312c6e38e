package need

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// Server runs a program of a Go module of its own, in dir, and returns the first line that it prints, which is its address. The program
// ends with its standard input, which is when the test ends. The go command fetches what the module requires; where it can't, the part
// is missing.
func Server(t testing.TB, dir, pkg string, args ...string) (address string) {
	t.Helper()
	Command(t, "go")
	env := append(os.Environ(), "GOFLAGS=-buildvcs=false")
	list := exec.Command("go", "list", "-deps", pkg)
	list.Dir, list.Env = dir, env
	if out, err := list.CombinedOutput(); err != nil {
		missing(t, "the Go modules of "+pkg+" in "+dir+": "+string(out))
	}
	cmd := exec.Command("go", append([]string{"run", pkg}, args...)...)
	cmd.Dir, cmd.Env = dir, env
	var said buffer
	cmd.Stderr = &said
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stdout)
	t.Cleanup(func() {
		stdin.Close()
		_, _ = io.Copy(io.Discard, lines)
		_ = cmd.Wait() // how it ends is of no interest
	})
	line, err := lines.ReadString('\n')
	if err != nil {
		t.Fatalf("%s gave no address: %v\n%s", pkg, err, said.String())
	}
	return strings.TrimSpace(line)
}

// buffer keeps what a program says, for a message.
type buffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.b.Len() > 64<<10 {
		return len(p), nil
	}
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
