package httpsend

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/millwright-ci/millwright/hostfuncs/internal/redact"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// maxSecrets is how many values a client remembers to keep out of answers.
const maxSecrets = 16

// remember notes secrets that were attached to a request, also for later answers: a server may keep what it got and show it then.
func (c *Client) remember(secrets []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range secrets {
		if len(s) < redact.MinSecret {
			continue
		}
		if i := slices.Index(c.secrets, s); i >= 0 {
			c.secrets = slices.Delete(c.secrets, i, i+1)
		}
		c.secrets = slices.Insert(c.secrets, 0, s)
	}
	c.secrets = c.secrets[:min(len(c.secrets), maxSecrets)]
}

// redactor knows what was attached to a request, and to others lately. It is nil where nothing was.
func (c *Client) redactor(attached ...string) *redact.Redactor {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.secrets) == 0 && len(attached) == 0 {
		return nil
	}
	return redact.New(slices.Concat(attached, c.secrets)...)
}

// clean takes what was attached to requests out of an answer, whatever part of it a server repeats.
func clean(res abi.HTTPResponse, r *redact.Redactor) abi.HTTPResponse {
	if r == nil {
		return res
	}
	if res.Error != nil {
		res.Error.Message = r.String(res.Error.Message)
		return res
	}
	body := r.Bytes(res.Body)
	if len(body) > MaxResponse {
		return answer(refusal{kindTooLarge, fmt.Sprintf("the answer has more than %d bytes", MaxResponse)})
	}
	headers := make(map[string][]string, len(res.Headers))
	for name, values := range res.Headers {
		if r.FoundFolded(name) { // a name comes in another case than it was sent
			name = redact.Mark
		}
		for _, v := range values {
			headers[name] = append(headers[name], r.String(v))
		}
	}
	if headers["Content-Length"] != nil && len(body) != len(res.Body) {
		headers["Content-Length"] = []string{strconv.Itoa(len(body))} // else the difference is the secret's length
	}
	res.Body, res.Headers = body, headers
	return res
}
