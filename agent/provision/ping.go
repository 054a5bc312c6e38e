package provision

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/enginetls"
	"github.com/millwright-ci/millwright/agent/fleet"
)

// line is the connection to one engine that its signs of life come over. It is kept between them and costs no goroutine: an agent has
// as many as machines. HTTP's own client would take two goroutines and their buffers for each.
type line struct {
	mu    sync.Mutex // held while the engine is asked; guards what follows
	conn  net.Conn   // nil when there is none
	ended bool       // no connection is kept any more

	used time.Time // guarded by the owner's lock
}

// ping asks the engine for a sign of life; nil means that it answered over TLS, as the machine that its certificate names. A kept
// connection that fails is made anew once: the engine may have been restarted, or have closed it.
func (l *line) ping(ctx context.Context, at fleet.Endpoint) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		if err := l.ask(ctx); err == nil || ctx.Err() != nil {
			return err
		}
	}
	conn, err := dialEngine(ctx, at)
	if err != nil {
		return err
	}
	l.conn = conn
	return l.ask(ctx)
}

// end closes the connection. Whoever still has the line can ask, and keeps no connection.
func (l *line) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.drop()
}

func (l *line) drop() {
	if l.conn != nil {
		l.conn.Close()
		l.conn = nil
	}
}

// ask sends one request over the connection, and closes that when the answer is not as it should be.
func (l *line) ask(ctx context.Context) error {
	conn := l.conn
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // what is under way fails at once
	keep, err := askOver(conn)
	cut := !stop()
	if cut && err != nil {
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	if !keep || cut || l.ended {
		l.drop()
	}
	return err
}

// readers are for answers; a connection needs none between them.
var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 1<<10) }}

// maxPingReply bounds what is read of an answer's body, in bytes. A good one is OK.
const maxPingReply = 4 << 10

// askOver asks for a sign of life. The connection is to be kept when it can carry another request.
//
// Source: Docker Engine API v1.41, "Ping".
func askOver(conn net.Conn) (keep bool, err error) {
	if _, err := io.WriteString(conn, "GET /_ping HTTP/1.1\r\nHost: engine\r\nUser-Agent: millwright\r\n\r\n"); err != nil {
		return false, err
	}
	r := readers.Get().(*bufio.Reader)
	r.Reset(conn)
	defer func() {
		r.Reset(nil)
		readers.Put(r)
	}()
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		return false, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxPingReply))
	if err != nil {
		return false, err
	}
	if res.StatusCode != http.StatusOK {
		return false, fmt.Errorf("status %d: %.200q", res.StatusCode, body)
	}
	return !res.Close && len(body) < maxPingReply && r.Buffered() == 0, nil
}

// dialEngine connects to an engine.
func dialEngine(ctx context.Context, at fleet.Endpoint) (net.Conn, error) {
	config, err := enginetls.Config(at.CertPath)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout+handshakeTimeout)
	defer cancel()
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: connectTimeout, KeepAlive: keepAlive}, Config: config}
	return d.DialContext(ctx, "tcp", strings.TrimPrefix(at.Host, "tcp://"))
}
