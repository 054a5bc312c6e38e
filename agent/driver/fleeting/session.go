package fleeting

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os/exec"
	"runtime"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"

	"github.com/millwright-ci/millwright/agent/driver/group"
)

// The handshake of fleeting's plug-ins and the name that their service goes by.
// Source: gitlab.com/gitlab-org/fleeting/fleeting, internal/plugin/plugin.go.
const (
	cookieKey   = "FLEETING_INSTANCE_GROUP_PLUGIN"
	cookieValue = "4c6410b1-cb78-4962-8c76-ab936d0ea908"
	protocol    = 0
	dispensed   = "instancegroup"
	service     = "/proto.InstanceGroup/"
)

// maxMessage bounds one message of a plug-in, in bytes.
const maxMessage = 4 << 20

// session is a plug-in that was started and initialised. It is safe for concurrent use.
type session struct {
	p      *process
	client *plugin.Client
	conn   *grpc.ClientConn
	begun  time.Time
	with   start
	path   string // of its binary
	info   group.Info
}

// grpcPlugin makes go-plugin hand out the connection itself.
type grpcPlugin struct{ plugin.NetRPCUnsupportedPlugin }

func (grpcPlugin) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error {
	return errors.New("the agent serves no plug-in")
}

func (grpcPlugin) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return conn, nil
}

// open starts the plug-in and initialises it. When ctx ends it is killed.
func (g *Group) open(ctx context.Context, with start) (*session, error) {
	path, err := with.find()
	if err != nil {
		return nil, err
	}
	o := with.options(g.opts)
	request := initRequest{connector: o.connector()}
	if request.config, err = o.pluginConfig(); err != nil {
		return nil, fmt.Errorf("plugin_config: %w", err)
	}
	s := &session{begun: time.Now(), with: with, path: path, p: newProcess(exec.Command(path))}
	s.client = g.newClient(s.p)
	stop := context.AfterFunc(ctx, s.p.kill)
	err = s.connect(ctx)
	if err == nil {
		err = s.initialise(ctx, g.opts.Limits.Start, &request)
	}
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		s.end(0)
		return nil, s.explain(ctx, err)
	}
	return s, nil
}

// newClient is go-plugin's side of a process.
func (g *Group) newClient(p *process) *plugin.Client {
	out := &output{log: g.log, hide: g.hide, note: p.note} // what it logs comes from its standard error, what it prints through go-plugin
	return plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  plugin.HandshakeConfig{ProtocolVersion: protocol, MagicCookieKey: cookieKey, MagicCookieValue: cookieValue},
		VersionedPlugins: map[int]plugin.PluginSet{protocol: {dispensed: grpcPlugin{}}},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		SkipHostEnv:      true,
		StartTimeout:     g.opts.Limits.Start,
		AutoMTLS:         runtime.GOOS == "windows", // elsewhere its socket lies in a folder of the agent's own
		Logger:           hclog.New(&hclog.LoggerOptions{Level: hclog.Off, Output: io.Discard}),
		Stderr:           out.writer(),
		SyncStdout:       out.writer(),
		SyncStderr:       out.writer(),
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, _ string) (runner.Runner, error) {
			p.cmd.Env = append(g.env, cmd.Env...)
			return p, nil
		},
	})
}

// connect starts the process and speaks to it.
func (s *session) connect(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	client, err := s.client.Client()
	if err != nil {
		return err
	}
	conn, err := client.Dispense(dispensed)
	if err != nil {
		return err
	}
	s.conn = conn.(*grpc.ClientConn) // what grpcPlugin hands out
	return nil
}

// initialise gives it its configuration, and learns which group it serves.
func (s *session) initialise(ctx context.Context, limit time.Duration, request *initRequest) error {
	var answer initResponse
	if err := s.invoke(ctx, limit, "Init", request, &answer); err != nil {
		return err
	}
	if answer.maxSize < 0 || answer.maxSize > math.MaxUint32 {
		return fmt.Errorf("it says that its group has a maximum of %d", answer.maxSize)
	}
	for what, text := range map[string]string{"id": answer.id, "version": answer.version} {
		if !plain(text) {
			return fmt.Errorf("it says that its group has the %s %.100q", what, text)
		}
	}
	s.info = group.Info{ID: answer.id, MaxSize: int(answer.maxSize), Version: answer.version}
	if answer.maxSize >= math.MaxInt32 { // how plug-ins say that there is none
		s.info.MaxSize = 0
	}
	return nil
}

