package trace

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millwright-ci/millwright/agent/coordinator"
)

// The pace of sending. The coordinator allows 200 pieces a minute for each job.
const (
	// firstInterval holds until the coordinator names another, and again from Finish on.
	firstInterval = 3 * time.Second
	maxInterval   = 15 * time.Minute
	// gather is how long the first bytes after a silence wait for company: what somebody watches appears at once, and a burst of
	// lines still goes as one piece.
	gather = 200 * time.Millisecond
	// backlogInterval is the longest pause while more is waiting than fits one piece, and none of burst is left.
	backlogInterval = time.Second
	// burst is how many whole pieces go without any pause; a new one is added each burstInterval. With those of backlogInterval that makes
	// less than the coordinator allows.
	burst         = 60
	burstInterval = time.Second
	// lineAge is how old an unfinished line gets before it is sent as a part of a line.
	lineAge = time.Second
	// touchInterval is how long the coordinator may hear nothing of a job at most: it names a minute where nobody watches.
	touchInterval    = 30 * time.Second
	maxTouchInterval = 30 * time.Minute
	// maxPiece is the size of a PATCH in bytes.
	maxPiece = 1 << 20
)

// sender takes the buffer to the coordinator. Its fields belong to the goroutine of loop and, when that has ended, to Finish.
type sender struct {
	t        *Trace
	offset   int64 // what the coordinator has
	taken    int64 // what of that it took from here; the rest it only claims to have
	before   int64 // what it had before, with Options.Append
	appends  bool  // before is not known yet
	interval time.Duration
	piece    []byte
	patched  time.Time // end of the last PATCH
	bursts   allowance
	stumbled bool      // the coordinator did not take the last PATCH well
	heard    time.Time // end of the last call that the coordinator took well
	over     bool      // the job is over for the coordinator
	canceled bool      // OnCancel was called
	final    bool      // Finish has begun: no more callbacks

	life    sync.Mutex // guards begin and end of the loop
	started bool
	stop    chan struct{} // closed to end loop after the call that it is in
	stopped sync.Once
	cancel  context.CancelFunc // ends that call too
	done    chan struct{}      // closed by loop
	gaveUp  atomic.Bool        // over, for other goroutines
}

func (s *sender) init(t *Trace) {
	s.t, s.interval, s.appends = t, firstInterval, t.o.Append
	s.stop, s.done = make(chan struct{}), make(chan struct{})
	s.cancel = func() {}
}

// Start sends what is written, from the beginning and from now on, until Finish or until ctx ends. Later calls do nothing.
func (t *Trace) Start(ctx context.Context) {
	s := &t.sender
	s.life.Lock()
	defer s.life.Unlock()
	select {
	case <-s.stop:
		return // Finish or Close came first
	default:
	}
	if s.started {
		return
	}
	s.started = true
	ctx, s.cancel = context.WithCancel(ctx)
	go s.loop(ctx)
}

// Aborted tells whether the job is over for the coordinator: it takes nothing more of it.
func (t *Trace) Aborted() bool { return t.sender.gaveUp.Load() }

// wait ends the loop and returns when it has ended. The call that the loop is in may take until ctx ends.
func (s *sender) wait(ctx context.Context) {
	s.life.Lock()
	started, cancel := s.started, s.cancel
	s.stopped.Do(func() { close(s.stop) })
	s.life.Unlock()
	if !started {
		return
	}
	select {
	case <-s.done:
	case <-ctx.Done():
	}
	cancel()
	<-s.done
}

// halt ends the loop at once.
func (s *sender) halt() {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	s.wait(ended)
}

// loop sends in the background. It waits for: something to send and its time, a whole piece of it, silence for too long, the end.
func (s *sender) loop(ctx context.Context) {
	defer close(s.done)
	s.heard = time.Now()
	waiting := false    // there is something to send
	var since time.Time // when that was first seen
	for !s.over {
		wake, wrote := s.heard.Add(s.touchAfter()), s.t.wrote
		if waiting {
			wrote = nil
			if due := s.patchAt(since); due.Before(wake) {
				wake = due
			}
		}
		timer := time.NewTimer(time.Until(wake))
		select {
		case <-wrote:
			timer.Stop()
			waiting, since = true, time.Now()
			continue
		case <-s.t.bulk:
			timer.Stop()
			if !waiting {
				waiting, since = true, time.Now()
			}
		case <-timer.C:
		case <-s.stop:
			timer.Stop()
			return
		case <-ctx.Done():
			timer.Stop()
			return
		}
		if waiting && !time.Now().Before(s.patchAt(since)) {
			waiting, since = s.tick(ctx), time.Now()
		}
		if !s.over && time.Since(s.heard) >= s.touchAfter() {
			s.touch(ctx)
		}
	}
}

