// Package trace carries a job's output to the coordinator: it masks secrets, stamps lines, limits the size, and sends what it has
// in pieces until the coordinator holds every byte.
//
// Who writes never waits for the coordinator: a writer ends in a buffer on disk, and one goroutine, from Start to Finish, sends
// from there.
package trace

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
)

// Stream says who speaks, as the two hex digits of a time-stamped line.
type Stream byte

// The streams of a trace.
const (
	StreamRunner  Stream = 0x00
	StreamJob     Stream = 0x01
	StreamService Stream = 0x0f
)

// Options are what a trace needs to know of its job.
type Options struct {
	Job        *coordinator.Job
	Client     Client
	Limit      int  // bytes after masking; 0 or less means 4 MiB
	Timestamps bool // FF_TIMESTAMPS
	// MaskAllTokens is FF_MASK_ALL_DEFAULT_TOKENS.
	MaskAllTokens bool
	DebugTrace    bool
	// DynamicForceSend is FF_USE_DYNAMIC_TRACE_FORCE_SEND_INTERVAL: the more seldom the coordinator wants the trace, the more seldom
	// it is asked whether the job still stands.
	DynamicForceSend bool
	FinalRetries     int    // job_status_final_update_retry_limit; 0 or less means 10
	Dir              string // where the buffer file lies; "" means os.TempDir
	// Keep is a folder in which the trace is kept with a checkpoint, so that Resume can go on with it when this process has ended in any
	// way; it is the caller's to make and to remove. "" keeps nothing, and Dir counts.
	Keep string
	// Append puts the trace behind what the coordinator has of the job already, which is not known here: the final state comes without a
	// checksum then.
	Append bool
	Now    func() time.Time
	// OnCancel is called once when the coordinator asks for a cancel (Job-Status: canceling), OnAbort once when the job is over
	// for it (canceled, failed, 403). The goroutine that sends calls them: they return soon and do not call Finish.
	OnCancel, OnAbort func()
}

// Client is what a trace asks of the coordinator; *coordinator.Client has it.
type Client interface {
	PatchTrace(ctx context.Context, job *coordinator.Job, content []byte, offset int64, debug bool) (coordinator.PatchResult, error)
	UpdateJob(ctx context.Context, job *coordinator.Job, update coordinator.Update) (coordinator.UpdateResult, error)
}

// Trace is the log of one job. Its methods are safe for concurrent use.
type Trace struct {
	o        Options
	now      func() time.Time
	sections bool
	secrets  secretSet
	prefixes *matcher
	buf      *buffer
	runner   io.Writer // the runner's own lines

	saying sync.Mutex // held while a line of the runner's own is counted and written, and while a checkpoint is made
	said   int        // lines of the runner's own so far
	muted  int        // so many of them are in the trace already

	mu      sync.Mutex // guards writers and ended
	writers map[string]*writer
	ended   bool // Finish has begun: nothing more is taken

	wrote  chan struct{} // has a value when something was written since it was last emptied
	bulk   chan struct{} // has a value when a whole piece was
	gained atomic.Int64  // bytes written since that was last told
	sender sender
}

// New returns a trace for a job whose 201 has been received. The job's masked variables, its tokens and its passwords are hidden from
// the start. Nothing is sent before Start.
func New(o Options) (*Trace, error) {
	if o.Job == nil || o.Client == nil {
		return nil, errors.New("trace: Options needs a Job and a Client")
	}
	t := newTrace(o)
	if o.Keep == "" {
		t.buf = newBuffer(o.Dir, o.Limit)
	} else {
		var err error
		if t.buf, err = newKept(o.Keep, o.Limit); err != nil {
			return nil, err
		}
	}
	t.begin()
	return t, nil
}

func newTrace(o Options) *Trace {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Trace{
		o:        o,
		now:      o.Now,
		sections: o.Job.Features.TraceSections,
		prefixes: newMatcher(prefixes(o)),
		writers:  map[string]*writer{},
		wrote:    make(chan struct{}, 1),
		bulk:     make(chan struct{}, 1),
	}
}

