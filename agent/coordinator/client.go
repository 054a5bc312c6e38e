package coordinator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
)

// What the agent says it is: GitLab hands out jobs by the version and the features that a runner announces.
const (
	CompatName    = "gitlab-runner"
	CompatVersion = "19.4.0"
)

// Options are what a client needs to know of its runner.
type Options struct {
	URL      string        // as in config.toml; a legacy /ci at its end is dropped
	Token    config.Secret // the runner's authentication token
	SystemID string        // see LoadSystemID
	Info     Info
	TLS      TLSFiles
	// FullChain completes what jobs get to trust the coordinator by, up to a root (FF_RESOLVE_FULL_TLS_CHAIN).
	FullChain bool
	// ConnectionMaxAge is how long idle connections are reused before the coordinator's name is looked up again. 0 means 15
	// minutes, less means without end.
	ConnectionMaxAge time.Duration
	Logger           *slog.Logger // nil logs nothing
	// Observe is told of each call that ended, unless its context ended it. It returns soon; several calls may end at once. It may be
	// nil.
	Observe func(Call)
	// Dial replaces the network, for a coordinator inside the process. It may be nil.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Call is one call to the coordinator, with its retries, for metrics.
type Call struct {
	Endpoint string // request_job, update_job, patch_trace, verify_runner
	Method   string // in lower case
	Path     string // below the API's root, with {id} for numbers
	Status   int    // the last one; 0 when the coordinator could not be reached
	Attempts int    // 1 without a retry
	Duration time.Duration
}

// Client speaks to one coordinator as one runner. It is safe for concurrent use, and reuses its connections.
type Client struct {
	o         Options
	root      *url.URL // ends in /api/v4/
	log       *slog.Logger
	transport transport

	mu         sync.Mutex // guards lastUpdate
	lastUpdate string     // X-GitLab-Last-Update as last seen
}

// New returns a client. It fails for a URL that is not http or https, with an error that is ErrClient; files are read at the first
// call and whenever they have changed since.
func New(o Options) (*Client, error) {
	root, err := apiRoot(o.URL)
	if err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.ConnectionMaxAge == 0 {
		o.ConnectionMaxAge = defaultConnectionMaxAge
	}
	c := &Client{o: o, root: root, log: o.Logger}
	c.transport = transport{
		https: root.Scheme == "https", host: root.Hostname(), files: o.TLS, maxAge: o.ConnectionMaxAge, dial: o.Dial, log: o.Logger,
	}
	return c, nil
}

// Close closes the idle connections. Calls under way go on.
func (c *Client) Close() { c.transport.close() }

// apiRoot turns the url of config.toml into the root of the API.
func apiRoot(raw string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil {
		return nil, fmt.Errorf("%w: url is not a URL: %w", ErrClient, errors.Unwrap(err))
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%w: url %q: give http:// or https:// and a host", ErrClient, u.Redacted())
	}
	path := strings.TrimSuffix(strings.TrimRight(u.Path, "/"), "/ci")
	return &url.URL{Scheme: u.Scheme, User: u.User, Host: u.Host, Path: strings.TrimRight(path, "/") + "/api/v4/"}, nil
}

// endpoint returns the URL of a path below the API's root.
func (c *Client) endpoint(path string, query url.Values) string {
	u := *c.root
	u.Path += path
	u.RawQuery = query.Encode()
	return u.String()
}

// remember keeps X-GitLab-Last-Update of a JSON call. An absent one leaves what there is: a long poll that ran out has none.
func (c *Client) remember(h http.Header) {
	v := h.Get("X-GitLab-Last-Update")
	if v == "" || len(v) > maxLastUpdate {
		return
	}
	c.mu.Lock()
	c.lastUpdate = v
	c.mu.Unlock()
}

// maxLastUpdate bounds, in bytes, what is echoed in the next job request, which has to stay below 32 KiB.
const maxLastUpdate = 1 << 10
