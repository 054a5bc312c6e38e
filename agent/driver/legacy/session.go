package legacy

import (
	"bufio"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/rpc"
	"strings"
	"sync"
	"time"
)

// apiVersion is the only version of the protocol that there is.
const apiVersion = 1

// The names of a plug-in's service; the second is that of plug-ins made before 2015.
const (
	serviceName    = "RPCServerDriver"
	oldServiceName = "RpcServerDriver"
)

// Limits of the protocol. A plug-in that misses the heartbeat for 10 s ends, whatever it does then.
// Source: docker-machine's plug-in protocol.
const (
	startLimit  = 10 * time.Second // until the address is there, and again until the version is
	beatEvery   = 5 * time.Second
	beatLimit   = 20 * time.Second // a plug-in whose machine is busy may be late
	closeLimit  = time.Second
	endPatience = 2 * time.Second
)

type nothing = struct{}

// session is a plug-in that runs and can be called. It is safe for concurrent use.
type session struct {
	p       *process
	rpc     *rpc.Client
	service string
	hide    func(string) string

	stopped chan struct{}
	once    sync.Once
	beating sync.WaitGroup
}

// bufferedConn reads on where the handshake's reader stopped.
type bufferedConn struct {
	io.Reader
	net.Conn
}

func (c bufferedConn) Read(b []byte) (int, error) { return c.Reader.Read(b) }

// open starts the plug-in at path, connects and checks its version. ctx ends the opening only; the session ends with close.
func open(ctx context.Context, path, driver string, hide func(string) string, say func(info bool, line string)) (*session, error) {
	p, err := startProcess(path, driver, hide, say)
	if err != nil {
		return nil, err
	}
	s := &session{p: p, service: serviceName, hide: hide, stopped: make(chan struct{})}
	if err := s.connect(ctx); err != nil {
		p.stop(0)
		return nil, errors.New(hide(err.Error()))
	}
	s.beating.Go(s.heartbeat)
	return s, nil
}

func (s *session) connect(ctx context.Context) error {
	address, err := s.p.address(ctx, startLimit)
	if err != nil {
		return err
	}
	host, _, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("the plug-in's first line is %.100q, not an address of this host such as 127.0.0.1:12345; is it a plug-in at all?", address)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("the plug-in at %s did not answer within %s", address, startLimit))
	defer cancel()
	conn, err := dial(ctx, address)
	if err != nil {
		return err
	}
	s.rpc = rpc.NewClient(conn)
	err = s.version(ctx)
	if err != nil {
		s.rpc.Close()
	}
	return err
}

// dial opens the connection that calls go over: HTTP at first, then gob.
func dial(ctx context.Context, address string) (io.ReadWriteCloser, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	in := bufio.NewReader(conn)
	if _, err = io.WriteString(conn, "CONNECT "+rpc.DefaultRPCPath+" HTTP/1.0\n\n"); err == nil {
		var answer *http.Response
		if answer, err = http.ReadResponse(in, &http.Request{Method: http.MethodConnect}); err == nil && answer.StatusCode != http.StatusOK {
			err = fmt.Errorf("the plug-in at %s answers %.100q to our connection", address, answer.Status)
		}
	}
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return bufferedConn{in, conn}, nil
}

func (s *session) version(ctx context.Context) error {
	v, err := get[int](ctx, s, "GetVersion")
	if err != nil && strings.Contains(err.Error(), "can't find service") {
		s.service = oldServiceName
		v, err = get[int](ctx, s, "GetVersion")
	}
	if err == nil && v != apiVersion {
		err = fmt.Errorf("the plug-in speaks version %d of docker-machine's protocol; only %d is known", v, apiVersion)
	}
	return err
}

// heartbeat tells the plug-in that somebody is there, and ends a connection over which nothing comes back.
func (s *session) heartbeat() {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.stopped:
			return
		case <-tick.C:
		}
		ctx, cancel := context.WithTimeout(context.Background(), beatLimit)
		_, err := call[nothing](ctx, s, "Heartbeat", nothing{})
		cancel()
		if err != nil {
			s.rpc.Close() // calls under way end with it
			return
		}
	}
}

// close tells the plug-in to end and waits until it has.
func (s *session) close() {
	s.once.Do(func() {
		close(s.stopped)
		ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
		_, _ = call[nothing](ctx, s, "Close", nothing{}) // its answer may be lost
		cancel()
		s.rpc.Close()
		s.beating.Wait()
		s.p.stop(endPatience)
	})
}

// call sends one request and waits for its answer until ctx ends; the plug-in goes on with it then. An error is the plug-in's own words, or
// how it ended.
func call[Reply any](ctx context.Context, s *session, method string, arg any) (Reply, error) {
	var zero Reply
	reply := new(Reply) // of this call alone: a late answer is written to it
	var into any = reply
	if _, none := any(zero).(nothing); none {
		into = nil
	}
	c := s.rpc.Go(s.service+"."+method, arg, into, make(chan *rpc.Call, 1))
	select {
	case <-c.Done:
	case <-ctx.Done():
		return zero, fmt.Errorf("the plug-in did not answer to %s: %w", method, context.Cause(ctx))
	}
	var own rpc.ServerError
	var broken *net.OpError
	switch {
	case c.Error == nil:
		return *reply, nil
	case errors.As(c.Error, &own):
		return zero, ownWords{s.hide(string(own))}
	case errors.Is(c.Error, rpc.ErrShutdown), errors.Is(c.Error, io.EOF), errors.Is(c.Error, io.ErrUnexpectedEOF), errors.As(c.Error, &broken):
		return zero, fmt.Errorf("%s: %w", method, s.p.ended())
	}
	return zero, fmt.Errorf("%s: the plug-in's answer makes no sense: %s", method, s.hide(c.Error.Error()))
}

// ownWords is an error that the plug-in reported.
type ownWords struct{ text string }

func (e ownWords) Error() string { return e.text }

// get calls a method that takes nothing.
func get[Reply any](ctx context.Context, s *session, method string) (Reply, error) {
	return call[Reply](ctx, s, method, nothing{})
}

// do calls a method that takes and returns nothing.
func (s *session) do(ctx context.Context, method string) error {
	_, err := get[nothing](ctx, s, method)
	return err
}

func init() {
	gob.RegisterName("*rpcdriver.RPCFlags", &rpcFlags{})
	gob.RegisterName("*mcnflag.StringFlag", &stringFlag{})
	gob.RegisterName("*mcnflag.StringSliceFlag", &stringSliceFlag{})
	gob.RegisterName("*mcnflag.IntFlag", &intFlag{})
	gob.RegisterName("*mcnflag.BoolFlag", &boolFlag{})
}
