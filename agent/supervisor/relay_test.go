package supervisor

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millwright-ci/millwright/agent/driver/group"
	"github.com/millwright-ci/millwright/agent/driver/group/grouptest"
)

// A call that is under way ends where it began; one that begins later is another's. Who does not serve, or does not suit, takes nobody's place.
func TestRelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		servantOf := func(id string) (*grouptest.Group, *servant) {
			g := grouptest.New(grouptest.Config{ID: id})
			return g, &servant{Group: g, by: id}
		}
		suits := func(group.Info) error { return nil }
		first, before := servantOf("first")
		r := newRelay(before)
		first.Inject(grouptest.Fault{Op: grouptest.OpIncrease, Delay: 30 * time.Second})
		grown := make(chan int, 1)
		go func() {
			n, _ := r.Increase(t.Context(), 3)
			grown <- n
		}()
		synctest.Wait()

		broken, next := servantOf("broken")
		broken.Inject(grouptest.Fault{Op: grouptest.OpInfo, Err: errors.New("no such region")})
		if _, err := r.change(next, suits); err == nil || r.serving() != before {
			t.Errorf("one that does not serve: %v; %s serves", err, r.serving().by)
		}
		_, next = servantOf("strange")
		if _, err := r.change(next, func(i group.Info) error { return errors.New(i.ID + " is another's") }); err == nil || err.Error() != "strange is another's" || r.serving() != before {
			t.Errorf("one that does not suit: %v; %s serves", err, r.serving().by)
		}

		second, next := servantOf("second")
		began := time.Now()
		if was, err := r.change(next, suits); err != nil || was != before || r.serving() != next {
			t.Errorf("%v; %s serves", err, r.serving().by)
		}
		if n, took := <-grown, time.Since(began); n != 3 || first.Made() != 3 || took != 30*time.Second {
			t.Errorf("the increase that was under way granted %d of %d, and the one before was ended after %s", n, first.Made(), took)
		}
		if _, err := r.Increase(t.Context(), 2); err != nil || second.Made() != 2 {
			t.Errorf("%d were made where the group is served now, %v", second.Made(), err)
		}

		hangs, next := servantOf("hangs")
		hangs.Inject(grouptest.Fault{Op: grouptest.OpInfo, Delay: time.Hour})
		changed := make(chan error, 1)
		go func() {
			_, err := r.change(next, suits)
			changed <- err
		}()
		synctest.Wait()
		began = time.Now()
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-changed; !errors.Is(err, context.Canceled) || time.Since(began) != 0 {
			t.Errorf("one that is tried when the group is closed: %v after %s", err, time.Since(began))
		}
		_, next = servantOf("late")
		if _, err := r.change(next, suits); err == nil || r.serving().by != "second" {
			t.Errorf("one that comes when the group is closed: %v; %s serves", err, r.serving().by)
		}
	})
}
