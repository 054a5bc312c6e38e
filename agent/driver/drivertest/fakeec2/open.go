package fakeec2

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// shared is one moto for all tests of a process. It ends with the process.
var shared = sync.OnceValues(start)

func start() (*Server, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	root, err := findRoot()
	if err != nil {
		return nil, err
	}
	return StartServer(ctx, root)
}

// findRoot is where moto lies: below the folder of go.mod.
func findRoot() (string, error) {
	dir, err := os.Getwd()
	for ; err == nil; dir = filepath.Dir(dir) {
		if _, missing := os.Stat(filepath.Join(dir, "go.mod")); missing == nil || dir == filepath.Dir(dir) {
			break
		}
	}
	return filepath.Join(dir, root), err
}

// Open starts a cloud for a test, on a moto that all share. At the end of the test it fails if there was a request that AWS would refuse.
func Open(t testing.TB, s Settings) *Cloud {
	t.Helper()
	needed(t)
	server, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return open(t, server, s)
}

// Own starts a moto that is the test's own and ends with it, for packages that look for what their tests leave behind.
func Own(t testing.TB) *Server {
	t.Helper()
	needed(t)
	server, err := start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server
}

// Cloud starts a cloud for a test, as Open does.
func (s *Server) Cloud(t testing.TB, settings Settings) *Cloud {
	t.Helper()
	return open(t, s, settings)
}

// needed skips a test where moto can't be run.
func needed(t testing.TB) {
	t.Helper()
	root, err := findRoot()
	if err != nil {
		t.Fatal(err)
	}
	switch lacks := Usable(root); {
	case lacks != "" && os.Getenv("MILLWRIGHT_REQUIRE") == "all": // as need does, which fakes may not import
		t.Fatalf("this test needs %s", lacks)
	case lacks != "":
		t.Skipf("this test needs %s", lacks)
	}
}

func open(t testing.TB, server *Server, s Settings) *Cloud {
	t.Helper()
	c, err := Start(server, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		for _, wrong := range c.Wrong() {
			t.Errorf("AWS would refuse this request: %s", wrong)
		}
	})
	return c
}
