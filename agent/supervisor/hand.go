package supervisor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/metrics"
	"github.com/millwright-ci/millwright/agent/pool"
)

// Scaling is what the operator sees of how the agent scales: the freeze and the ceilings, and what holds each runner back.
type Scaling struct {
	Frozen   *fleet.Freeze   `json:"frozen,omitempty"` // absent: it is not
	Ceilings CeilingsView    `json:"ceilings"`
	Runners  []RunnerScaling `json:"runners"`
	Accounts []AccountView   `json:"accounts"`
}

// CeilingsView are the operator's ceilings, 0 for none, with what counts against them.
type CeilingsView struct {
	MaxMachines       int     `json:"max_machines,omitempty"`
	Machines          int     `json:"machines"`
	MaxCreatesPerHour int     `json:"max_creates_per_hour,omitempty"`
	Creates           int     `json:"creates_last_hour"`
	MaxMachineAgeS    float64 `json:"max_machine_age_s,omitempty"`
}

// RunnerScaling is what holds one runner back.
type RunnerScaling struct {
	Runner     string               `json:"runner"`
	Ceilings   CeilingsView         `json:"ceilings"`
	Breaker    pool.BreakerState    `json:"breaker"`
	Backoffs   []BackoffView        `json:"backoffs,omitempty"`
	PassedOver map[string]time.Time `json:"passed_over,omitempty"` // alternatives without machines, until when
	Rails      []fleet.Rail         `json:"rails,omitempty"`
}

// BackoffView is one reason why creation is held back.
type BackoffView struct {
	Kind     string    `json:"kind"`
	Failures int       `json:"failures"`
	Until    time.Time `json:"until"`
	Error    string    `json:"error"`
}

// AccountView is one account at a provider.
type AccountView struct {
	Name       string         `json:"name"`
	Calls      map[string]int `json:"calls"`
	Limited    int            `json:"rate_limited"`
	Waiting    int            `json:"waiting"`
	PerSecond  float64        `json:"calls_per_second"`
	PauseUntil time.Time      `json:"pause_until,omitzero"`
}

// Scaling returns how the agent scales now.
func (s *Supervisor) Scaling() Scaling {
	now := time.Now()
	out := Scaling{Runners: []RunnerScaling{}, Accounts: []AccountView{}}
	if f := s.shared.Freeze(now); !f.Since.IsZero() {
		out.Frozen = &f
	}
	s.eachPool(func(_ *pool.Pool, status pool.Status) {
		l := status.Limits
		out.Ceilings = ceilingsView(l.All, status.Counts.Total+l.Agent.Machines, l.Agent.Creates)
		r := RunnerScaling{Runner: status.Runner, Ceilings: ceilingsView(l.Own, status.Counts.Total, l.Agent.OwnCreates),
			Breaker: status.Breaker, PassedOver: status.PassedOver, Rails: status.Rails}
		for _, b := range status.Backoffs {
			r.Backoffs = append(r.Backoffs, BackoffView{Kind: string(b.Kind), Failures: b.Failures, Until: b.Until, Error: b.Err})
		}
		out.Runners = append(out.Runners, r)
	})
	slices.SortFunc(out.Runners, func(a, b RunnerScaling) int { return strings.Compare(a.Runner, b.Runner) })
	for _, a := range s.shared.Accounts() {
		out.Accounts = append(out.Accounts, AccountView(a))
	}
	return out
}

func ceilingsView(c fleet.Ceilings, machines, creates int) CeilingsView {
	return CeilingsView{MaxMachines: c.MaxMachines, Machines: machines, MaxCreatesPerHour: c.MaxCreatesPerHour, Creates: creates,
		MaxMachineAgeS: c.MaxMachineAge.Seconds()}
}

// countScaling brings the figures of the operator's hand up to date.
func (s *Supervisor) countScaling(now time.Time) {
	f := s.shared.Freeze(now)
	out := metrics.Scaling{Frozen: !f.Since.IsZero()}
	s.eachPool(func(_ *pool.Pool, status pool.Status) {
		out.Ceilings, out.Creates = status.Limits.All, status.Limits.Agent.Creates
		r := metrics.RunnerScaling{Runner: status.Runner, Ceilings: status.Limits.Own, Creates: status.Limits.Agent.OwnCreates,
			Breaker: string(status.Breaker), Failures: map[string]int{}, PassedOver: len(status.PassedOver), Rails: status.Rails}
		for _, b := range status.Backoffs {
			r.Failures[string(b.Kind)] = b.Failures
		}
		for _, m := range status.Machines {
			if m.Cordoned {
				r.Cordoned++
			}
			if m.Held() {
				r.Held++
			}
		}
		out.Runners = append(out.Runners, r)
	})
	for _, a := range s.shared.Accounts() {
		out.Accounts = append(out.Accounts, metrics.Account{Name: a.Name, Calls: a.Calls, Limited: a.Limited, Waiting: a.Waiting, PerSecond: a.PerSecond})
	}
	s.metrics.Scaling(out)
}

