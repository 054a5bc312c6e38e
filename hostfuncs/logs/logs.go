// Package logs is the host function log: it writes a guest's record to the agent's log under the module's name, with caps on what
// one record and one call may hold. ABI.md, "log", is its contract.
package logs

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Limits of one record and one call. ABI.md states them.
const (
	MaxMessage = 4 << 10 // bytes; what is longer is cut
	MaxFields  = 32      // what is more is left out
	MaxField   = 1 << 10 // bytes of a field's name and of its value; what is longer is cut
	MaxRecords = 100     // of one call; then one warning, and silence
)

// Sink takes the records of one call into a module. It is not safe for concurrent use: a call runs on one goroutine.
type Sink struct {
	logger *slog.Logger
	count  int
}

// NewSink returns a sink for one call. The logger should bear the module's name.
func NewSink(logger *slog.Logger) *Sink { return &Sink{logger: logger} }

// Write logs r. A level that it does not know counts as info.
func (s *Sink) Write(ctx context.Context, r abi.LogRecord) {
	s.count++
	if s.count == MaxRecords+1 {
		s.logger.WarnContext(ctx, "module logs too much in one call; leaving out the rest", "max_records", MaxRecords)
	}
	if s.count > MaxRecords {
		return
	}
	var level slog.Level
	if level.UnmarshalText([]byte(r.Level)) != nil {
		level = slog.LevelInfo
	}
	attrs := make([]any, 0, min(len(r.Fields), MaxFields))
	for _, name := range slices.Sorted(maps.Keys(r.Fields)) {
		if len(attrs) == MaxFields {
			break
		}
		attrs = append(attrs, slog.String(clean(name, MaxField), clean(r.Fields[name], MaxField)))
	}
	// The guest's fields stand in a group of their own, so that they can't pass for the agent's.
	s.logger.Log(ctx, level, clean(r.Message, MaxMessage), slog.Group("guest", attrs...))
}

// clean cuts s to about limit bytes of valid UTF-8 without control characters.
func clean(s string, limit int) string {
	if len(s) > limit {
		s = s[:limit]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}
