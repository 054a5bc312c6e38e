package supervisor

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
)

const (
	// rotationFlag switches the rotation of tokens off. Source: GitLab Runner documentation, feature flags.
	rotationFlag = "FF_DISABLE_AUTOMATIC_TOKEN_ROTATION"

	rotateCheck   = time.Hour       // the longest wait until tokens are looked at again: clocks jump
	rotateTimeout = 2 * time.Minute // of one reset, which nothing else ends: its answer is the only copy of the token
	rotateRetry   = time.Minute     // after the first failure; doubled with each
)

// rotated is a token that took the place of another. It stays for the life of the process: a file that still has the old one, or has
// it again, must not bring that back, since it is worth nothing.
type rotated struct {
	config.Token
	saved bool
}

// attempt is when a token may be tried again.
type attempt struct {
	failures int
	after    time.Time
}

// rotateLoop replaces each token that has an expiry when three quarters of its life are over, until ctx ends.
func (s *Supervisor) rotateLoop(ctx context.Context) {
	if s.o.ConfigPath == "" {
		return
	}
	attempts := map[config.Secret]*attempt{}
	for {
		timer := time.NewTimer(s.rotateDue(ctx, attempts, time.Now()))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-s.applied:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// rotateDue replaces what is due and returns how long there is nothing to do.
func (s *Supervisor) rotateDue(ctx context.Context, attempts map[config.Secret]*attempt, now time.Time) time.Duration {
	wait := rotateCheck
	for _, w := range s.allWorkers() {
		r := *w.current()
		if r.TokenExpiresAt.IsZero() && s.unsaved(r.Token) == nil {
			continue
		}
		if s.replaced(r.Token) { // and the configuration with the new one can't be put into force
			wait = min(wait, rotateRetry)
			continue
		}
		if attempts[r.Token] == nil {
			attempts[r.Token] = &attempt{after: rotationDue(r)}
			if s.unsaved(r.Token) != nil {
				attempts[r.Token].after = now.Add(rotateRetry)
			}
		}
		a := attempts[r.Token]
		if left := a.after.Sub(now); left > 0 {
			wait = min(wait, left)
			continue
		}
		if err := s.rotate(ctx, w); err != nil {
			pause := min(rotateRetry<<min(a.failures, 6), rotateCheck)
			pause += rand.N(pause / 4)
			a.failures, a.after = a.failures+1, now.Add(pause)
			wait = min(wait, pause)
			s.log.Error("Runner's token is not replaced", "runner", r.Name, "expires", r.TokenExpiresAt, "error", err, "retry_in", pause.Round(time.Second))
			continue
		}
		delete(attempts, r.Token)
		_ = s.Reload() // with the new token; it is logged and counted there
		return 0       // others may have had the same token
	}
	return wait
}

// rotationDue is when three quarters of a token's life are over. Source: GitLab Runner documentation, "Automatically rotate runner
// authentication tokens".
func rotationDue(r config.Runner) time.Time {
	if r.TokenObtainedAt.IsZero() {
		return time.Time{}
	}
	return r.TokenObtainedAt.Add(r.TokenExpiresAt.Sub(r.TokenObtainedAt) / 4 * 3)
}

var errRotationOff = errors.New(rotationFlag + " is set; reset it with `millwright reset-token` before it expires")

// rotate has the coordinator replace a runner's token and writes the new one into the configuration; or writes one that is still to be
// written. The file's lock is held from before, and that it can be written is tried first: the old token is worth nothing afterwards.
func (s *Supervisor) rotate(ctx context.Context, w *worker) error {
	r := *w.current()
	if r.FeatureFlags[rotationFlag] {
		return errRotationOff
	}
	writer, err := config.OpenWriter(ctx, s.o.ConfigPath)
	if err != nil {
		return err
	}
	defer writer.Close()
	if pending := s.unsaved(r.Token); pending != nil {
		return s.keep(writer, r, pending)
	}
	if err := writer.Try(replacing(r, config.Token{Value: "tried"})); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rotateTimeout)
	defer cancel()
	got, err := w.api().ResetToken(ctx)
	if err != nil {
		return err
	}
	fresh := &rotated{Token: config.Token{Value: got.Token, ObtainedAt: time.Now().UTC().Truncate(time.Second), ExpiresAt: got.ExpiresAt}}
	s.mu.Lock()
	s.rotated[r.Token] = fresh
	s.mu.Unlock()
	if err := s.keep(writer, r, fresh); err != nil {
		s.log.Error("Runner's new token is not written: it lives in this process alone", "runner", r.Name, "error", err)
	}
	s.log.Info("Runner's token is replaced", "runner", r.Name, "expires", got.ExpiresAt)
	return nil
}

// keep writes a token.
func (s *Supervisor) keep(writer *config.Writer, r config.Runner, fresh *rotated) error {
	s.mu.Lock()
	for old, other := range s.rotated { // the file has the token before
		if other == fresh {
			r.Token = old
		}
	}
	s.mu.Unlock()
	err := writer.Update(replacing(r, fresh.Token))
	s.metrics.ConfigSaved(err)
	if err != nil {
		return err
	}
	s.mu.Lock()
	fresh.saved = true
	s.mu.Unlock()
	return nil
}

// replacing gives r's entry another token.
func replacing(r config.Runner, token config.Token) func(*config.Document) error {
	return func(d *config.Document) error {
		written, ok := d.Written(r)
		if !ok {
			return fmt.Errorf("runner %s: its entry is no more in the file, or has another token by now", r.Name)
		}
		return d.Rotate(written, token)
	}
}

// unsaved returns what a token was replaced by, or is itself, when that is not written yet.
func (s *Supervisor) unsaved(token config.Secret) *rotated {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.rotated {
		if r.Value == token && !r.saved {
			return r
		}
	}
	return nil
}

// replaced tells whether a token is worth nothing any more.
func (s *Supervisor) replaced(token config.Secret) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rotated[token] != nil
}

// load reads the configuration, with tokens that were replaced in the place of those that they replaced.
func (s *Supervisor) load() (*config.Config, error) {
	c, err := s.o.Load()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	next := *c // what was read is not ours to change
	next.Runners = slices.Clone(c.Runners)
	for i := range next.Runners {
		r := &next.Runners[i]
		for range len(s.rotated) {
			fresh := s.rotated[r.Token]
			if fresh == nil {
				break
			}
			r.Token, r.TokenObtainedAt, r.TokenExpiresAt = fresh.Value, fresh.ObtainedAt, fresh.ExpiresAt
		}
	}
	return &next, nil
}
