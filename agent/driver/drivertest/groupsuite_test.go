package drivertest_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/driver/drivertest"
	"github.com/millwright-ci/millwright/agent/driver/group"
	"github.com/millwright-ci/millwright/agent/driver/group/grouptest"
)

// bentGroup is a good group with some calls bent.
type bentGroup struct {
	*grouptest.Group
	increase func(*grouptest.Group, int) (int, error)
	decrease func(*grouptest.Group, []string) ([]string, error)
	list     func([]group.Instance, error) ([]group.Instance, error)
	connect  bool // to whatever is asked for
}

func (g bentGroup) Increase(ctx context.Context, n int) (int, error) {
	if g.increase != nil {
		return g.increase(g.Group, n)
	}
	return g.Group.Increase(ctx, n)
}

func (g bentGroup) Decrease(ctx context.Context, ids []string) ([]string, error) {
	if g.decrease != nil && len(ids) > 0 {
		return g.decrease(g.Group, ids)
	}
	return g.Group.Decrease(ctx, ids)
}

func (g bentGroup) List(ctx context.Context) ([]group.Instance, error) {
	all, err := g.Group.List(ctx)
	if g.list != nil {
		return g.list(all, err)
	}
	return all, err
}

func (g bentGroup) Connect(ctx context.Context, id string) (group.Connection, error) {
	if g.connect {
		return group.Connection{InternalAddr: "192.0.2.1"}, nil
	}
	return g.Group.Connect(ctx, id)
}

// TestExamineGroupFindsFaults holds the suite of groups to its purpose: each mistake that authors make is found, by a check that is named for it.
func TestExamineGroupFindsFaults(t *testing.T) {
	all := context.Background()
	for name, tc := range map[string]struct {
		group bentGroup
		check string // that must fail; "" is none
	}{
		"good": {bentGroup{}, ""},
		"grows in an ended context": {bentGroup{increase: func(g *grouptest.Group, n int) (int, error) {
			return g.Increase(all, n)
		}}, "an ended context is an error and makes nothing"},
		"grants less than it makes": {bentGroup{increase: func(g *grouptest.Group, n int) (int, error) {
			_, err := g.Increase(all, n+1)
			return n, err
		}}, "it grows by what is asked"},
		"says that all was granted": {bentGroup{increase: func(g *grouptest.Group, n int) (int, error) {
			_, err := g.Increase(all, n)
			return n, err
		}}, "it never passes its maximum"},
		"removes all": {bentGroup{decrease: func(g *grouptest.Group, ids []string) ([]string, error) {
			for _, i := range g.Instances() {
				g.Kill(i.ID)
			}
			return ids, nil
		}}, "it shrinks by those that are named"},
		"fails where nothing is": {bentGroup{decrease: func(g *grouptest.Group, ids []string) ([]string, error) {
			var there []string
			for _, i := range g.Instances() {
				for _, id := range ids {
					if i.ID == id {
						there = append(there, id)
					}
				}
			}
			return g.Decrease(all, there)
		}}, "a removal twice, and of nothing"},
		"shows nothing where it could not look": {bentGroup{list: func(all []group.Instance, err error) ([]group.Instance, error) {
			return all, nil
		}}, "an ended context is an error"},
		"connects to anybody": {bentGroup{connect: true}, "an instance that there is not can't be connected to"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var failed []string
			settle := 300 * time.Millisecond
			if tc.check == "" {
				settle = time.Minute // it is not to fail, however slow the machine is
			}
			drivertest.ExamineGroup(t.Context(), func() drivertest.GroupSubject {
				g := tc.group
				g.Group = grouptest.New(grouptest.Config{MaxSize: 4})
				return drivertest.GroupSubject{Group: g, Settle: settle}
			}, func(o drivertest.Outcome) {
				if len(o.Problems) > 0 {
					failed = append(failed, o.Check+": "+strings.Join(o.Problems, ", "))
				}
			})
			if text := strings.Join(failed, "; "); tc.check == "" && len(failed) > 0 || !strings.Contains(text, tc.check) {
				t.Errorf("failed: %s; want %q", text, tc.check)
			}
		})
	}
}