// Freeze stops all creating and removing for a time, 0 for ever, also over restarts. When it returns nil no provider is asked for more;
// calls under way end by themselves.
func (s *Supervisor) Freeze(length time.Duration, reason string) (fleet.Freeze, error) {
	f := fleet.Freeze{Since: time.Now().Round(time.Second), Reason: reason}
	if length > 0 {
		f.Until = f.Since.Add(length)
	}
	if err := s.setFreeze(f); err != nil {
		return f, err
	}
	s.log.Warn("Frozen: nothing is created or removed", "until", f.Until, "reason", reason)
	return f, nil
}

// Unfreeze ends a freeze; without one it does nothing.
func (s *Supervisor) Unfreeze() error {
	if err := s.setFreeze(fleet.Freeze{}); err != nil {
		return err
	}
	s.log.Info("The freeze has ended")
	return nil
}

func (s *Supervisor) setFreeze(f fleet.Freeze) error {
	s.freezing.Lock()
	defer s.freezing.Unlock()
	if err := s.journal.SetFreeze(f); err != nil {
		return err
	}
	s.shared.SetFreeze(f)
	for _, p := range s.pools() {
		p.Sync()
	}
	return nil
}

// Cordon keeps a machine from new jobs, or with on false lets it have them again.
func (s *Supervisor) Cordon(ctx context.Context, name string, on bool) error {
	return s.mark(name, func(p *pool.Pool) error { return p.Cordon(ctx, name, on) })
}

// Hold keeps a machine for a look at it, for a time.
func (s *Supervisor) Hold(ctx context.Context, name string, h fleet.Hold) error {
	return s.mark(name, func(p *pool.Pool) error { return p.Hold(ctx, name, h) })
}

// EndHold ends a machine's hold.
func (s *Supervisor) EndHold(ctx context.Context, name string) error {
	return s.mark(name, func(p *pool.Pool) error { return p.EndHold(ctx, name) })
}

// mark asks the pool that has the machine.
func (s *Supervisor) mark(name string, ask func(*pool.Pool) error) error {
	for _, p := range s.pools() {
		if err := ask(p); !errors.Is(err, pool.ErrUnknown) && !errors.Is(err, pool.ErrStopped) {
			if err != nil {
				err = fmt.Errorf("machine %s: %w", name, err)
			}
			return err
		}
	}
	return fmt.Errorf("machine %s: %w; `millwright machine ls` lists them", name, pool.ErrUnknown)
}

// controlHand is the part of agent.sock that is the operator's hand on machines.
func (s *Supervisor) controlHand(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/scaling", func(w http.ResponseWriter, _ *http.Request) { reply(w, s.Scaling()) })
	mux.HandleFunc("POST /v1/freeze", func(w http.ResponseWriter, r *http.Request) {
		length, err := formDuration(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		f, err := s.Freeze(length, r.FormValue("reason"))
		if err != nil {
			done(w, err)
			return
		}
		reply(w, f)
	})
	mux.HandleFunc("DELETE /v1/freeze", func(w http.ResponseWriter, _ *http.Request) { done(w, s.Unfreeze()) })
	for path, on := range map[string]bool{"cordon": true, "uncordon": false} {
		mux.HandleFunc("POST /v1/machines/{name}/"+path, func(w http.ResponseWriter, r *http.Request) {
			done(w, s.Cordon(r.Context(), r.PathValue("name"), on))
		})
	}
	mux.HandleFunc("POST /v1/machines/{name}/hold", func(w http.ResponseWriter, r *http.Request) {
		length, err := formDuration(r)
		if err == nil && length <= 0 {
			err = errors.New("a hold needs an end: for=2h")
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		h := fleet.Hold{Until: time.Now().Add(length).Round(time.Second), Reason: r.FormValue("reason")}
		if err := s.Hold(r.Context(), r.PathValue("name"), h); err != nil {
			done(w, err)
			return
		}
		reply(w, h)
	})
	mux.HandleFunc("POST /v1/machines/{name}/release", func(w http.ResponseWriter, r *http.Request) {
		done(w, s.EndHold(r.Context(), r.PathValue("name")))
	})
}

// formDuration reads the parameter for; absent it is 0.
func formDuration(r *http.Request) (time.Duration, error) {
	text := r.FormValue("for")
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err == nil && d <= 0 {
		err = errors.New("it must be more than 0")
	}
	if err != nil {
		return 0, fmt.Errorf("for=%q: %w; write it as 30m or 2h", text, err)
	}
	return d, nil
}
