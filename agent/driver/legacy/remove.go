package legacy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Remove implements driver.Driver. What takes longer than ctx goes on by itself: that is an error of the kind transient, and the next call
// waits for it again.
func (d *Driver) Remove(ctx context.Context, req abi.RemoveRequest) error {
	m, leave, err := d.enter(ctx, req.Name)
	if err != nil {
		return err
	}
	defer leave()
	r, ok, err := d.files.Load(req.Name)
	switch {
	case err != nil:
		return d.failure(abi.ExportRemove, abi.Transient, "%v; mend it, or remove the machine at its provider and then its folder", err)
	case !ok && req.ID != "" && !isOurs(req.ID):
		return d.failure(abi.ExportRemove, abi.Transient,
			"a module made it, and docker-machine's plug-in can't know it; take %s out of legacy_drivers until such machines are gone", d.opts.Name)
	case !ok || !isOurs(r.ID) || r.Owner != req.Owner.ID || r.Driver != d.opts.Name:
		return nil
	}
	if err := d.endCreation(ctx, m, req.Name); err != nil {
		return err
	}
	if m.task == nil || m.task.creation || m.task.over() {
		if r, _, err = d.files.Load(req.Name); err != nil { // the creation's last words
			return d.failure(abi.ExportRemove, abi.Transient, "%v", err)
		}
		if !d.begin(m, d.opts.RemoveLimit, false, func(ctx context.Context) error { return d.destroy(ctx, req.Name, r) }) {
			return d.failure(abi.ExportRemove, abi.Transient, "%v", errClosed)
		}
	}
	select {
	case <-m.task.done:
	case <-ctx.Done():
		return d.failure(abi.ExportRemove, abi.Transient, "the plug-in is at it still")
	}
	if err := m.task.err; err != nil {
		kind := kindOf(err.Error())
		if kind == abi.NotFound || kind == abi.Invalid {
			kind = abi.Transient // the words alone are no proof that it is gone
		}
		return d.failure(abi.ExportRemove, kind, "%v", err)
	}
	return nil
}

// endCreation waits for the end of a creation under way, and cuts it off when that takes too long.
func (d *Driver) endCreation(ctx context.Context, m *machine, name string) error {
	t := m.task
	if t == nil || !t.creation {
		return nil
	}
	if t.unwanted.IsZero() {
		t.unwanted = time.Now()
	}
	patience := time.NewTimer(time.Until(t.unwanted.Add(d.opts.Patience)))
	defer patience.Stop()
	select {
	case <-t.done:
	case <-patience.C:
		t.cancel(errors.New("the machine is to be removed"))
		<-t.done
		d.log.Warn("A creation was cut off; what the plug-in had not told of yet may be left at the provider", "machine", name)
	case <-ctx.Done():
		return d.failure(abi.ExportRemove, abi.Transient, "its creation is under way still; it is removed when that ends")
	}
	return nil
}

// destroy has the plug-in remove the machine, and forgets it.
func (d *Driver) destroy(ctx context.Context, name string, r record) error {
	if r.Phase != phaseAsked { // else nothing was ever made
		s, err := d.session(ctx, name, r)
		if err != nil {
			return err
		}
		defer s.close()
		if err := s.do(ctx, "Remove"); err != nil && !d.isGone(ctx, s, err) {
			return err
		}
	}
	dir := d.files.Dir(name)
	_ = os.Remove(filepath.Join(dir, "known_hosts"))
	for _, key := range []string{r.SSHKey, filepath.Join(dir, "id_rsa")} {
		if filepath.Dir(key) == dir {
			_ = os.Remove(key)
			_ = os.Remove(key + ".pub")
		}
	}
	if err := d.files.Delete(name); err != nil {
		return fmt.Errorf("the machine is gone, and its record is not: %w", err)
	}
	d.mu.Lock()
	delete(d.seen, name)
	d.mu.Unlock()
	return nil
}

// isGone tells whether a removal failed because there is nothing. The words of the error are no proof: an SSH key may be what is not found.
// So the state is asked for too.
func (d *Driver) isGone(ctx context.Context, s *session, err error) bool {
	if kindOf(err.Error()) != abi.NotFound {
		return false
	}
	state, err := get[int](ctx, s, "GetState")
	var own ownWords
	return err == nil && state == stateNone || errors.As(err, &own) && kindOf(own.text) == abi.NotFound
}

// words tell the kind of an error, since the protocol carries texts alone. The first that matches counts.
// Source: the clouds' API references, as docker-machine's drivers pass their codes on.
var words = []struct {
	kind  abi.ErrorKind
	texts []string
}{
	{abi.RateLimited, []string{"rate limit", "ratelimit", "rate_limit", "too many requests", "toomanyrequests", "requestlimitexceeded", "throttl", "status code: 429", "(429)"}},
	{abi.Quota, []string{"quota", "limitexceeded", "limit exceeded", "resource_limit", "limit reached", "will exceed your"}},
	{abi.Capacity, []string{"zone_resource_pool_exhausted", "stockout", "insufficientinstancecapacity", "insufficienthostcapacity", "allocationfailed",
		"skunotavailable", "resource_unavailable", "no valid host", "no capacity", "out of capacity", "currently unavailable", "placement_error"}},
	{abi.Auth, []string{"unauthorized", "authfailure", "expiredtoken", "invalid credentials", "authentication", "access denied", "accessdenied", "forbidden", "permission denied", "invalid token", "unable to authenticate"}},
	{abi.NotFound, []string{"not found", "notfound", "not_found", "does not exist"}},
	{abi.Conflict, []string{"already exists", "alreadyexists", "uniqueness_error", "name is already"}},
}

// status404 is the HTTP status on its own, not a part of another number.
var status404 = regexp.MustCompile(`\b404\b`)

// kindOf guesses the kind of an error by its words; what says nothing is transient. A plug-in's stack, with which it tells of a panic, has
// words and numbers of all kinds.
func kindOf(text string) abi.ErrorKind {
	text, _, _ = strings.Cut(strings.ToLower(text), "\ngoroutine ")
	for _, w := range words {
		for _, t := range w.texts {
			if strings.Contains(text, t) {
				return w.kind
			}
		}
		if w.kind == abi.NotFound && status404.MatchString(text) {
			return w.kind
		}
	}
	return abi.Transient
}
