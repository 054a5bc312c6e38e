// Package wait is a pause that the end of a context cuts short.
package wait

import (
	"context"
	"time"
)

// For returns nil after d, or at once when ctx ends, and then why it did (context.Cause).
func For(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
