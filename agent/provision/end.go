package provision

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// armEnd sets the timer by which the machine switches itself off when its time is over. Without one it is as good as others, so a
// failure is only told.
func (r *run) armEnd(ctx context.Context) {
	if r.m.ExpiresAt.IsZero() || r.access.Borrowed {
		return
	}
	left := max(time.Until(r.m.ExpiresAt).Round(time.Second), time.Second)
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, fmt.Errorf("no answer within a minute"))
	defer cancel()
	_, err := r.conn.run(ctx, script{name: "end", vars: map[string]string{"LEFT": strconv.Itoa(int(left.Seconds()))}})
	if err != nil {
		r.log.Warn("the machine has no timer that switches it off", "after", left, "error", err)
		return
	}
	r.debug.printf("the machine switches itself off in %s", left)
}
