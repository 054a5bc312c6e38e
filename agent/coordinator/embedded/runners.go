package embedded

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
)

// Runner is a runner as the coordinator holds it.
type Runner struct {
	ID          int64
	Token       config.Secret // "" when the runner has been deleted
	ExpiresAt   time.Time     // of the token; zero: never
	Description string
	Managers    []string // the system IDs that have been seen and not unregistered, sorted

	// Of runners that were registered with the registration token.
	Tags            []string
	RunUntagged     bool
	Locked          bool
	Paused          bool
	AccessLevel     string
	MaximumTimeout  int // seconds
	MaintenanceNote string
}

// Runners lists all runners, the deleted ones too, by id.
func (s *Server) Runners() []Runner {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Runner
	for _, r := range s.runners {
		record := r.record
		record.ID, record.Token, record.ExpiresAt, record.Description = r.id, config.Secret(r.token), r.expiresAt, r.description
		record.Managers = slices.Clone(r.record.Managers)
		all = append(all, record)
	}
	return all
}

// seen notes a runner manager. The caller holds mu.
func (r *runner) seen(systemID string) {
	if i, found := slices.BinarySearch(r.record.Managers, systemID); !found && systemID != "" {
		r.record.Managers = slices.Insert(r.record.Managers, i, systemID)
	}
}

// renew gives a runner a token. The caller holds mu.
func (s *Server) renew(r *runner, prefix string) {
	r.token, r.expiresAt = prefix+randomToken(), time.Time{}
	if s.o.TokenLifetime > 0 {
		r.expiresAt = time.Now().Add(s.o.TokenLifetime).UTC().Truncate(time.Millisecond)
	}
}

// expiry is token_expires_at as it goes over the wire.
func (r *runner) expiry() any {
	if r.expiresAt.IsZero() {
		return nil
	}
	return r.expiresAt
}

// registration is the body of POST /runners.
type registration struct {
	Info            json.RawMessage `json:"info"`
	Token           string          `json:"token"`
	Description     string          `json:"description"`
	MaintenanceNote string          `json:"maintenance_note"`
	TagList         string          `json:"tag_list"`
	RunUntagged     *bool           `json:"run_untagged"`
	Locked          *bool           `json:"locked"`
	Paused          *bool           `json:"paused"`
	AccessLevel     string          `json:"access_level"`
	MaximumTimeout  int             `json:"maximum_timeout"`
}

// Limits of a registration, as Rails has them.
const (
	maxNote           = 1024 // characters
	minMaximumTimeout = 600  // seconds
)

// register is POST /runners.
func (s *Server) register(w http.ResponseWriter, r *http.Request) {
	var body registration
	if !s.readJSON(w, r, maxRequestBody, &body) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checkInfo(r, 0, body.Info)
	for name, flag := range map[string]*bool{"run_untagged": body.RunUntagged, "locked": body.Locked, "paused": body.Paused} {
		if flag == nil {
			s.note(r, 0, "registration", "%s is not sent", name)
		}
	}
	switch {
	case body.Token == "":
		s.note(r, 0, "token", "the body has no token")
		answer(w, http.StatusBadRequest, map[string]string{"error": "token is missing"})
		return
	case s.o.RegistrationToken == "":
		message(w, http.StatusGone, "410 Gone - runner registration disallowed")
		return
	case !same(body.Token, s.o.RegistrationToken.Reveal()):
		message(w, http.StatusForbidden, "403 Forbidden - invalid token supplied")
		return
	}
	s.checkHeader(r, body.Token)
	if refusal := body.refusal(); refusal != nil {
		answer(w, http.StatusBadRequest, refusal)
		return
	}
	added := s.addRunner(body.Description)
	added.record = Runner{
		Tags: body.tags(), RunUntagged: isTrue(body.RunUntagged), Locked: isTrue(body.Locked), Paused: isTrue(body.Paused),
		AccessLevel: body.AccessLevel, MaximumTimeout: body.MaximumTimeout, MaintenanceNote: body.MaintenanceNote,
	}
	s.renew(added, "t1_")
	answer(w, http.StatusCreated, map[string]any{"id": added.id, "token": added.token, "token_expires_at": added.expiry()})
}

func isTrue(b *bool) bool { return b != nil && *b }

func (b registration) tags() []string {
	var tags []string
	for tag := range strings.SplitSeq(b.TagList, ",") {
		if tag = strings.TrimSpace(tag); tag != "" {
			tags = append(tags, tag)
		}
	}
	return tags
}

