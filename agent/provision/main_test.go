package provision

import (
	"context"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// hammerEnv makes the test binary a second agent on the store that it names; see TestOneCAHammer.
const hammerEnv = "MILLWRIGHT_TEST_HAMMER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(hammerEnv); dir != "" {
		if err := hammer(dir, fmt.Sprintf("p%d-", os.Getpid()), 50); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

func newTest(t testing.TB, o Options) *Provisioner {
	t.Helper()
	if o.StoreDir == "" {
		o.StoreDir = t.TempDir()
	}
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func machineAt(name, address string, options abi.Options) fleet.Machine {
	return fleet.Machine{Name: name, Driver: "docker", Options: options, Instance: abi.Instance{Name: name, Address: address}}
}

func bootstrap(t testing.TB, p *Provisioner, name string) abi.Bootstrap {
	t.Helper()
	b, err := p.Bootstrap(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
