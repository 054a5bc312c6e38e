//go:build unix

package cli

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// obedient notes what signals make of it.
type obedient struct {
	did     chan string
	reloads chan struct{} // what Reload waits for
}

func (o *obedient) Drain() { o.did <- "drain" }

func (o *obedient) Reload() error {
	o.did <- "reload"
	<-o.reloads
	return errors.New("bad")
}

func TestSignalsInTurn(t *testing.T) {
	for _, tt := range []struct{ name, signals, want string }{
		{"drain", "QUIT", "drain"},
		{"drain twice is once more", "QUIT QUIT", "drain drain"},
		{"stop", "TERM", "stop:terminated"},
		{"interrupt", "INT", "stop:interrupt"},
		{"a drain is cut short", "QUIT TERM", "drain stop:terminated"},
		{"a stop is cut short", "TERM TERM", "stop:terminated exit:1"},
		{"by any signal", "INT QUIT", "stop:interrupt exit:1"},
		{"but not by a reload", "TERM HUP", "stop:terminated reload"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := &obedient{did: make(chan string, 8)}
			h := &signalHandler{s: o, log: slog.New(slog.DiscardHandler), reload: make(chan struct{}, 1)}
			h.stop = func(err error) { o.did <- "stop:" + err.Error() }
			h.exit = func(code int) { o.did <- "exit:" + string(rune('0'+code)) }
			for name := range strings.FieldsSeq(tt.signals) {
				h.take(map[string]os.Signal{"QUIT": syscall.SIGQUIT, "TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "HUP": syscall.SIGHUP}[name])
			}
			if len(h.reload) > 0 {
				o.did <- "reload"
			}
			close(o.did)
			var got []string
			for what := range o.did {
				got = append(got, what)
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("got %v, want %s", got, tt.want)
			}
		})
	}
}

// A reload that takes long holds up no other signal, and those that come meanwhile are one.
func TestReloadBlocksNoSignal(t *testing.T) {
	o := &obedient{did: make(chan string), reloads: make(chan struct{})}
	stopped, stop := context.WithCancelCause(t.Context())
	end := handleSignals(stop, o, slog.New(slog.DiscardHandler))
	send := func(s syscall.Signal) {
		t.Helper()
		if err := syscall.Kill(os.Getpid(), s); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(want string) {
		t.Helper()
		select {
		case got := <-o.did:
			if got != want {
				t.Errorf("it did %s, want %s", got, want)
			}
		case <-time.After(patience):
			t.Fatalf("it never did %s", want)
		}
	}
	send(syscall.SIGHUP)
	expect("reload")
	send(syscall.SIGHUP)
	send(syscall.SIGQUIT)
	expect("drain")
	close(o.reloads)
	expect("reload")
	send(syscall.SIGTERM)
	select {
	case <-stopped.Done():
	case <-time.After(patience):
		t.Fatal("it never stopped")
	}
	end()
	if why := context.Cause(stopped); why == nil || why.Error() != "terminated" {
		t.Errorf("stopped because of %v", why)
	}
}
