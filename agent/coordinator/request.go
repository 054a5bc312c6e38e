package coordinator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// maxRequest is the size in bytes at which GitLab refuses a job request.
const maxRequest = 32 << 10

// jobRequest is the body of POST /jobs/request.
type jobRequest struct {
	Info       wireInfo `json:"info"`
	Token      string   `json:"token"`
	SystemID   string   `json:"system_id"`
	LastUpdate string   `json:"last_update,omitempty"`
}

// RequestJob asks for a job; nil without an error means that there is none. The coordinator may keep the request open for a while (long
// polling); ctx ends it. errors.Is tells ErrForbidden and ErrClient, which make a runner unhealthy, from all other errors, which mean
// no job this time. A job that comes has to be accepted by UpdateJob with state running, or kept waiting with pending, within 2 minutes.
func (c *Client) RequestJob(ctx context.Context) (*Job, error) {
	const op = "request a job"
	c.mu.Lock()
	body := jobRequest{Info: c.o.Info.wire(), Token: c.o.Token.Reveal(), SystemID: c.o.SystemID, LastUpdate: c.lastUpdate}
	c.mu.Unlock()
	k, err := c.jsonCall(http.MethodPost, "jobs/request", "RUNNER-TOKEN", c.o.Token, body)
	if err != nil {
		return nil, err
	}
	if len(k.body) >= maxRequest {
		return nil, fmt.Errorf("%w: a job request of %d bytes; give the runner fewer or shorter labels (less than %d bytes in all)",
			ErrClient, len(k.body), maxRequest)
	}
	k.op, k.endpoint, k.json = op, "request_job", true
	r, err := c.do(ctx, k)
	if err != nil {
		return nil, err
	}
	c.remember(r.header)
	polled(ctx, r.header)
	switch r.status {
	case http.StatusNoContent:
		return nil, nil
	case http.StatusCreated:
		job, err := c.job(ctx, r)
		if err != nil {
			return nil, c.refusal(op, r, err)
		}
		return job, nil
	}
	return nil, c.refusal(op, r, nil)
}

// job reads the body of a 201.
func (c *Client) job(ctx context.Context, r reply) (*Job, error) {
	if !r.isJSON() {
		return nil, fmt.Errorf("%w: the body is %q, not JSON; does url point to a GitLab?", ErrClient, clean(r.header.Get("Content-Type")))
	}
	job := new(Job)
	if err := json.Unmarshal(r.body, job); err != nil {
		return nil, fmt.Errorf("the job's JSON: %w", err)
	}
	if job.ID <= 0 || job.Token == "" {
		return nil, errors.New("the job has no id or no token")
	}
	job.CorrelationID = r.requestID
	if c.o.FullChain && r.tls != nil && r.files.ca == "" {
		full, err := fullChains(ctx, r.tls.VerifiedChains)
		if err != nil {
			c.log.Warn("the coordinator's chain of certificates is not complete for jobs", "error", err)
		}
		state := *r.tls
		state.VerifiedChains = full
		r.tls = &state
	}
	job.TLS = tlsData(r)
	return job, nil
}
