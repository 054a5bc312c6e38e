package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"github.com/millwright-ci/millwright/agent/supervisor"
)

// errNoAgent means that no agent holds the state directory.
var errNoAgent = errors.New("no agent is running")

// agentClient speaks to the running agent through agent.sock.
type agentClient struct{ http *http.Client }

func dialAgent(stateDir string) *agentClient {
	path := supervisor.SocketPath(stateDir)
	return &agentClient{&http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			conn, err := d.DialContext(ctx, "unix", path)
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
				return nil, errNoAgent
			}
			return conn, err
		},
	}}}
}

func (c *agentClient) machines(ctx context.Context) ([]supervisor.Machine, error) {
	var machines []supervisor.Machine
	return machines, c.do(ctx, http.MethodGet, "/v1/machines", &machines)
}

func (c *agentClient) remove(ctx context.Context, name string) error {
	return c.do(ctx, http.MethodDelete, "/v1/machines/"+url.PathEscape(name), nil)
}

func (c *agentClient) strays(ctx context.Context) (supervisor.Strays, error) {
	var found supervisor.Strays
	return found, c.do(ctx, http.MethodGet, "/v1/strays", &found)
}

func (c *agentClient) removeOrphan(ctx context.Context, name string) error {
	return c.do(ctx, http.MethodDelete, "/v1/orphans/"+url.PathEscape(name), nil)
}

func (c *agentClient) removeOther(ctx context.Context, owner, name string) error {
	return c.do(ctx, http.MethodDelete, "/v1/others/"+url.PathEscape(owner)+"/"+url.PathEscape(name), nil)
}

func (c *agentClient) do(ctx context.Context, method, path string, answer any) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://agent"+path, nil)
	if err != nil {
		return err
	}
	res, err := c.http.Do(req)
	if errors.Is(err, errNoAgent) {
		return errNoAgent
	}
	if err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
		return errors.New(strings.TrimSpace(string(text)))
	}
	if answer == nil {
		return nil
	}
	return json.NewDecoder(res.Body).Decode(answer)
}
