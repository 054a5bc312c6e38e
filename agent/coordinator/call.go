package coordinator

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/wait"
)

const (
	// maxReply bounds the body of a job, in bytes; maxErrorReply that of a refusal.
	maxReply      = 64 << 20
	maxErrorReply = 64 << 10
	// reportTimeout bounds one attempt of a report or a piece of trace: they are small and are sent again.
	reportTimeout = 5 * time.Minute
)

// call is one call to the API.
type call struct {
	op       string // in words, for errors
	endpoint string // in the words of GitLab's metrics
	method   string
	path     string
	query    url.Values
	header   http.Header // beside those that every call has
	body     []byte
	json     bool          // a JSON body is expected
	timeout  time.Duration // of one attempt; 0 is none but the client's own
}

// reply is the coordinator's answer, read whole.
type reply struct {
	status    int
	header    http.Header
	body      []byte
	requestID string
	tls       *tls.ConnectionState
	files     tlsContent // what the connection was made with
}

// jsonCall is a call with a JSON body. token goes into the header of that name, if it has one; in the body it stands
// already.
func (c *Client) jsonCall(method, path, header string, token config.Secret, body any) (call, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return call{}, fmt.Errorf("%w: %w", ErrClient, err)
	}
	h := http.Header{"Content-Type": {"application/json"}}
	if header != "" {
		h.Set(header, token.Reveal())
	}
	return call{method: method, path: path, header: h, body: data}, nil
}

// do makes a call with its retries. The error is an *Error: no status could be had, or ctx ended. Any status is a reply.
func (c *Client) do(ctx context.Context, k call) (reply, error) {
	began := time.Now()
	for attempt := 1; ; attempt++ {
		r, err := c.once(ctx, k)
		if err != nil {
			if ctx.Err() == nil {
				c.observe(k, 0, attempt, began)
			}
			return reply{}, &Error{Op: k.op, Host: c.root.Host, RequestID: r.requestID, Err: err}
		}
		if retriable(r.status) {
			retriableMet(ctx)
		}
		c.log.Debug("coordinator answered", "op", k.op, "status", r.status, "attempt", attempt, "request", r.requestID)
		if !retriable(r.status) || attempt == maxAttempts {
			c.observe(k, r.status, attempt, began)
			return r, nil
		}
		if wait.For(ctx, untilRetry(r.header, attempt, time.Now())) != nil {
			return reply{}, &Error{Op: k.op, Host: c.root.Host, Err: fmt.Errorf("waiting to retry after status %d: %w", r.status, ctx.Err())}
		}
	}
}

// observe tells of a call that ended.
func (c *Client) observe(k call, status, attempts int, began time.Time) {
	if c.o.Observe == nil {
		return
	}
	parts := strings.Split(k.path, "/")
	for i, part := range parts {
		if _, err := strconv.ParseInt(part, 10, 64); err == nil {
			parts[i] = "{id}"
		}
	}
	c.o.Observe(Call{
		Endpoint: k.endpoint, Method: strings.ToLower(k.method), Path: strings.Join(parts, "/"), Status: status, Attempts: attempts,
		Duration: time.Since(began),
	})
}

func (c *Client) once(ctx context.Context, k call) (reply, error) {
	if k.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, k.timeout)
		defer cancel()
	}
	client, files, err := c.transport.get()
	if err != nil {
		return reply{}, err
	}
	req, err := http.NewRequestWithContext(ctx, k.method, c.endpoint(k.path, k.query), bytes.NewReader(k.body))
	if err != nil {
		return reply{}, fmt.Errorf("%w: %w", ErrClient, err)
	}
	for name, values := range k.header {
		req.Header[name] = values
	}
	id := requestID()
	req.Header.Set("X-Request-Id", id)
	req.Header.Set("User-Agent", c.userAgent())
	if k.json {
		req.Header.Set("Accept", "application/json")
	}
	resp, err := client.Do(req)
	if err != nil {
		return reply{requestID: id}, err
	}
	defer resp.Body.Close()
	if theirs := resp.Header.Get("X-Request-Id"); theirs != "" {
		id = clean(theirs)
	}
	r := reply{status: resp.StatusCode, header: resp.Header, requestID: id, tls: resp.TLS, files: files}
	limit := int64(maxErrorReply)
	if k.json && r.status < 300 {
		limit = maxReply
	}
	r.body, err = io.ReadAll(io.LimitReader(resp.Body, limit+1))
	switch {
	case r.status >= 300:
		return r, nil // the status says enough
	case err != nil:
		return r, fmt.Errorf("status %d, reading the body: %w", r.status, err)
	case int64(len(r.body)) > limit && k.json:
		return r, fmt.Errorf("status %d with a body over %d MiB", r.status, limit>>20)
	}
	return r, nil
}

// userAgent is gitlab-runner's form with our name where its branch stands.
func (c *Client) userAgent() string {
	agent := c.o.Info.Agent
	if agent == "" {
		agent = "millwright"
	}
	return fmt.Sprintf("%s %s (%s; %s; %s/%s)", CompatName, CompatVersion, agent, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// requestID returns a fresh random UUID (RFC 9562, version 4) without its dashes.
func requestID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return hex.EncodeToString(b[:])
}

// isJSON tells whether the reply says that it is JSON.
func (r reply) isJSON() bool {
	kind, _, err := mime.ParseMediaType(r.header.Get("Content-Type"))
	return err == nil && kind == "application/json"
}

// refusal is the error of a reply that was not what was hoped for.
func (c *Client) refusal(op string, r reply, why error) *Error {
	e := &Error{Op: op, Host: c.root.Host, Status: r.status, RequestID: r.requestID, Err: why}
	if r.status >= 300 {
		e.Message = message(r.body)
		if to := r.header.Get("Location"); e.Message == "" && to != "" {
			e.Message = "redirects to " + clean(to)
		}
	}
	return e
}
