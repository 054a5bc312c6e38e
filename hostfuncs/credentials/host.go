package credentials

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/millwright-ci/millwright/hostfuncs/signin"
)

// host is what all credentials of a store share.
type host struct {
	client *http.Client

	awsClient config.HTTPClient // for the AWS library, which is particular
	now       func() time.Time
	log       *slog.Logger

	mu      sync.Mutex // guards closed, and keeps start and close apart
	closed  bool
	ctx     context.Context
	cancel  context.CancelFunc
	fetches sync.WaitGroup
}

// errClosed is a request that comes when the agent ends.
var errClosed = errors.New("the agent is ending")

func newHost(o Options) *host {
	h := &host{client: o.HTTP, awsClient: o.HTTP, now: o.Now, log: o.Logger}
	if h.client == nil {
		h.client, h.awsClient = signin.Client(fetchTime), newAWSClient()
	}
	if h.now == nil {
		h.now = time.Now
	}
	if h.log == nil {
		h.log = slog.Default()
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h
}

// start runs f, which ends soon after its context, unless the store is closed.
func (h *host) start(f func(context.Context)) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.fetches.Go(func() { f(h.ctx) })
	return true
}

// close ends the fetches under way and waits for them.
func (h *host) close() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.cancel()
	h.fetches.Wait()
	h.client.CloseIdleConnections()
}
