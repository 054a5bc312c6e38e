package feed

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// broken is a Provider that fails.
type broken struct{ err error }

func (b broken) Acquire(context.Context) (Lease, error) { return nil, b.err }

// The words that users search the log for: at debug when only a machine is missing, which happens all the time, else a warning that is not
// repeated at each turn.
func TestFailedToProcess(t *testing.T) {
	for _, tt := range []struct {
		name  string
		err   error
		level slog.Level
		most  int // lines in a minute
	}{
		{"no machine", ErrNoCapacity, slog.LevelDebug, 21},
		{"anything else", errors.New("the store is read-only"), slog.LevelWarn, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log bytes.Buffer
			inBubble(t, func(t *testing.T, b *bench) {
				b.feed.o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
				b.feed.Configure(Settings{Concurrent: 1, Runners: []Runner{b.runner("a", func(r *Runner) {
					r.Executor, r.Provider = "docker+machine", broken{tt.err}
				})}})
				pass(time.Minute)
			})
			lines := strings.Split(strings.TrimSpace(log.String()), "\n")
			if len(lines) > tt.most {
				t.Errorf("%d lines in a minute", len(lines))
			}
			want := "level=" + tt.level.String() + ` msg="Failed to process runner" runner=a executor=docker+machine error="` + tt.err.Error() + `"`
			if !strings.Contains(lines[0], want) {
				t.Errorf("the log lacks %s:\n%s", want, lines[0])
			}
		})
	}
}
