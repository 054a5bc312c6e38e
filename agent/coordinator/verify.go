package coordinator

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// Verification is what the coordinator knows of the runner.
type Verification struct {
	ID             int64     // 0 with servers before 15.x
	TokenExpiresAt time.Time // zero: never
}

// Verify asks whether the runner's token is valid. errors.Is(err, ErrForbidden) and ErrOrphaned mean that it is not; after any other
// error nothing is known.
func (c *Client) Verify(ctx context.Context) (Verification, error) {
	const op = "verify the runner"
	k, err := c.jsonCall(http.MethodPost, "runners/verify", "RUNNER-TOKEN", c.o.Token,
		jobRequest{Info: c.o.Info.wire(), Token: c.o.Token.Reveal(), SystemID: c.o.SystemID})
	if err != nil {
		return Verification{}, err
	}
	k.op, k.endpoint, k.json = op, "verify_runner", true
	r, err := c.do(ctx, k)
	if err != nil {
		return Verification{}, err
	}
	if r.status == http.StatusOK && !r.isJSON() {
		// A server before 15.x has no body to give: it is asked once more, without asking for JSON.
		k.json = false
		if r, err = c.do(ctx, k); err != nil {
			return Verification{}, err
		}
		if r.status == http.StatusOK {
			return Verification{}, nil
		}
	}
	c.remember(r.header)
	if r.status != http.StatusOK {
		return Verification{}, c.refusal(op, r, nil)
	}
	var body struct {
		ID        int64      `json:"id"`
		ExpiresAt *time.Time `json:"token_expires_at"`
	}
	if err := json.Unmarshal(r.body, &body); err != nil {
		return Verification{}, c.refusal(op, r, fmt.Errorf("the body: %w", err))
	}
	v := Verification{ID: body.ID}
	if body.ExpiresAt != nil {
		v.TokenExpiresAt = *body.ExpiresAt
	}
	return v, nil
}
