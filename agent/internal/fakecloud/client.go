package fakecloud

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Client steers a cloud that is another process. It is safe for concurrent use.
type Client struct{ URL string }

// Configure replaces the settings.
func (c Client) Configure(ctx context.Context, s Settings) error {
	return c.call(ctx, http.MethodPut, "settings", s, nil)
}

// Inject adds a fault.
func (c Client) Inject(ctx context.Context, f Fault) error {
	return c.call(ctx, http.MethodPost, "faults", f, nil)
}

// Heal takes all faults away.
func (c Client) Heal(ctx context.Context) error {
	return c.call(ctx, http.MethodDelete, "faults", nil, nil)
}

// Faults returns those that are not used up.
func (c Client) Faults(ctx context.Context) (left []Fault, err error) {
	return left, c.call(ctx, http.MethodGet, "faults", nil, &left)
}

// Act lets something befall a machine.
func (c Client) Act(ctx context.Context, name string, act Act, notice time.Duration) error {
	path := "instances/" + url.PathEscape(name) + "/" + url.PathEscape(string(act)) + "?notice_ms=" + strconv.FormatInt(notice.Milliseconds(), 10)
	return c.call(ctx, http.MethodPost, path, nil, nil)
}

// Summary returns the ledger in short.
func (c Client) Summary(ctx context.Context) (s Summary, err error) {
	return s, c.call(ctx, http.MethodGet, "summary", nil, &s)
}

// Ledger returns the entries after a number, all for 0, of the given kinds, or of any.
func (c Client) Ledger(ctx context.Context, after int, what ...string) (entries []Entry, err error) {
	query := url.Values{"after": {strconv.Itoa(after)}, "what": what}
	return entries, c.call(ctx, http.MethodGet, "ledger?"+query.Encode(), nil, &entries)
}

func (c Client) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(data)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.URL+"/control/"+path, body)
	if err != nil {
		return fmt.Errorf("fake cloud: %w", err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("fake cloud: %w", err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return fmt.Errorf("fake cloud: %w", err)
	case res.StatusCode >= http.StatusBadRequest:
		return fmt.Errorf("fake cloud: %s %s: %s: %s", method, path, res.Status, bytes.TrimSpace(data))
	case out == nil:
		return nil
	}
	return json.Unmarshal(data, out)
}
