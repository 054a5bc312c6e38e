package drivertest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// bench is one test's part of the world.
type bench struct {
	Subject
	t            TB
	prefix       string
	before       int // how much the guest had logged
	owner, other abi.Owner
}

// newBench makes two owners and sees to it that nothing of theirs is left.
func newBench(t TB, s Subject) *bench {
	t.Helper()
	if s.Settle == 0 {
		s.Settle = time.Minute
	}
	newOwner := func() abi.Owner {
		return abi.Owner{ID: strings.ToLower(rand.Text())[:16], Runner: "drivertest"}
	}
	b := &bench{Subject: s, t: t, owner: newOwner(), other: newOwner()}
	b.prefix = "mw-suite-" + b.owner.ID[:8]
	b.plant()
	b.Driver = guard{s.Driver, t, b.Secrets}
	if s.Heard != nil {
		b.before = len(s.Heard())
		t.Cleanup(b.overhear) // when all else is done
	}
	t.Cleanup(b.clean)
	return b
}

func (b *bench) clean() {
	ctx, cancel := context.WithTimeout(context.Background(), b.Settle)
	defer cancel()
	for _, owner := range []abi.Owner{b.owner, b.other} {
		res, err := b.Driver.List(ctx, b.listing(owner))
		if err != nil {
			b.t.Errorf("list at the end: %v", err)
		}
		for _, i := range res.Instances {
			if err := b.retry(ctx, func() error { return b.Driver.Remove(ctx, b.removal(owner, i.Name)) }); err != nil {
				b.t.Errorf("remove %s at the end: %v", i.Name, err)
			}
		}
		if b.Leftovers == nil {
			continue
		}
		left := b.Leftovers(owner)
		for ; len(left) > 0 && ctx.Err() == nil; left = b.Leftovers(owner) {
			select { // what was asked to go may take its time
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
		if len(left) > 0 {
			b.t.Errorf("left at the provider: %s", strings.Join(left, ", "))
		}
	}
}

// hostKeySecret stands for a private host key, which no answer may show.
const hostKeySecret = "suite private"

func (b *bench) name(i int) string { return fmt.Sprintf("%s-%d", b.prefix, i) }

func (b *bench) request(owner abi.Owner, name string) abi.CreateRequest {
	return abi.CreateRequest{ABI: abi.Version, Owner: owner, Name: name, Options: maps.Clone(b.Options), Bootstrap: abi.Bootstrap{
		SSHUser: "root", AuthorizedKey: publicKey(owner.ID + "/" + name),
		HostKeyPrivate: hostKeySecret + "\n", HostKeyPublic: "suite public",
	}}
}

// publicKey is a machine's key, which is another one for each, as one line for authorized_keys. Source: RFC 8709, section 4.
func publicKey(of string) string {
	seed := sha256.Sum256([]byte(of))
	public := ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey)
	blob := append([]byte("\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20"), public...)
	return "ssh-ed25519 " + base64.StdEncoding.EncodeToString(blob) + " suite"
}

func (b *bench) listing(owner abi.Owner) abi.ListRequest {
	return abi.ListRequest{ABI: abi.Version, Owner: owner, Options: maps.Clone(b.Options)}
}

func (b *bench) removal(owner abi.Owner, name string) abi.RemoveRequest {
	return abi.RemoveRequest{ABI: abi.Version, Owner: owner, Name: name, Options: maps.Clone(b.Options)}
}

func (b *bench) create(owner abi.Owner, name string) abi.Instance {
	b.t.Helper()
	made, err := b.Driver.Create(b.t.Context(), b.request(owner, name))
	if err != nil {
		b.t.Fatalf("create %s: %v", name, err)
	}
	return made
}

func (b *bench) list(owner abi.Owner) []abi.Instance {
	b.t.Helper()
	res, err := b.Driver.List(b.t.Context(), b.listing(owner))
	if err != nil {
		b.t.Fatalf("list: %v", err)
	}
	if !res.Complete {
		b.t.Fatalf("list is not complete, though nothing is wrong")
	}
	return res.Instances
}

// listAll is list for all owners. What others do meanwhile at the provider may make it incomplete.
func (b *bench) listAll(owner abi.Owner) []abi.Instance {
	b.t.Helper()
	req := b.listing(owner)
	req.AllOwners = true
	res, err := b.Driver.List(b.t.Context(), req)
	if err != nil {
		b.t.Fatalf("list of all owners: %v", err)
	}
	return res.Instances
}

// find returns the machine of that name, an instance without a name when there is none.
func (b *bench) find(owner abi.Owner, name string) abi.Instance {
	b.t.Helper()
	all := b.list(owner)
	if i := slices.IndexFunc(all, func(x abi.Instance) bool { return x.Name == name }); i >= 0 {
		return all[i]
	}
	return abi.Instance{}
}

// remove asks until it is done, as the host does: conflict and transient mean later.
func (b *bench) remove(owner abi.Owner, name string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), b.Settle)
	defer cancel()
	if err := b.retry(ctx, func() error { return b.Driver.Remove(ctx, b.removal(owner, name)) }); err != nil {
		b.t.Fatalf("remove %s: %v", name, err)
	}
}

func (b *bench) gone(owner abi.Owner, name string) {
	b.t.Helper()
	b.eventually(name+" is gone", func() bool {
		s := b.find(owner, name).Status
		return s == "" || s == abi.StatusGone
	})
}

// retry calls until there is no error that another try may cure.
func (b *bench) retry(ctx context.Context, call func() error) error {
	for {
		err := call()
		if err == nil || !errors.Is(err, driver.ErrConflict) && !errors.Is(err, driver.ErrTransient) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// eventually looks until the provider shows what was done.
func (b *bench) eventually(what string, ok func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(b.Settle); !ok(); <-time.After(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("%s: not after %v", what, b.Settle)
		}
	}
}