// begin makes what needs the buffer.
func (t *Trace) begin() {
	t.secrets.values = map[string]bool{}
	t.secrets.add(secretsOf(t.o.Job)...)
	t.runner = t.Stdout(StreamRunner)
	t.sender.init(t)
}

// prefixes are the token prefixes to mask: all that there are, where GitLab Runner stops after fifteen.
func prefixes(o Options) []string {
	list := []string{personalPrefix}
	if o.MaskAllTokens {
		list = tokenPrefixes
	}
	return append(append([]string(nil), list...), o.Job.Features.TokenMaskPrefixes...)
}

func secretsOf(job *coordinator.Job) []string {
	list := []string{job.Token.Reveal()}
	for _, v := range job.Variables {
		if v.Masked {
			list = append(list, strings.TrimSpace(v.Value))
		}
	}
	for _, c := range job.Credentials {
		list = append(list, c.Password.Reveal())
	}
	for _, d := range job.Dependencies {
		list = append(list, d.Token.Reveal())
	}
	return list
}

// Mask hides a value, without the white space around it, from now on.
func (t *Trace) Mask(secret config.Secret) { t.secrets.add(strings.TrimSpace(secret.Reveal())) }

// Stdout and Stderr return the two writers of a stream, the same ones at each call. A value split over two writes of one writer is
// masked.
func (t *Trace) Stdout(s Stream) io.Writer { return t.writer(s, 'O') }

// Stderr is Stdout's twin.
func (t *Trace) Stderr(s Stream) io.Writer { return t.writer(s, 'E') }

func (t *Trace) writer(s Stream, kind byte) *writer {
	const hex = "0123456789abcdef"
	tag := string([]byte{hex[s>>4], hex[s&0xf], kind})
	t.mu.Lock()
	defer t.mu.Unlock()
	w := t.writers[tag]
	if w == nil {
		w = &writer{trace: t, tokens: tokenMask{prefixes: t.prefixes}, closed: t.ended}
		if t.o.Timestamps {
			w.stamps = &stamper{tag: tag, now: t.now}
		}
		w.tag = tag
		w.resume(t.buf.markOf(tag))
		t.writers[tag] = w
	}
	return w
}

// put takes what the writer of a stream made of it, which may be nothing yet; at is how far the stream is with it.
func (t *Trace) put(p []byte, tag string, at mark) {
	if len(p) > 0 {
		t.buf.append(p, tag, at)
	}
	tell(t.wrote)
	if t.gained.Add(int64(len(p))) >= maxPiece {
		t.gained.Store(0)
		tell(t.bulk)
	}
}

// tell puts a value into a channel that holds one.
func tell(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// FlushJob lets out what the job's streams hold back: the beginning of what might become a secret, and an unfinished line. Call it
// when a script has ended; Section does.
func (t *Trace) FlushJob() {
	for _, w := range []io.Writer{t.Stdout(StreamJob), t.Stderr(StreamJob)} {
		w := w.(*writer)
		w.mu.Lock()
		if !w.closed {
			w.flush()
		}
		w.mu.Unlock()
	}
}

// end flushes all writers and takes nothing more.
func (t *Trace) end() {
	t.mu.Lock()
	t.ended = true
	t.mu.Unlock()
	t.each(func(w *writer) {
		if !w.closed {
			w.flush()
			w.closed = true
		}
	})
}

// each calls f for every writer, in the order of their streams, with the writer's lock held.
func (t *Trace) each(f func(*writer)) {
	t.mu.Lock()
	tags, list := slices.Sorted(maps.Keys(t.writers)), []*writer(nil)
	for _, tag := range tags {
		list = append(list, t.writers[tag])
	}
	t.mu.Unlock()
	for _, w := range list {
		w.mu.Lock()
		f(w)
		w.mu.Unlock()
	}
}

// Size is the number of bytes after masking so far.
func (t *Trace) Size() int64 {
	size, _ := t.buf.state()
	return size
}

// Outcome is how a job ended.
type Outcome struct {
	State         coordinator.JobState // success or failed
	FailureReason coordinator.FailureReason
	ExitCode      int
}

// Close removes the buffer file, unless it is kept. It is safe after Finish and without it.
func (t *Trace) Close() error {
	t.sender.halt()
	return t.buf.close()
}
