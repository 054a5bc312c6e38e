package fleeting

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/fleeting/fleetingtest"
)

// A plug-in that dies or hangs is replaced; its instances stay known, and nobody else notices.
func TestFaults(t *testing.T) {
	for name, want := range map[string]string{
		"crash":  "it ended: exit status 7",
		"panic":  "this can't be",
		"exit":   "it ended: of itself",
		"hang":   "it did not end Update within 3s and was killed",
		"orphan": "it did not end Update within 10s and was killed",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, other := fleetingtest.Start(t), fleetingtest.Start(t)
			limit := 3 * time.Second
			if name == "orphan" {
				limit = 10 * time.Second // for its child to be made
			}
			g, log := open(t, c, func(o *Options) { o.Limits.List = limit })
			beside, _ := open(t, other)
			info(t, g)
			info(t, beside)
			if n, err := g.Increase(t.Context(), 2); n != 2 || err != nil {
				t.Fatal(n, err)
			}
			first := pid(t, c)
			c.Fail("list", fleetingtest.Fault{Do: name})
			if _, err := beside.List(t.Context()); err != nil {
				t.Errorf("another group: %v", err)
			}
			_, err := g.List(t.Context())
			if !errors.Is(err, driver.ErrTransient) || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
			until(t, "its end", func() bool { return !running(first) })
			if name == "orphan" {
				var orphan int
				children := c.Calls("child")
				if len(children) == 0 {
					t.Fatal("it had no child")
				}
				if err := json.Unmarshal(children[0].Arg, &orphan); err != nil {
					t.Fatal(err)
				}
				until(t, "its child's end", func() bool { return !running(orphan) })
			}
			c.Fail("list", fleetingtest.Fault{})
			until(t, "the next process", func() bool {
				list, err := g.List(t.Context())
				return err == nil && len(list) == 2
			})
			if second := pid(t, c); second == first {
				t.Error("the same process serves")
			}
			if strings.Contains(log.String(), c.Token) {
				t.Error("the log shows a secret")
			}
		})
	}
}

// Somebody else ends the process while nothing is asked of it.
func TestKilledIdle(t *testing.T) {
	t.Parallel()
	c := fleetingtest.Start(t)
	g, log := open(t, c)
	info(t, g)
	first, err := os.FindProcess(pid(t, c))
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Kill(); err != nil {
		t.Fatal(err)
	}
	until(t, "a word of it", func() bool { return strings.Contains(log.String(), "does not serve") })
	until(t, "the next process", func() bool { _, err := g.List(t.Context()); return err == nil })
}

// A caller that leaves gets its answer at once; the call goes on, and the next one waits for it.
func TestCallerLeaves(t *testing.T) {
	t.Parallel()
	c := fleetingtest.Start(t)
	g, _ := open(t, c, func(o *Options) { o.Limits.Change = 3 * time.Second })
	info(t, g)
	c.Fail("increase", fleetingtest.Fault{Do: "hang", Once: true})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := g.Increase(ctx, 1); done <- err }()
	until(t, "the call", func() bool { return len(c.Calls("increase")) == 1 })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := g.Heartbeat(t.Context(), "i-0001"); err != nil && !strings.Contains(err.Error(), "there is no instance") {
		t.Errorf("another call beside the hanging one: %v", err)
	}
	if _, err := g.List(t.Context()); err != nil && !errors.Is(err, driver.ErrTransient) { // when the hanging one was killed
		t.Error(err)
	}
	until(t, "the next process", func() bool { n, err := g.Increase(t.Context(), 1); return n == 1 && err == nil })
}

