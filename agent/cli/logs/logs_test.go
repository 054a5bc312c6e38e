package logs

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/config"
)

func TestRunnerFormat(t *testing.T) {
	for _, tt := range []struct {
		name  string
		color bool
		say   func(*slog.Logger)
		want  string
	}{
		{"info", false, func(l *slog.Logger) { l.Info("Configuration loaded", "runners", 2) },
			"Configuration loaded                                runners=2\n"},
		{"no attributes", false, func(l *slog.Logger) { l.Info("Draining") }, "Draining\n"},
		{"warning", false, func(l *slog.Logger) {
			l.Warn("Machine does not answer", "name", "auto-1", "error", errors.New("no route"))
		},
			"WARNING: Machine does not answer                    name=auto-1 error=no route\n"},
		{"error", false, func(l *slog.Logger) { l.Error("Machine creation failed", "time", 90*time.Second) },
			"ERROR: Machine creation failed                      time=1m30s\n"},
		{"longer than the column", false, func(l *slog.Logger) { l.Info(strings.Repeat("x", 60), "a", 1) }, strings.Repeat("x", 60) + "  a=1\n"},
		{"groups and attributes before", false, func(l *slog.Logger) {
			l.With("runner", "one").WithGroup("g").Info("m", slog.Group("h", "a", 1), "b", true)
		},
			"m" + strings.Repeat(" ", 49) + "  runner=one g.h.a=1 g.b=true\n"},
		{"what would forge a line", false, func(l *slog.Logger) { l.Info("a\nb", "c", "d\n\x1b[31mERROR: e") },
			`a\nb` + strings.Repeat(" ", 46) + `  c=d\n\x1b[31mERROR: e` + "\n"},
		{"secrets", false, func(l *slog.Logger) { l.Info("m", "token", config.Secret("glrt-x")) },
			"m" + strings.Repeat(" ", 49) + "  token=[redacted]\n"},
		{"colours", true, func(l *slog.Logger) { l.Warn("m", "a", 1) },
			"\x1b[0;33mWARNING: m" + strings.Repeat(" ", 40) + "\x1b[0;m  \x1b[0;33ma\x1b[0;m=1\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			o := New(&out, slog.LevelInfo)
			o.color = tt.color
			if err := o.SetFormat(Runner); err != nil {
				t.Fatal(err)
			}
			tt.say(slog.New(o.Handler()))
			if diff := cmp.Diff(tt.want, out.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Format and level change for loggers that exist already, with what they carry.
func TestChange(t *testing.T) {
	var out bytes.Buffer
	var level slog.LevelVar
	o := New(&out, &level)
	l := slog.New(o.Handler()).With("runner", "one").WithGroup("g")
	line := func() string {
		out.Reset()
		l.Warn("m", "a", 1)
		return out.String()
	}
	if got := line(); !strings.HasPrefix(got, "WARNING: m ") {
		t.Error(got)
	}
	if err := o.SetFormat(Text); err != nil {
		t.Fatal(err)
	}
	if got := line(); !strings.HasSuffix(got, " level=warning msg=m runner=one g.a=1\n") || !strings.HasPrefix(got, "time=") {
		t.Error(got)
	}
	if err := o.SetFormat(JSON); err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal([]byte(line()), &fields); err != nil || fields["level"] != "warning" || fields["runner"] != "one" {
		t.Error(fields, err)
	}
	if err := o.SetFormat("pretty"); err == nil || !strings.Contains(err.Error(), "use runner, text or json") {
		t.Error(err)
	}
	if got := line(); !strings.HasPrefix(got, "{") {
		t.Errorf("a bad format changed it to %s", got)
	}
	level.Set(slog.LevelError)
	if got := line(); got != "" {
		t.Errorf("a warning at level error: %s", got)
	}
}

func TestLevel(t *testing.T) {
	for name, want := range map[string]slog.Level{
		"": slog.LevelInfo, "trace": slog.LevelDebug, "warning": slog.LevelWarn, "WARN": slog.LevelWarn, "panic": slog.LevelError, "fatal": slog.LevelError,
	} {
		if got, err := Level(name); got != want || err != nil {
			t.Errorf("%q: %v, %v", name, got, err)
		}
	}
	if _, err := Level("loud"); err == nil {
		t.Error("no error for loud")
	}
}

// net/http's line about an idle connection is heard at debug alone; what others say is relabelled. A real server closes the connection.
func TestStandard(t *testing.T) {
	lines := make(chan string, 16)
	r, w := io.Pipe()
	go func() {
		defer close(lines)
		for scan := bufio.NewScanner(r); scan.Scan(); {
			lines <- scan.Text()
		}
	}()
	defer w.Close()
	var level slog.LevelVar
	level.Set(slog.LevelDebug)
	o := New(w, &level)
	defer TakeStandard(slog.New(o.Handler()))()

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	idle := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
			return
		}
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		<-idle
		io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
	}()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{PutIdleConn: func(err error) { idle <- err }})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+listener.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	select {
	case line := <-lines:
		if !strings.HasPrefix(line, "Idle connection closed by its server") || !strings.Contains(line, "source=net/http") {
			t.Errorf("heard %q", line)
		}
	case <-time.After(2 * time.Minute):
		t.Error("nothing was heard")
	}
	level.Set(slog.LevelInfo)
	log.Print(unsolicited + " starting with \"x\"; err=<nil>")
	log.Print("2 words of a library")
	if line := <-lines; line != "2 words of a library                                source=log" {
		t.Errorf("heard %q", line)
	}
}

// TestHammer changes the format while everybody logs: each line stays whole.
func TestHammer(t *testing.T) {
	var out bytes.Buffer
	o := New(&out, slog.LevelInfo)
	l := slog.New(o.Handler()).With("a", 1)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 200 {
				l.Info("line", "b", 2)
			}
		})
	}
	group.Go(func() {
		for i := range 100 {
			if err := o.SetFormat([]string{Runner, Text, JSON}[i%3]); err != nil {
				t.Error(err)
			}
		}
	})
	group.Wait()
	if n := strings.Count(out.String(), "\n"); n != 800 {
		t.Errorf("%d lines", n)
	}
	for line := range strings.Lines(out.String()) {
		if !strings.Contains(line, "b=2") && !strings.Contains(line, `"b":2`) {
			t.Fatalf("%q", line)
		}
	}
}
