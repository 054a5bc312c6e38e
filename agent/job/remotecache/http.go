package remotecache

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// maxAnswer bounds what a server of credentials says, in bytes.
const maxAnswer = 1 << 20

// answer sends a request and returns the body of a success.
func answer(c *http.Client, r *http.Request) ([]byte, error) {
	resp, err := c.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s %s: %s%s", r.Method, r.URL.Host+r.URL.Path, resp.Status, reason(body))
	}
	return body, nil
}

// reason is what Google's APIs say of an error; "" for another form, which may repeat what it was sent.
func reason(body []byte) string {
	var e struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &e) != nil || e.Error.Message == "" {
		return ""
	}
	return ": " + e.Error.Message
}