func TestLies(t *testing.T) {
	t.Parallel()
	c := fleetingtest.Start(t)
	g, log := open(t, c)
	info(t, g)
	if _, err := g.Increase(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	many := make([][2]string, maxInstances+1)
	for i := range many {
		many[i] = [2]string{fmt.Sprint("i-", i), "running"}
	}
	type lie struct {
		verb string
		lie  map[string]any
		call func() (any, error)
		want string // of the error, or "" and the answer
	}
	list := func() (any, error) { l, err := g.List(t.Context()); return idsOf(l), err }
	connect := func() (any, error) { return g.Connect(t.Context(), "i-0001") }
	machine := func(what map[string]any) map[string]any { return map[string]any{"Machine": what} }
	for name, l := range map[string]lie{
		"twice":          {"list", map[string]any{"Instances": [][2]string{{"a", "running"}, {"a", "running"}}}, list, "[a running]"},
		"contradicting":  {"list", map[string]any{"Instances": [][2]string{{"a", "running"}, {"a", "deleting"}}}, list, "lists a as running and as deleting"},
		"no id":          {"list", map[string]any{"Instances": [][2]string{{"", "running"}}}, list, `the id ""`},
		"strange id":     {"list", map[string]any{"Instances": [][2]string{{"a\nb", "running"}}}, list, `the id "a\nb"`},
		"long id":        {"list", map[string]any{"Instances": [][2]string{{strings.Repeat("x", 5000), "running"}}}, list, "the list is refused"},
		"too many":       {"list", map[string]any{"Instances": many}, list, "more than 10000 instances"},
		"other states":   {"list", map[string]any{"Instances": [][2]string{{"a", "suspended"}, {"b", "timeout"}, {"c", "resuming"}}}, list, "[a creating b deleted c creating]"},
		"more granted":   {"increase", map[string]any{"N": 50}, func() (any, error) { return g.Increase(t.Context(), 3) }, "3"},
		"less than none": {"increase", map[string]any{"N": -1}, func() (any, error) { return g.Increase(t.Context(), 3) }, "3"},
		"others removed": {"decrease", map[string]any{"IDs": []string{"i-0002", "stranger", "i-0002"}},
			func() (any, error) { return g.Decrease(t.Context(), []string{"i-0001", "i-0002"}) }, "[i-0002]"},
		"no address":       {"connect", machine(map[string]any{}), connect, "has no address"},
		"strange address":  {"connect", machine(map[string]any{"Internal": "10.0.0.1/../x"}), connect, "internal address"},
		"strange protocol": {"connect", machine(map[string]any{"Internal": "10.0.0.1", "Protocol": "telnet"}), connect, "ssh, winrm and winrm+https"},
		"strange port":     {"connect", machine(map[string]any{"Internal": "10.0.0.1", "Port": 70000}), connect, "port 70000"},
		"strange time":     {"connect", machine(map[string]any{"Internal": "10.0.0.1", "Timeout": -5}), connect, "timeout of -5ns"},
		"big key":          {"connect", machine(map[string]any{"Internal": "10.0.0.1", "Key": make([]byte, 100<<10)}), connect, "more than 65536 bytes"},
		"too big":          {"connect", machine(map[string]any{"Internal": "10.0.0.1", "Key": make([]byte, 5<<20)}), connect, "larger than max"},
	} {
		c.Fail(l.verb, fleetingtest.Fault{Lie: l.lie})
		got, err := l.call()
		c.Fail(l.verb, fleetingtest.Fault{})
		if text := fmt.Sprint(got, err); !strings.Contains(text, l.want) {
			t.Errorf("%s: got %.300s, want %q", name, text, l.want)
		}
	}
	for _, want := range []string{"granted more instances than were asked for", "removes instances that nobody asked it to"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %q", want)
		}
	}
	if len(c.Calls("init")) != 1 {
		t.Error("a lie ended the process")
	}
}

