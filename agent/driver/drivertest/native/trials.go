package native

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Refusal is what becomes of a creation when something is wrong with the cloud.
type Refusal struct {
	Kind error    // of package driver: ErrCapacity and its like
	Says []string // what people must read
}

// Refused lets the cloud fail in each of these ways, asks for a machine, and holds what the driver says to what must follow.
func (d Driver) Refused(t *testing.T, fail func(fault string) error, request func() abi.CreateRequest, want map[string]Refusal) {
	t.Helper()
	for fault, r := range want {
		t.Run(fault, func(t *testing.T) {
			if err := fail(fault); err != nil {
				t.Fatal(err)
			}
			_, err := d.Create(t.Context(), request())
			if !errors.Is(err, r.Kind) {
				t.Errorf("%v; the kind must be %v", err, r.Kind)
			}
			for _, words := range r.Says {
				if err != nil && !strings.Contains(err.Error(), words) {
					t.Errorf("%v does not say %q", err, words)
				}
			}
		})
	}
}

// Burst makes machines m0, m1 and so on, each with a key of its own, lists them once and has remove take each away. It returns how many requests of the
// cloud, which calls counts, that took.
func (d Driver) Burst(t testing.TB, machines int, request func(name string) abi.CreateRequest, remove func(abi.Instance), calls func() int) (creates, lists, removes int) {
	t.Helper()
	all := make([]abi.Instance, machines)
	before := calls()
	var last abi.CreateRequest
	for n := range all {
		last = request(fmt.Sprintf("m%d", n))
		last.Bootstrap.AuthorizedKey = fmt.Sprintf("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPAxNrYMuBGu3rpsVmvAeiNdLhbVAhBpUmDKPC%06d", n)
		all[n] = d.Make(t, last)
	}
	made := calls()
	res, err := d.List(t.Context(), abi.ListRequest{ABI: abi.Version, Owner: last.Owner, Options: last.Options})
	if err != nil || len(res.Instances) != machines || !res.Complete {
		t.Fatalf("%d instances of %d, %v", len(res.Instances), machines, err)
	}
	listed := calls()
	for _, i := range all {
		remove(i)
	}
	return made - before, listed - made, calls() - listed
}