// refusal is what Rails answers to values that it does not take; nil takes all.
func (b registration) refusal() map[string]any {
	field := func(name, text string) map[string]any {
		return map[string]any{"message": map[string][]string{name: {text}}}
	}
	switch {
	case b.AccessLevel != "" && b.AccessLevel != "not_protected" && b.AccessLevel != "ref_protected":
		return map[string]any{"error": "access_level does not have a valid value"}
	case b.MaximumTimeout != 0 && b.MaximumTimeout < minMaximumTimeout:
		return field("maximum_timeout", "needs to be at least 10 minutes")
	case len([]rune(b.MaintenanceNote)) > maxNote:
		return field("maintenance_note", "is too long (maximum is 1024 characters)")
	case !isTrue(b.RunUntagged) && len(b.tags()) == 0:
		return field("tags_list", "can not be empty when runner is not allowed to pick untagged jobs")
	}
	return nil
}

// checkHeader notes a RUNNER-TOKEN that is not the token of the body. The caller holds mu.
func (s *Server) checkHeader(r *http.Request, token string) {
	if !same(token, r.Header.Get("RUNNER-TOKEN")) {
		s.note(r, 0, "token", "the header RUNNER-TOKEN does not hold the token")
	}
}

// tokenBody reads the body of unregister and reset, and finds the runner, or answers why not. The caller does not hold mu.
func (s *Server) tokenBody(w http.ResponseWriter, r *http.Request) (found *runner, systemID string) {
	var body runnerBody
	if !s.readJSON(w, r, maxRequestBody, &body) {
		return nil, ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if body.Token == "" {
		s.note(r, 0, "token", "the body has no token")
		answer(w, http.StatusBadRequest, map[string]string{"error": "token is missing"})
		return nil, ""
	}
	if found = s.runnerOf(body.Token); found == nil {
		message(w, http.StatusForbidden, "403 Forbidden")
		return nil, ""
	}
	if r.Method == http.MethodDelete {
		s.checkHeader(r, body.Token)
	}
	return found, body.SystemID
}

// unregister is DELETE /runners.
func (s *Server) unregister(w http.ResponseWriter, r *http.Request) {
	if found, _ := s.tokenBody(w, r); found != nil {
		s.mu.Lock()
		found.token = ""
		s.mu.Unlock()
		answer(w, http.StatusNoContent, nil)
	}
}

// unregisterManager is DELETE /runners/managers.
func (s *Server) unregisterManager(w http.ResponseWriter, r *http.Request) {
	found, systemID := s.tokenBody(w, r)
	if found == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if systemID == "" {
		s.note(r, 0, "system-id", "the body has no system_id")
		answer(w, http.StatusBadRequest, map[string]string{"error": "system_id is missing"})
		return
	}
	i, known := slices.BinarySearch(found.record.Managers, systemID)
	if !known {
		message(w, http.StatusNotFound, "404 Runner not found")
		return
	}
	found.record.Managers = slices.Delete(found.record.Managers, i, i+1)
	answer(w, http.StatusNoContent, nil)
}

// resetToken is POST /runners/reset_authentication_token.
func (s *Server) resetToken(w http.ResponseWriter, r *http.Request) {
	if found, _ := s.tokenBody(w, r); found != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.answerReset(w, found)
	}
}

// resetTokenOf is POST /runners/:id/reset_authentication_token.
func (s *Server) resetTokenOf(w http.ResponseWriter, r *http.Request) {
	var body any
	if !s.readJSON(w, r, maxRequestBody, &body) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if body != nil {
		s.note(r, 0, "json", "the body is not null")
	}
	if !same(s.o.PersonalToken.Reveal(), r.Header.Get("PRIVATE-TOKEN")) {
		message(w, http.StatusUnauthorized, "401 Unauthorized")
		return
	}
	id := pathID(r)
	i := slices.IndexFunc(s.runners, func(r *runner) bool { return r.id == id && r.token != "" })
	if i < 0 {
		message(w, http.StatusNotFound, "404 Runner Not Found")
		return
	}
	s.answerReset(w, s.runners[i])
}

// answerReset gives a runner another token of its kind. The caller holds mu.
func (s *Server) answerReset(w http.ResponseWriter, found *runner) {
	prefix := "t1_"
	if strings.HasPrefix(found.token, "glrt-") {
		prefix = "glrt-"
	}
	s.renew(found, prefix)
	answer(w, http.StatusCreated, map[string]any{"token": found.token, "token_expires_at": found.expiry()})
}

// ForgetRunner deletes a runner, as somebody does in GitLab.
func (s *Server) ForgetRunner(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.runners {
		if r.id == id {
			r.token = ""
		}
	}
}
