package logs

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

func TestWrite(t *testing.T) {
	for name, tc := range map[string]struct {
		record abi.LogRecord
		want   string
	}{
		"a record":          {abi.LogRecord{Level: "warn", Message: "few left", Fields: map[string]string{"zone": "a"}}, "level=WARN msg=\"few left\" guest.zone=a\n"},
		"an unknown level":  {abi.LogRecord{Level: "loud", Message: "m"}, "level=INFO msg=m\n"},
		"control character": {abi.LogRecord{Message: "a\x1b[31mb"}, "level=INFO msg=a[31mb\n"},
		"broken UTF-8":      {abi.LogRecord{Message: "a\xff"}, "level=INFO msg=\"a\uFFFD\"\n"},
		"a field that passes for ours": {abi.LogRecord{Message: "m", Fields: map[string]string{"module": "periods"}},
			"level=INFO msg=m guest.module=periods\n"},
		"a long message": {abi.LogRecord{Message: strings.Repeat("x", MaxMessage+9)}, "level=INFO msg=" + strings.Repeat("x", MaxMessage) + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			NewSink(plain(&out)).Write(t.Context(), tc.record)
			if out.String() != tc.want {
				t.Errorf("got  %swant %s", out.String(), tc.want)
			}
		})
	}
}

func TestWriteStopsAFlood(t *testing.T) {
	var out bytes.Buffer
	sink := NewSink(plain(&out))
	for range 10 * MaxRecords {
		sink.Write(t.Context(), abi.LogRecord{Level: "info", Message: "m"})
	}
	if n := strings.Count(out.String(), "\n"); n != MaxRecords+1 || !strings.Contains(out.String(), "logs too much") {
		t.Errorf("%d lines, want %d and a warning", n, MaxRecords+1)
	}
}

func plain(out *bytes.Buffer) *slog.Logger {
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}
