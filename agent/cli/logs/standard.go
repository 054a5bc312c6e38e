package logs

import (
	"context"
	"log"
	"log/slog"
	"strings"
)

// TakeStandard sends what libraries say through the standard library's logger to l, and returns what undoes that. Their lines bear
// no level, so they go out as info with their source named.
//
// net/http tells in this way of every idle connection on which a server said something before it closed it, as proxies do. That is
// no news for an operator: the next request takes another connection. Such a line goes out at debug.
func TakeStandard(l *slog.Logger) (undo func()) {
	flags, prefix, w := log.Flags(), log.Prefix(), log.Writer()
	log.SetFlags(0)
	log.SetPrefix("")
	log.SetOutput(standard{l})
	return func() {
		log.SetFlags(flags)
		log.SetPrefix(prefix)
		log.SetOutput(w)
	}
}

const unsolicited = "Unsolicited response received on idle HTTP channel"

type standard struct{ l *slog.Logger }

// Write takes one line of the standard logger.
func (s standard) Write(p []byte) (int, error) {
	line := strings.TrimRight(string(p), "\n")
	switch {
	case strings.HasPrefix(line, unsolicited):
		s.l.Debug("Idle connection closed by its server", "source", "net/http", "detail", line)
	case strings.TrimSpace(line) != "":
		level := slog.LevelInfo
		if strings.Contains(line, "panic") {
			level = slog.LevelError
		}
		s.l.Log(context.Background(), level, line, "source", "log")
	}
	return len(p), nil
}