// patchAt is when what has waited since that time is due.
func (s *sender) patchAt(since time.Time) time.Time {
	due, pause := since.Add(gather), s.interval
	if s.t.Size()-s.offset >= maxPiece {
		if s.bursting(time.Now()) {
			return s.patched
		}
		pause = min(pause, backlogInterval)
	}
	if next := s.patched.Add(pause); !s.patched.IsZero() && next.After(due) {
		return next
	}
	return due
}

// bursting tells whether a whole piece may go without a pause.
func (s *sender) bursting(now time.Time) bool { return !s.stumbled && s.bursts.any(now) }

// allowance is how many pieces may go without a pause: burst, and one more each burstInterval. Its value is the time when all of them are
// there again.
type allowance time.Time

func (a allowance) any(now time.Time) bool {
	return time.Time(a).Sub(now) <= (burst-1)*burstInterval
}

func (a *allowance) take(now time.Time) {
	*a = allowance(now.Add(max(0, time.Time(*a).Sub(now)) + burstInterval))
}

// touchAfter is how long the coordinator hears nothing of a job that prints nothing, and so how late a cancel is noticed: its own interval,
// as for a job that prints.
func (s *sender) touchAfter() time.Duration {
	if s.t.o.DynamicForceSend {
		return min(max(4*s.interval, touchInterval), maxTouchInterval)
	}
	return min(s.interval, touchInterval)
}

// tick sends one piece and tells whether something is left to send.
func (s *sender) tick(ctx context.Context) (left bool) {
	select {
	case <-s.t.wrote: // what comes from here on gives a new value
	default:
	}
	if now := time.Now(); s.t.Size()-s.offset >= maxPiece && s.bursting(now) {
		s.bursts.take(now)
	}
	limit := s.t.now().Add(-lineAge)
	s.t.each(func(w *writer) { left = w.flushLine(limit) || left })
	s.patch(ctx)
	return left || s.offset < s.t.Size()
}

// patch sends one piece, if there is any, and keeps what the coordinator has then.
func (s *sender) patch(ctx context.Context) (coordinator.ReplyState, error) {
	room := min(s.t.sendable()-s.offset, maxPiece)
	piece, err := s.t.buf.read(s.piece[:0], s.offset, int(room))
	if err != nil {
		return coordinator.ReplyFailed, err
	}
	if len(piece) == 0 {
		return coordinator.ReplyOK, nil
	}
	s.piece = piece
	res, err := s.t.o.Client.PatchTrace(ctx, s.t.o.Job, piece, s.before+s.offset, s.t.o.DebugTrace)
	s.patched = time.Now()
	s.stumbled = res.State != coordinator.ReplyOK && res.State != coordinator.ReplyCancel
	if s.appends && err == nil { // to the first piece, for offset 0, it says what it has
		s.appends = false
		if res.State == coordinator.ReplyRangeMismatch {
			s.before = res.SentTo
		}
	}
	res.SentTo -= s.before
	switch res.State {
	case coordinator.ReplyOK, coordinator.ReplyCancel, coordinator.ReplyRangeMismatch:
		// A coordinator that claims more than there is gets nothing more.
		s.offset = min(max(res.SentTo, 0), s.t.Size())
		if s.taken = min(s.taken, s.offset); res.State != coordinator.ReplyRangeMismatch {
			s.taken = s.offset
		}
		s.t.buf.noteSent(s.offset)
		s.heard = s.patched
	}
	s.heed(res.State, res.Canceling, res.Interval)
	return res.State, err
}

// touch tells the coordinator that the job runs, and so hears whether it still should. A failure is left to the next time.
func (s *sender) touch(ctx context.Context) {
	size, sum := s.state()
	res, _ := s.t.o.Client.UpdateJob(ctx, s.t.o.Job, coordinator.Update{State: coordinator.JobRunning, Checksum: sum, ByteSize: size})
	s.heard = time.Now()
	s.heed(res.State, res.Canceling, res.Interval)
}

// state returns size and checksum of the whole trace; "" when its beginning is not here.
func (s *sender) state() (size int64, checksum string) {
	size, checksum = s.t.buf.state()
	if s.before > 0 {
		return s.before + size, ""
	}
	return size, checksum
}

// heed does what any reply may ask for.
func (s *sender) heed(state coordinator.ReplyState, canceling bool, interval time.Duration) {
	if interval > 0 {
		s.interval = min(interval, maxInterval)
	}
	switch {
	case state == coordinator.ReplyAbort:
		if s.over {
			return
		}
		s.over = true
		s.gaveUp.Store(true)
		if !s.final && s.t.o.OnAbort != nil {
			s.t.o.OnAbort()
		}
	case (canceling || state == coordinator.ReplyCancel) && !s.canceled:
		s.canceled = true
		if !s.final && s.t.o.OnCancel != nil {
			s.t.o.OnCancel()
		}
	}
}
