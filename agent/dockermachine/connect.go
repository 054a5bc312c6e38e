package dockermachine

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/enginetls"
	"github.com/millwright-ci/millwright/agent/journal"
)

// engineTimeout is how long an engine may take to answer.
const engineTimeout = 20 * time.Second

// dialEngine shakes hands with a machine's engine, by the certificates in its folder.
func (c *Machines) dialEngine(ctx context.Context, e journal.Entry) (*tls.Conn, error) {
	if err := running(e); err != nil {
		return nil, err
	}
	at := c.endpoint(e)
	config, err := enginetls.Config(at.CertPath)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", strings.TrimPrefix(at.Host, "tcp://"))
	if err != nil {
		return nil, err
	}
	return conn.(*tls.Conn), nil
}

// connectable is an error when the engine can't be spoken to.
func (c *Machines) connectable(ctx context.Context, e journal.Entry) error {
	conn, err := c.dialEngine(ctx, e)
	if err == nil {
		return conn.Close()
	}
	if errors.Is(err, errNotRunning) {
		return fmt.Errorf("Error checking TLS connection: %w", err) //nolint:staticcheck // docker-machine's words
	}
	return fmt.Errorf("Error checking TLS connection: %w; `%s regenerate-certs %s` makes new certificates, and restarts the engine", err, c.o.Command, e.Machine.Name) //nolint:staticcheck // docker-machine's words
}

// engineVersion asks an engine which release it is.
// Source: Docker Engine API v1.41, "Get version".
func (c *Machines) engineVersion(ctx context.Context, e journal.Entry) (string, error) {
	conn, err := c.dialEngine(ctx, e)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(engineTimeout)
	}
	if err := conn.SetDeadline(deadline); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, "GET /version HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n\r\n"); err != nil {
		return "", err
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	var version struct{ Version string }
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&version); err != nil {
		return "", fmt.Errorf("the engine at %s answers no proper JSON: %w", c.url(e), err)
	}
	return version.Version, nil
}

// Config prints the flags that connect Docker's client to a machine. The engine must answer.
func (c *Machines) Config(ctx context.Context, names []string) error {
	e, err := c.one(names)
	if err != nil {
		return err
	}
	if err := c.connectable(ctx, e); err != nil {
		return err
	}
	dir := c.o.Store.Dir(e.Machine.Name)
	c.say("--tlsverify\n--tlscacert=%q\n--tlscert=%q\n--tlskey=%q\n-H=%s", filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), c.url(e))
	return nil
}

// URL prints where a machine's engine answers.
func (c *Machines) URL(names []string) error {
	e, err := c.one(names)
	if err == nil {
		err = running(e)
	}
	if err != nil {
		return err
	}
	c.say("%s", c.url(e))
	return nil
}

// IP prints the addresses of machines, a line each, in the order of the names.
func (c *Machines) IP(names []string) error {
	names, err := c.named(names)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		e, err := c.entry(name)
		if err == nil {
			err = running(e)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		c.say("%s", e.Machine.Instance.Address)
	}
	return errors.Join(errs...)
}

// Version prints the release of a machine's engine.
func (c *Machines) Version(ctx context.Context, names []string) error {
	e, err := c.one(names)
	if err != nil {
		return err
	}
	version, err := c.engineVersion(ctx, e)
	if err != nil {
		return fmt.Errorf("machine %s: engine: %w", e.Machine.Name, err)
	}
	c.say("%s", version)
	return nil
}
