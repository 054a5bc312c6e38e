package embedded

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
)

func client(t *testing.T, s *Server, token config.Secret, systemID string) *coordinator.Client {
	t.Helper()
	c, err := coordinator.New(coordinator.Options{URL: s.URL(), Token: token, SystemID: systemID})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// The agent's own client registers, resets and unregisters a runner without breaking a rule.
func TestRunnerLife(t *testing.T) {
	s, _ := start(t, Options{RegistrationToken: "GR1348941x", PersonalToken: "glpat-x", TokenLifetime: time.Hour})
	ctx := t.Context()
	made, err := client(t, s, "GR1348941x", "s_0123456789ab").Register(ctx, coordinator.Registration{
		Description: "built", Tags: "a, b", Locked: true, AccessLevel: "ref_protected", MaximumTimeout: 600, MaintenanceNote: "note",
	})
	if err != nil || made.ID != 2 || config.Created(made.Token) || time.Until(made.ExpiresAt) < 50*time.Minute {
		t.Fatalf("%+v, %v", made, err)
	}
	got := s.Runners()[1]
	if got.Description != "built" || strings.Join(got.Tags, "+") != "a+b" || !got.Locked || got.RunUntagged || got.MaximumTimeout != 600 || got.MaintenanceNote != "note" {
		t.Errorf("%+v", got)
	}
	old := client(t, s, made.Token, "s_0123456789ab")
	if v, err := old.Verify(ctx); err != nil || v.ID != made.ID || !v.TokenExpiresAt.Equal(made.ExpiresAt) {
		t.Errorf("%+v, %v", v, err)
	}
	reset, err := old.ResetToken(ctx)
	if err != nil || reset.Token == made.Token || reset.ExpiresAt.IsZero() {
		t.Fatalf("%+v, %v", reset, err)
	}
	again, err := client(t, s, "", "").ResetTokenOf(ctx, made.ID, "glpat-x")
	if err != nil || again.Token == reset.Token || again.ID != made.ID {
		t.Fatalf("%+v, %v", again, err)
	}
	if err := client(t, s, again.Token, "s_0123456789ab").Unregister(ctx); err != nil {
		t.Error(err)
	}

	first, second := client(t, s, s.RunnerToken(), "s_0123456789ab"), client(t, s, s.RunnerToken(), "r_0123456789ab")
	for _, c := range []*coordinator.Client{first, second} {
		if _, err := c.Verify(ctx); err != nil {
			t.Error(err)
		}
	}
	if err := first.UnregisterManager(ctx); err != nil {
		t.Error(err)
	}
	if got := s.Runners()[0].Managers; len(got) != 1 || got[0] != "r_0123456789ab" {
		t.Errorf("managers %v", got)
	}
	for _, v := range s.Violations() {
		t.Error(v)
	}
}

func TestRunnerRefusals(t *testing.T) {
	s, _ := start(t, Options{RegistrationToken: "reg", PersonalToken: "glpat-x"})
	ctx := t.Context()
	registrar, stranger := client(t, s, "reg", ""), client(t, s, "glrt-stranger", "s_0123456789ab")
	status := func(err error) int {
		var e *coordinator.Error
		if !errors.As(err, &e) {
			return 0
		}
		return e.Status
	}
	register := func(c *coordinator.Client, r coordinator.Registration) error {
		_, err := c.Register(ctx, r)
		return err
	}
	reset := func(c *coordinator.Client) error {
		_, err := c.ResetToken(ctx)
		return err
	}
	resetOf := func(id int64, pat config.Secret) error {
		_, err := stranger.ResetTokenOf(ctx, id, pat)
		return err
	}
	for _, tt := range []struct {
		name string
		err  error
		want int
		text string
	}{
		{"wrong registration token", register(stranger, coordinator.Registration{RunUntagged: true}), 403, "check the runner's token"},
		{"short timeout", register(registrar, coordinator.Registration{RunUntagged: true, MaximumTimeout: 599}), 400, "maximum_timeout needs to be at least 10 minutes"},
		{"access level", register(registrar, coordinator.Registration{RunUntagged: true, AccessLevel: "all"}), 400, "access_level"},
		{"long note", register(registrar, coordinator.Registration{RunUntagged: true, MaintenanceNote: strings.Repeat("ä", 1025)}), 400, "too long"},
		{"no tags", register(registrar, coordinator.Registration{Tags: " , "}), 400, "tags_list"},
		{"reset", reset(stranger), 403, ""},
		{"reset of none", resetOf(77, "glpat-x"), 404, ""},
		{"reset without the right", resetOf(1, "glpat-y"), 401, ""},
		{"unregister", stranger.Unregister(ctx), 403, ""},
		{"unregister a manager", stranger.UnregisterManager(ctx), 403, ""},
		{"unregister a manager that is none", client(t, s, s.RunnerToken(), "r_999999999999").UnregisterManager(ctx), 404, ""},
	} {
		if tt.err == nil || status(tt.err) != tt.want || !strings.Contains(tt.err.Error(), tt.text) {
			t.Errorf("%s: %v, want %d %s", tt.name, tt.err, tt.want, tt.text)
		}
	}
	off, _ := start(t, Options{})
	if err := register(client(t, off, "reg", ""), coordinator.Registration{RunUntagged: true}); !errors.Is(err, coordinator.ErrGone) {
		t.Errorf("switched off: %v", err)
	}
}

// A peer that breaks the rules is noted.
func TestRunnerViolations(t *testing.T) {
	s, p := start(t, Options{RegistrationToken: "reg"})
	for _, tt := range []struct {
		method, path string
		header       map[string]string
		body         any
		status       int
		rule         string
	}{
		{"POST", "/runners", nil, map[string]any{"run_untagged": true}, http.StatusBadRequest, "token"},
		{"POST", "/runners", nil, map[string]any{"info": p.info(), "token": "reg", "run_untagged": true}, http.StatusCreated, "registration"},
		{"DELETE", "/runners", nil, map[string]any{}, http.StatusBadRequest, "token"},
		{"DELETE", "/runners/managers", map[string]string{"RUNNER-TOKEN": p.token}, map[string]any{"token": p.token}, http.StatusBadRequest, "system-id"},
		{"POST", "/runners/1/reset_authentication_token", nil, map[string]any{}, http.StatusUnauthorized, "json"},
	} {
		before := len(s.Violations())
		r := p.call(tt.method, "/api/v4"+tt.path, tt.header, tt.body)
		found := false
		for _, v := range s.Violations()[before:] {
			found = found || v.Rule == tt.rule
		}
		if r.status != tt.status || !found {
			t.Errorf("%s %s: %d, violations %v", tt.method, tt.path, r.status, s.Violations()[before:])
		}
	}
}

// A token that has expired is worth nothing.
func TestTokenExpires(t *testing.T) {
	s, _ := start(t, Options{TokenLifetime: time.Millisecond})
	deadline := time.Now().Add(time.Minute)
	for {
		_, err := client(t, s, s.RunnerToken(), "s_0123456789ab").Verify(t.Context())
		if errors.Is(err, coordinator.ErrForbidden) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the token still holds")
		}
	}
}
