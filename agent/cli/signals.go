package cli

import (
	"errors"
	"log/slog"
	"os"
	"os/signal"
)

// signalMeaning is what a signal asks of the agent.
type signalMeaning int

const (
	stopSignal   signalMeaning = iota // SIGTERM, SIGINT: stop running jobs and end
	drainSignal                       // SIGQUIT: let running jobs end, take no new ones
	reloadSignal                      // SIGHUP
)

// signaled is what signals are about; *supervisor.Supervisor is one.
type signaled interface {
	Drain()
	Reload() error
}

// handleSignals drains, stops and reloads s as signals tell; stop ends it by force. What it returns ends that.
//
// Once s is being stopped, one more signal to end gives up on all that is under way: the process exits with 1 at once, and the journal
// tells the next one how to go on.
func handleSignals(stop func(error), s signaled, log *slog.Logger) (end func()) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, signalsOfRun...)
	done := make(chan struct{})
	h := &signalHandler{stop: stop, s: s, log: log, exit: os.Exit, reload: make(chan struct{}, 1)}
	reloaded := make(chan struct{})
	go func() {
		defer close(reloaded)
		h.reloads()
	}()
	go func() {
		defer close(h.reload)
		for {
			select {
			case <-done:
				return
			case sig := <-signals:
				h.take(sig)
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
		<-reloaded
	}
}

// signalHandler turns signals into calls.
type signalHandler struct {
	stop   func(error)
	s      signaled
	log    *slog.Logger
	exit   func(int)
	reload chan struct{} // has a value when a reload is due

	draining, stopping bool
}

func (h *signalHandler) take(sig os.Signal) {
	switch m := meaning(sig, h.draining); {
	case m == reloadSignal:
		select {
		case h.reload <- struct{}{}:
		default: // one is due already and will read the file as it is then
		}
	case h.stopping:
		h.log.Error("Ending at once", "signal", sig.String(), "consequence", "jobs are cut off; machines stay in the journal")
		h.exit(exitFailed)
	case m == drainSignal:
		h.draining = true
		h.s.Drain()
	default:
		h.stopping = true
		h.stop(errors.New(sig.String()))
	}
}

// reloads runs reloads beside the signals: one that takes long delays no other signal.
func (h *signalHandler) reloads() {
	for range h.reload {
		_ = h.s.Reload() // it is logged and counted there
	}
}
