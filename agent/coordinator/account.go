package coordinator

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
)

// Registration is what a runner that is registered with a registration token begins with. GitLab holds it from then on; for runners
// that were made in its user interface it is given there.
type Registration struct {
	Description     string
	MaintenanceNote string // at most 1024 characters
	Tags            string // separated by commas
	RunUntagged     bool
	Locked          bool
	Paused          bool
	AccessLevel     string // not_protected, ref_protected; "" leaves it to GitLab
	MaximumTimeout  int    // seconds; 0 = none, else at least 600
}

// Credentials are a runner's authentication token as the coordinator gives it out.
type Credentials struct {
	ID        int64 // 0 from ResetToken of older servers
	Token     config.Secret
	ExpiresAt time.Time // zero: never
}

// registerRequest is the body of POST /runners.
type registerRequest struct {
	Info            wireInfo `json:"info"`
	Token           string   `json:"token"`
	Description     string   `json:"description,omitempty"`
	MaintenanceNote string   `json:"maintenance_note,omitempty"`
	TagList         string   `json:"tag_list,omitempty"`
	RunUntagged     bool     `json:"run_untagged"`
	Locked          bool     `json:"locked"`
	Paused          bool     `json:"paused"`
	AccessLevel     string   `json:"access_level,omitempty"`
	MaximumTimeout  int      `json:"maximum_timeout,omitempty"`
}

type tokenRequest struct {
	Token    string `json:"token"`
	SystemID string `json:"system_id,omitempty"`
}

// Register makes a new runner. The client's token is a registration token. errors.Is(err, ErrForbidden) means that it is wrong,
// ErrGone that this coordinator takes none any more. GitLab 20.0 removes the call. Source: GitLab's runner API, POST /runners.
func (c *Client) Register(ctx context.Context, r Registration) (Credentials, error) {
	k, err := c.jsonCall(http.MethodPost, "runners", "RUNNER-TOKEN", c.o.Token, registerRequest{
		Info: c.o.Info.wire(), Token: c.o.Token.Reveal(), Description: r.Description, MaintenanceNote: r.MaintenanceNote, TagList: r.Tags,
		RunUntagged: r.RunUntagged, Locked: r.Locked, Paused: r.Paused, AccessLevel: r.AccessLevel, MaximumTimeout: r.MaximumTimeout,
	})
	if err != nil {
		return Credentials{}, err
	}
	k.op, k.endpoint = "register a runner", "register_runner"
	return c.credentials(ctx, k)
}

// ResetToken has the coordinator replace the runner's token, at once: the one of the client is worth nothing afterwards, for every
// runner manager that shares it. Source: GitLab's runner API, POST /runners/reset_authentication_token.
func (c *Client) ResetToken(ctx context.Context) (Credentials, error) {
	k, err := c.jsonCall(http.MethodPost, "runners/reset_authentication_token", "", "", tokenRequest{Token: c.o.Token.Reveal()})
	if err != nil {
		return Credentials{}, err
	}
	k.op, k.endpoint = "reset the runner's token", "reset_token"
	return c.credentials(ctx, k)
}

// ResetTokenOf is ResetToken for the runner of an id, with the right of a personal access token.
func (c *Client) ResetTokenOf(ctx context.Context, id int64, pat config.Secret) (Credentials, error) {
	path := "runners/" + strconv.FormatInt(id, 10) + "/reset_authentication_token"
	k, err := c.jsonCall(http.MethodPost, path, "PRIVATE-TOKEN", pat, nil)
	if err != nil {
		return Credentials{}, err
	}
	k.op, k.endpoint = "reset the runner's token", "reset_token"
	got, err := c.credentials(ctx, k)
	got.ID = id
	return got, err
}

// credentials makes a call that answers 201 with a token.
func (c *Client) credentials(ctx context.Context, k call) (Credentials, error) {
	k.json, k.timeout = true, reportTimeout
	r, err := c.do(ctx, k)
	if err != nil {
		return Credentials{}, err
	}
	if r.status != http.StatusCreated {
		return Credentials{}, c.refusal(k.op, r, nil)
	}
	var body struct {
		ID        int64      `json:"id"`
		Token     string     `json:"token"`
		ExpiresAt *time.Time `json:"token_expires_at"`
	}
	if err := json.Unmarshal(r.body, &body); err != nil || body.Token == "" {
		return Credentials{}, c.refusal(k.op, r, fmt.Errorf("%w: the body has no token", ErrClient))
	}
	got := Credentials{ID: body.ID, Token: config.Secret(body.Token)}
	if body.ExpiresAt != nil {
		got.ExpiresAt = *body.ExpiresAt
	}
	return got, nil
}

// Unregister deletes the runner, with all its managers. errors.Is(err, ErrForbidden) means that the token is not valid.
func (c *Client) Unregister(ctx context.Context) error {
	return c.remove(ctx, "runners", "unregister the runner", tokenRequest{Token: c.o.Token.Reveal()})
}

// UnregisterManager takes only this installation, by its system ID, off the runner. It is what a runner that was made in GitLab's user
// interface is unregistered by: others may share it.
func (c *Client) UnregisterManager(ctx context.Context) error {
	return c.remove(ctx, "runners/managers", "unregister the runner manager", tokenRequest{Token: c.o.Token.Reveal(), SystemID: c.o.SystemID})
}

func (c *Client) remove(ctx context.Context, path, op string, body tokenRequest) error {
	k, err := c.jsonCall(http.MethodDelete, path, "RUNNER-TOKEN", c.o.Token, body)
	if err != nil {
		return err
	}
	k.op, k.endpoint, k.timeout = op, "unregister_runner", reportTimeout
	r, err := c.do(ctx, k)
	if err != nil {
		return err
	}
	if r.status != http.StatusNoContent {
		return c.refusal(op, r, nil)
	}
	return nil
}
