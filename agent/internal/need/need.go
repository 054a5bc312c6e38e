// Package need says which real parts a test wants. Where a part is missing the test skips on a laptop; with
// MILLWRIGHT_REQUIRE=all, as CI sets it, the test fails instead, so that no proof is skipped in silence.
package need

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Docker returns the address of a local Docker engine (unix:///var/run/docker.sock or DOCKER_HOST).
func Docker(t testing.TB) string {
	t.Helper()
	host := os.Getenv("DOCKER_HOST")
	if host == "" {
		host = "unix:///var/run/docker.sock"
	}
	network, address, _ := strings.Cut(host, "://")
	conn, err := net.DialTimeout(network, address, 2*time.Second)
	if err != nil {
		missing(t, "a Docker engine at "+host+": "+err.Error()+"; `go tool task engine` installs and starts one on Debian and Ubuntu")
	}
	conn.Close()
	return host
}

// Command returns the path of a program.
func Command(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, "the program "+name)
	}
	return path
}

// File returns path itself when it exists; hint says how to make it.
func File(t testing.TB, path, hint string) string {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		missing(t, path+"; "+hint)
	}
	return path
}

// Root needs user id 0.
func Root(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		missing(t, "root")
	}
}

// missing ends the test: a skip on a laptop, a failure where everything is required.
func missing(t testing.TB, what string) {
	t.Helper()
	if Required() {
		t.Fatalf("this test needs %s", what)
	}
	t.Skipf("this test needs %s", what)
}

// Required tells whether a missing part is a failure.
func Required() bool { return os.Getenv("MILLWRIGHT_REQUIRE") == "all" }
