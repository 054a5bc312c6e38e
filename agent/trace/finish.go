package trace

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/wait"
)

const (
	defaultFinalRetries = 10
	firstBackoff        = time.Second
	maxBackoff          = time.Hour
	// maxRewinds is how often one try sends from an earlier byte because the coordinator asks for it.
	maxRewinds = 3
	// maxAccepted is how long one try goes on asking a coordinator that has accepted the final state but not completed it. GitLab
	// takes 5 minutes at most.
	maxAccepted = 30 * time.Minute
)

// Finish sends the rest of the trace and the final state, and returns when the coordinator has both or gave the job up; both are no
// error. What is written from now on is thrown away. It tries FinalRetries times, with a pause of 1 s that doubles up to 1 h, or until
// ctx ends; the error then says why the last try failed. It is called once.
func (t *Trace) Finish(ctx context.Context, o Outcome) error {
	t.end()
	s := &t.sender
	s.wait(ctx)
	s.final, s.interval = true, firstInterval
	retries := t.o.FinalRetries
	if retries <= 0 {
		retries = defaultFinalRetries
	}
	pause := firstBackoff
	for try := 1; ; try++ {
		err := s.deliver(ctx, o)
		if err == nil {
			return nil
		}
		if try == retries || ctx.Err() != nil {
			return fmt.Errorf("job %d: final state %s not delivered in %d tries: %w", t.o.Job.ID, o.State, try, err)
		}
		if wait.For(ctx, pause) != nil {
			return fmt.Errorf("job %d: final state %s not delivered in %d tries: %w", t.o.Job.ID, o.State, try, ctx.Err())
		}
		pause = min(2*pause, maxBackoff)
	}
}

// deliver is one try: all of the trace, then the state. It returns nil when there is nothing more to do.
func (s *sender) deliver(ctx context.Context, o Outcome) error {
	began := time.Now()
	doubted := false
	for rewinds := 0; ; {
		if err := s.sendRest(ctx); err != nil || s.over {
			return err
		}
		s.t.noteSent() // no byte goes out again once the coordinator knows the end
		res, err := s.t.o.Client.UpdateJob(ctx, s.t.o.Job, s.update(o))
		s.heed(res.State, res.Canceling, res.Interval)
		switch res.State {
		case coordinator.ReplyOK, coordinator.ReplyCancel, coordinator.ReplyAbort, coordinator.ReplyNotFound:
			return nil
		case coordinator.ReplyAccepted:
			if time.Since(began) > maxAccepted {
				return errors.New("the coordinator keeps accepting the state without completing it")
			}
			if wait.For(ctx, s.interval) != nil {
				return ctx.Err()
			}
			if !doubted && s.taken < s.offset {
				// It may lack bytes that it claimed to have. Sent once more, they are taken, or it claims them again.
				doubted, s.offset = true, s.taken
			}
		case coordinator.ReplyTraceInvalid:
			if rewinds++; rewinds > maxRewinds {
				return errors.New("the coordinator finds the trace's checksum wrong again and again")
			}
			s.offset, s.taken, s.before = 0, 0, 0
		default:
			return failure(err)
		}
	}
}

// sendRest sends until the coordinator has every byte, or has no place for them any more.
func (s *sender) sendRest(ctx context.Context) error {
	for rewinds := 0; !s.over && s.offset < s.t.Size(); {
		state, err := s.patch(ctx)
		switch state {
		case coordinator.ReplyOK, coordinator.ReplyCancel:
		case coordinator.ReplyAbort, coordinator.ReplyNotFound:
			return nil
		case coordinator.ReplyRangeMismatch:
			if rewinds++; rewinds > maxRewinds {
				return fmt.Errorf("the coordinator refuses the trace's offset again and again, last with %d", s.offset)
			}
			if rewinds == 1 {
				continue // the first time it has told the right one
			}
			if wait.For(ctx, s.interval) != nil {
				return ctx.Err()
			}
		default:
			return failure(err)
		}
	}
	return nil
}

func (s *sender) update(o Outcome) coordinator.Update {
	size, sum := s.state()
	return coordinator.Update{State: o.State, FailureReason: o.FailureReason, ExitCode: o.ExitCode, Checksum: sum, ByteSize: size}
}

func failure(err error) error {
	if err == nil {
		return errors.New("the coordinator refused it")
	}
	return err
}
