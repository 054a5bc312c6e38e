package docker

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"

	"github.com/millwright-ci/millwright/agent/enginetls"
	"github.com/millwright-ci/millwright/agent/executor"
)

// callTimeout bounds the short calls, so that an engine that went silent does not hold a job for ever. Streams, waits and pulls
// have no limit of their own.
const callTimeout = 2 * time.Minute

const (
	handshakeTimeout = 10 * time.Second
	// idleTimeout is how long a connection waits for the next call: as long as the beat in which a machine's engine is probed, and a little, since a
	// new connection each time costs more than one that waits. A job's calls come in bursts, at the ends of stages; the burst's other connections would
	// cost two goroutines and 40 KB each in between.
	idleTimeout = 7 * time.Second
)

// dial makes a client for the engine. It does not connect yet.
func dial(o Options) (*client.Client, error) {
	host, certs := o.Host, o.CertPath
	if host == "" && o.Config.Host != "" {
		host, certs = o.Config.Host, o.Config.TLSCertPath
		if home, err := os.UserHomeDir(); certs == "" && o.Config.TLSVerify && err == nil {
			certs = cmp.Or(os.Getenv("DOCKER_CERT_PATH"), filepath.Join(home, ".docker"))
		}
	}
	opts := []client.Opt{client.WithAPIVersionNegotiation()}
	switch {
	case o.Dial != nil:
		host = "tcp://engine" // for the requests' sake: no name is looked up
		opts = append(opts, client.WithHTTPClient(&http.Client{CheckRedirect: client.CheckRedirect, Transport: &http.Transport{
			DialContext: o.Dial, MaxIdleConns: 6, IdleConnTimeout: idleTimeout,
		}}), client.WithHost(host), client.WithDialContext(o.Dial))
	case host == "":
		opts = append(opts, client.FromEnv)
	default:
		if certs != "" {
			config, err := enginetls.Config(certs)
			if err != nil {
				return nil, executor.Errorf(executor.Configuration, "engine %s: %w; check its certificates", host, err)
			}
			opts = append(opts, client.WithHTTPClient(&http.Client{CheckRedirect: client.CheckRedirect, Transport: &http.Transport{
				TLSClientConfig: config, TLSHandshakeTimeout: handshakeTimeout, MaxIdleConns: 6, IdleConnTimeout: idleTimeout,
			}}))
		}
		opts = append(opts, client.WithHost(host))
	}
	c, err := client.NewClientWithOpts(opts...)
	if err != nil {
		return nil, executor.Errorf(executor.Configuration, "engine %s: %w; check the address and the certificates", host, err)
	}
	return c, nil
}

// engineErr classifies an error of the engine: a refusal of what was asked for is the configuration's fault, silence the
// engine's, a full disk too, the rest stays as it is.
func engineErr(err error) error {
	var classified *executor.Error
	switch {
	case err == nil || errors.As(err, &classified):
		return err
	case isFull(err):
		return full(err)
	case errdefs.IsInvalidArgument(err):
		return &executor.Error{Kind: executor.Configuration, Err: err}
	case isUnreachable(err):
		return executor.Errorf(executor.Engine, "%w%s", err, unreachable)
	}
	return err
}

// startErr is engineErr for a container that has been made and can't be started: what the image lacks, such as a shell, is no fault of the
// configuration. GitLab Runner calls it a system failure, which pipelines may retry by name.
func startErr(err error) error {
	if errdefs.IsInvalidArgument(err) {
		return err
	}
	return engineErr(err)
}

func isUnreachable(err error) bool {
	var network net.Error
	return client.IsErrConnectionFailed(err) || errors.As(err, &network) && !errors.Is(err, context.Canceled)
}

// lasting returns a context for a call that must not be torn off in the middle, because the engine would go on with it: it
// outlives ctx but not callTimeout, nor an engine that is lost.
func lasting(ctx context.Context) (context.Context, context.CancelFunc) {
	call, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	release := context.AfterFunc(ctx, func() {
		if lost(ctx) {
			cancel()
		}
	})
	return call, func() {
		release()
		cancel()
	}
}
