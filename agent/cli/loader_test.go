package cli

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A reload is stricter than the start: what is in service is never lost by a mistake.
func TestLoader(t *testing.T) {
	const (
		good   = "concurrent = 2\n[[runners]]\nname = \"a\"\nurl = \"http://gitlab.test\"\ntoken = \"glrt-aaaaaaaaaaaa\"\nexecutor = \"docker\"\n[runners.docker]\nimage = \"busybox\"\n"
		broken = "[[runners]]\nname = \"%\"\nurl = \"http://gitlab.test\"\ntoken = \"glrt-aaaaaaaaaaaa\"\nexecutor = \"docker+machine\"\n"
	)
	entry := func(name string) string { return strings.ReplaceAll(broken, "%", name) }
	for _, tt := range []struct {
		name, file string
		reload     bool   // a configuration with the runner a is in force
		want       string // of the error; "" is none
		runners    int
	}{
		{"a good file", good, false, "", 1},
		{"no file at the start", "", false, "", 0},
		{"no file later", "", true, "there is no such file", 0},
		{"a broken entry at the start", good + entry("b"), false, "", 1},
		{"a broken entry that is new", good + entry("b"), true, "", 1},
		{"a broken entry of a runner in service", entry("a"), true, "runner a is in service, so nothing of the file is taken", 0},
		{"a bad level", "log_level = \"loud\"\n" + good, true, "log_level", 0},
		{"a bad format", "log_format = \"pretty\"\n" + good, false, "log_format", 0},
		{"concurrent below one", "concurrent = 0\n", true, "concurrent", 0},
		{"half a file", good[:40], true, "not TOML", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "config.toml")
			write := func(text string) {
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var out bytes.Buffer
			l := &loader{app: newApp("millwright", &out, &out), path: path, listen: "host:1"}
			if tt.reload {
				write(good)
				c, err := l.load()
				if err != nil {
					t.Fatal(err)
				}
				l.applied(c)
			}
			os.Remove(path)
			if tt.file != "" {
				write(tt.file)
			}
			c, err := l.load()
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %v, want %q", err, tt.want)
				}
				return
			}
			if err != nil || len(c.Runners) != tt.runners || c.ListenAddress != "host:1" {
				t.Errorf("%v, %+v", err, c)
			}
		})
	}
}

// Level and format follow the file once it is in force, unless the command line says otherwise.
func TestLogFollowsTheFile(t *testing.T) {
	for _, tt := range []struct {
		name, flags string
		level       slog.Level
		json        bool
	}{
		{"by the file", "", slog.LevelWarn, true},
		{"the flags win", "--log-level error --log-format text", slog.LevelError, false},
		{"--debug wins", "--debug", slog.LevelDebug, true},
		{"the short flag", "-l info", slog.LevelInfo, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("LOG_LEVEL", "")
			t.Setenv("LOG_FORMAT", "")
			var out bytes.Buffer
			a := newApp("millwright", &out, &out)
			root := a.root()
			root.SetArgs(append([]string{"config", "check", "--config", filepath.Join(t.TempDir(), "none.toml")}, strings.Fields(tt.flags)...))
			_ = root.Execute() // the command is not what is tested
			path := filepath.Join(t.TempDir(), "config.toml")
			if err := os.WriteFile(path, []byte("log_level = \"warning\"\nlog_format = \"json\"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			l := &loader{app: a, path: path}
			c, err := l.load()
			if err != nil {
				t.Fatal(err)
			}
			if a.log.level.Level() == slog.LevelWarn {
				t.Error("the file counts before it is in force")
			}
			l.applied(c)
			out.Reset()
			a.log.logger().Error("line")
			if a.log.level.Level() != tt.level || strings.HasPrefix(out.String(), "{") != tt.json {
				t.Errorf("level %s, %s", a.log.level.Level(), out.String())
			}
		})
	}
}