func TestStarts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, s := range map[string]struct {
		path, want string
	}{
		"none":           {filepath.Join(dir, "missing"), "no such file"},
		"no plug-in":     {script("hello", "echo hello"), "hello"},
		"dies":           {script("dies", "echo no credentials >&2; exit 3"), "no credentials"},
		"hangs":          {script("hangs", "sleep 600"), "did not end its start within 2s and was killed"},
		"other protocol": {script("old", "echo '1|0|tcp|127.0.0.1:1|netrpc'; sleep 600"), `unsupported plugin protocol "netrpc"`},
		"other version":  {script("new", "echo '1|7|tcp|127.0.0.1:1|grpc'; sleep 600"), "incompatible API version"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := fleetingtest.Start(t)
			g, _ := open(t, c, func(o *Options) {
				o.Find = func() (string, error) { return s.path, nil }
				o.Limits.Start = 2 * time.Second
				if name != "hangs" {
					o.Limits.Start = patience
				}
				o.Limits.Pause = time.Hour
			})
			_, err := g.Info(t.Context())
			if !errors.Is(err, driver.ErrTransient) || !strings.Contains(err.Error(), s.want) {
				t.Errorf("got %v, want %q", err, s.want)
			}
			if _, err := g.List(t.Context()); err == nil || !strings.Contains(err.Error(), "next try in") {
				t.Errorf("a call in the pause: %v", err)
			}
		})
	}
}

// What the plug-in itself has against its configuration is told, without secrets, and it is tried again.
func TestInitFails(t *testing.T) {
	t.Parallel()
	c := fleetingtest.Start(t)
	c.Fail("init", fleetingtest.Fault{Error: "region is missing; token " + c.Token + " is bad", Once: true})
	g, _ := open(t, c)
	if _, err := g.Info(t.Context()); err == nil || !strings.Contains(err.Error(), "region is missing; token [redacted] is bad") {
		t.Errorf("got %v", err)
	}
	until(t, "the next try", func() bool { _, err := g.Info(t.Context()); return err == nil })
}

// A plug-in that serves another group after its restart would have all instances taken for gone.
func TestOtherGroup(t *testing.T) {
	t.Parallel()
	c := fleetingtest.Start(t)
	g, _ := open(t, c)
	info(t, g)
	c.Fail("init", fleetingtest.Fault{Lie: map[string]any{"ID": "mwtest/other"}})
	c.Fail("list", fleetingtest.Fault{Do: "crash", Once: true})
	if _, err := g.List(t.Context()); err == nil {
		t.Fatal("no error")
	}
	until(t, "the refusal", func() bool {
		_, err := g.List(t.Context())
		if err == nil {
			t.Fatal("the other group is believed")
		}
		return strings.Contains(err.Error(), `serves the group "mwtest/other" now, and served "mwtest/group" before`)
	})
}

func TestCloseWhileStarting(t *testing.T) {
	t.Parallel()
	c := fleetingtest.Start(t)
	c.Fail("init", fleetingtest.Fault{Do: "hang"})
	g, _ := open(t, c)
	done := make(chan error, 1)
	go func() { _, err := g.Info(context.Background()); done <- err }()
	until(t, "the start", func() bool { return len(c.Calls("init")) == 1 })
	if err := g.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-done; err == nil {
		t.Error("a start that was broken off succeeded")
	}
	until(t, "its end", func() bool { return !running(pid(t, c)) })
}

func TestOutput(t *testing.T) {
	t.Parallel()
	c := fleetingtest.Start(t)
	g, log := open(t, c)
	info(t, g)
	c.Fail("list", fleetingtest.Fault{Do: "chatter", Once: true})
	if _, err := g.List(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "what was printed", func() bool { return strings.Contains(log.String(), "line 150") })
	if err := g.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	text := log.String()
	for _, want := range []string{
		`level=WARN msg=initialising plugin=fleeting-plugin-mwtest group=mine password=[redacted] with=[redacted]`,
		`level=INFO msg="plain words about [redacted]"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the log lacks %s", want)
		}
	}
	if strings.Contains(text, c.Token) || strings.Contains(text, "hunter2") {
		t.Error("the log shows a secret")
	}
	if n := strings.Count(text, "\n"); n > 20*maxPrinted {
		t.Errorf("%d lines were logged", n)
	}
}
