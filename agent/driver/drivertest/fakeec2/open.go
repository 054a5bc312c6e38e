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
var shared = sync.OnceValues(func() (*Server, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	root, err := findRoot()
	if err != nil {
		return nil, err
	}
	return StartServer(ctx, root)
})

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
	server, err := shared()
	if err != nil {
		t.Fatal(err)
	}
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
