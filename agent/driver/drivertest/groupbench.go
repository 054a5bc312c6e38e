package drivertest

import (
	"context"
	"slices"
	"time"

	"github.com/millwright-ci/millwright/agent/driver/group"
)

// groupBench is one test's group.
type groupBench struct {
	GroupSubject
	t TB
}

// newGroupBench sees to it that the group is empty at the end.
func newGroupBench(t TB, s GroupSubject) *groupBench {
	if s.Settle == 0 {
		s.Settle = time.Minute
	}
	b := &groupBench{s, t}
	t.Cleanup(b.clean)
	return b
}

func (b *groupBench) clean() {
	ctx, cancel := context.WithTimeout(context.Background(), b.Settle)
	defer cancel()
	for {
		all, err := b.Group.List(ctx)
		ids := staying(all)
		if err == nil && len(ids) == 0 {
			return
		}
		if err == nil {
			_, err = b.Group.Decrease(ctx, ids)
		}
		select {
		case <-ctx.Done():
			b.t.Errorf("at the end %d instances are left: %v", len(ids), err)
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (b *groupBench) inject(f Fault) {
	b.t.Helper()
	if err := b.Inject(f); err != nil {
		b.t.Fatalf("the provider can't be made to fail by %q: %v", f, err)
	}
}

func (b *groupBench) info() group.Info {
	b.t.Helper()
	info, err := b.Group.Info(b.t.Context())
	if err != nil {
		b.t.Fatalf("info: %v", err)
	}
	return info
}

func (b *groupBench) list() []group.Instance {
	b.t.Helper()
	all, err := b.Group.List(b.t.Context())
	if err != nil {
		b.t.Fatalf("list: %v", err)
	}
	return all
}

// there are the ids of the instances that are not going.
func (b *groupBench) there() []string {
	b.t.Helper()
	return staying(b.list())
}

func staying(all []group.Instance) (ids []string) {
	for _, i := range all {
		if i.State != group.Deleting && i.State != group.Deleted {
			ids = append(ids, i.ID)
		}
	}
	return ids
}

// grow has an empty group grow by n, and returns the ids when they are listed.
func (b *groupBench) grow(n int) (ids []string) {
	b.t.Helper()
	granted, err := b.Group.Increase(b.t.Context(), n)
	if err != nil || granted != n {
		b.t.Fatalf("an increase by %d granted %d, %v", n, granted, err)
	}
	b.eventually("they are listed", func() bool {
		ids = b.there()
		return len(ids) == n
	})
	return ids
}

func (b *groupBench) shrink(id string) {
	b.t.Helper()
	taken, err := b.Group.Decrease(b.t.Context(), []string{id})
	if err != nil || !slices.Equal(taken, []string{id}) {
		b.t.Fatalf("the removal of %s took %v on, %v", id, taken, err)
	}
}

// eventually looks until the provider shows what was done.
func (b *groupBench) eventually(what string, ok func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(b.Settle); !ok(); <-time.After(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("%s: not after %v", what, b.Settle)
		}
	}
}