// explain says why it could not be started.
func (s *session) explain(ctx context.Context, err error) error {
	var hung *hangError
	if errors.As(context.Cause(ctx), &hung) {
		return hung
	}
	var own *ownError
	var lost *lostError
	if errors.As(err, &own) || errors.As(err, &lost) || errors.As(err, &hung) {
		return err
	}
	if s.p.err != nil && s.p.cmd.Process == nil {
		return s.p.err // it can't be run at all
	}
	return fmt.Errorf("%w (%s)", err, s.p.ended())
}

// end ends the process: politely for as long as patience, then by force. It waits until it is gone and its output was read.
func (s *session) end(patience time.Duration) {
	s.p.abandon()
	if patience == 0 {
		s.p.kill()
	}
	force := time.AfterFunc(patience, s.p.kill)
	defer force.Stop()
	s.client.Kill()
}

// hangError is a call that took too long.
type hangError struct {
	what  string
	limit time.Duration
}

func (e *hangError) Error() string {
	return fmt.Sprintf("it did not end %s within %s and was killed", e.what, e.limit)
}

// lostError is a plug-in that is gone, or that nothing reaches any more.
type lostError struct{ text string }

func (e *lostError) Error() string { return e.text }

// ownError is an error that the plug-in reported.
type ownError struct {
	code codes.Code
	text string
}

func (e *ownError) Error() string { return e.text }

// callOptions are those of every call.
var callOptions = []grpc.CallOption{grpc.ForceCodec(codec{}), grpc.MaxCallRecvMsgSize(maxMessage)}

// invoke makes one call. An error is a *hangError, a *lostError, an *ownError or why ctx ended.
func (s *session) invoke(ctx context.Context, limit time.Duration, method string, in, out message) error {
	ctx, cancel := within(ctx, limit, method)
	defer cancel()
	return s.judge(ctx, s.conn.Invoke(ctx, service+method, in, out, callOptions...))
}

// updates calls each for every instance that the plug-in lists, until each returns an error.
func (s *session) updates(ctx context.Context, limit time.Duration, each func(update) error) error {
	ctx, cancel := within(ctx, limit, "Update")
	defer cancel()
	stream, err := s.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, service+"Update", callOptions...)
	if err == nil {
		err = stream.SendMsg(empty{})
	}
	if err == nil {
		err = stream.CloseSend()
	}
	for err == nil {
		var u update
		if err = stream.RecvMsg(&u); err == nil {
			if refused := each(u); refused != nil {
				return refused
			}
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return s.judge(ctx, err)
}

// judge tells what an error of a call is.
func (s *session) judge(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	st := status.Convert(err)
	if (st.Code() == codes.Unavailable || st.Code() == codes.Canceled) && s.broken(ctx) { // else it is the plug-in's own word
		t := time.NewTimer(moment)
		defer t.Stop()
		select {
		case <-s.p.done: // a connection breaks before the process is gone
			return &lostError{s.p.ended()}
		case <-t.C:
			return &lostError{"the connection to it broke: " + st.Message()}
		}
	}
	return &ownError{st.Code(), st.Message()}
}

// moment is how long the news of a process's end takes at most, from its connection on.
const moment = time.Second

// broken tells whether the connection is, after a call says so.
func (s *session) broken(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, moment)
	defer cancel()
	return s.conn.WaitForStateChange(ctx, connectivity.Ready)
}

// within is a context that ends after limit, with a *hangError. It has no deadline: a plug-in that knew it would end the call itself at the same moment.
func within(ctx context.Context, limit time.Duration, what string) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	t := time.AfterFunc(limit, func() { cancel(&hangError{what, limit}) })
	return ctx, func() {
		t.Stop()
		cancel(nil)
	}
}
