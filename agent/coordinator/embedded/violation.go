package embedded

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Violation is something that a runner (or a job) did against the rules of the API. Refusals that a right client can meet, as 416
// after a lost answer or 403 after a cancel, are none.
type Violation struct {
	Time    time.Time
	JobID   int64 // 0 where no job is concerned
	Request string
	Rule    string // one word: token, info, content-range, after-end, ...
	Text    string
}

func (v Violation) String() string {
	return fmt.Sprintf("%s: %s: %s", v.Request, v.Rule, v.Text)
}

// maxViolations keeps a client that is wrong with each request from filling the memory.
const maxViolations = 1000

// Violations are all so far, the first 1000.
func (s *Server) Violations() []Violation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.violations)
}

// violate records a violation. The caller does not hold mu.
func (s *Server) violate(r *http.Request, jobID int64, rule, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note(r, jobID, rule, format, args...)
}

// note is violate for those who hold mu.
func (s *Server) note(r *http.Request, jobID int64, rule, format string, args ...any) {
	v := Violation{Time: time.Now(), JobID: jobID, Request: r.Method + " " + r.URL.Path, Rule: rule, Text: fmt.Sprintf(format, args...)}
	s.o.Log.Warn("the runner breaks a rule", "request", v.Request, "rule", v.Rule, "text", v.Text)
	if len(s.violations) < maxViolations {
		s.violations = append(s.violations, v)
	}
}

// info is what a runner says of itself.
type info struct {
	Name         string          `json:"name"`
	Version      string          `json:"version"`
	Platform     string          `json:"platform"`
	Architecture string          `json:"architecture"`
	Executor     string          `json:"executor"`
	Features     map[string]bool `json:"features"`
}

// knownFeatures are the 31 that every info must carry, true or false.
var knownFeatures = strings.Fields(`
	trace_reset trace_checksum trace_size cancelable cancel_gracefully two_phase_job_commit job_inputs
	artifacts upload_multiple_artifacts upload_raw_artifacts cache fallback_cache_keys refspecs masking raw_variables
	artifacts_exclude multi_build_steps vault_secrets return_exit_code variables
	image services session terminal service_variables service_multiple_aliases image_executor_opts service_executor_opts
	native_steps_integration shared proxy`)

// checkInfo notes what is missing. Rails remembers a runner by the first info it sees. The caller holds mu.
func (s *Server) checkInfo(r *http.Request, jobID int64, raw json.RawMessage) info {
	var in info
	if len(raw) == 0 || string(raw) == "null" {
		s.note(r, jobID, "info", "the body has no info")
		return in
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		s.note(r, jobID, "info", "info is not understood: %v", err)
		return in
	}
	for _, field := range [][2]string{{"name", in.Name}, {"version", in.Version}, {"platform", in.Platform}, {"architecture", in.Architecture}} {
		if field[1] == "" {
			s.note(r, jobID, "info", "info.%s is missing", field[0])
		}
	}
	var missing []string
	for _, f := range knownFeatures {
		if _, ok := in.Features[f]; !ok {
			missing = append(missing, f)
		}
	}
	if len(missing) > 0 {
		s.note(r, jobID, "info", "info.features lacks %s", strings.Join(missing, ", "))
	}
	return in
}
