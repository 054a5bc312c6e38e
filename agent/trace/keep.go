package trace

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// The files of a folder in which a trace is kept.
const (
	keptTrace      = "trace"      // the bytes
	keptCheckpoint = "checkpoint" // what of them counts, and what the job had done by then
)

// checkpointVersion is the version of the checkpoint. A reader takes its own alone: a job whose checkpoint can't be read is reported as
// lost.
const checkpointVersion = 1

// The tags of the job's two streams.
const (
	jobOut = "01O"
	jobErr = "01E"
)

// mark is how far the output of a stream is in the trace. The masks give the same bytes for the same stream, however it is cut, so a
// count of what came out of them says where to go on when the stream is read once more.
type mark struct {
	Passed int64 `json:"passed"` // bytes out of the masks since the stage began, before time stamps
	Goes   bool  `json:"goes"`   // the last line had a line feed added
}

// checkpoint is the file of that name. It is replaced as a whole, so what it says belongs together.
type checkpoint struct {
	Version int             `json:"version"`
	Size    int64           `json:"size"` // bytes of the trace that count; what follows is cut off
	Full    bool            `json:"full"`
	Said    int             `json:"said"` // lines of the runner's own
	Sent    int64           `json:"sent"` // bytes that the coordinator has at least
	Marks   map[string]mark `json:"marks"`
	State   json.RawMessage `json:"state,omitempty"` // the job's
}

// keeper makes a buffer's checkpoints. The buffer's lock guards it.
type keeper struct {
	dir   string
	state []byte
	sent  int64
	said  int
	size  int64 // that the last checkpoint covers
	stale bool  // the state has changed since
}

// newKept returns a buffer whose file lies in dir.
func newKept(dir string, limit int) (*buffer, error) {
	b := newBuffer(dir, limit)
	f, err := os.OpenFile(filepath.Join(dir, keptTrace), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	b.file, b.kept = f, &keeper{dir: dir}
	return b, nil
}

func (b *buffer) markOf(tag string) mark {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.marks[tag]
}

func (b *buffer) noteSent(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.kept != nil {
		b.kept.sent = n
	}
}

// checkpoint writes down what is here. Nothing is kept any more when it can't: the job goes on, and dies with its agent. The caller
// holds mu.
func (b *buffer) checkpoint() error {
	k := b.kept
	if k == nil || k.size == b.size() && !k.stale {
		return nil
	}
	err := b.toFile()
	if err == nil {
		data, _ := json.Marshal(checkpoint{ // plain values, and a state that is JSON: it cannot fail
			Version: checkpointVersion, Size: b.onDisk, Full: b.full, Said: k.said, Sent: k.sent, Marks: b.marks, State: k.state,
		})
		err = replaceFile(filepath.Join(k.dir, keptCheckpoint), data)
	}
	if err != nil {
		b.kept = nil
		return errors.Join(fmt.Errorf("trace: checkpoint: %w", err), os.Remove(filepath.Join(k.dir, keptCheckpoint)))
	}
	k.size, k.stale = b.onDisk, false
	return nil
}

// replaceFile writes a file that is never seen half-written. It outlives the process, not the host: what it speaks of does not either.
func replaceFile(path string, data []byte) error {
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// sendable makes a checkpoint of what is here and returns how much may be sent: the coordinator gets no byte that another agent would
// not know of.
func (t *Trace) sendable() int64 {
	t.saying.Lock()
	defer t.saying.Unlock()
	b := t.buf
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.kept != nil {
		b.kept.said = t.said
		_ = b.checkpoint() // without it nothing is kept, which Commit tells
	}
	return b.size()
}

// noteSent makes a checkpoint that knows what has been sent.
func (t *Trace) noteSent() {
	t.buf.mu.Lock()
	if t.buf.kept != nil {
		t.buf.kept.stale = true
	}
	t.buf.mu.Unlock()
	t.sendable()
}

// ErrNotKept means that no checkpoint could be made: another agent can't go on with the trace.
var ErrNotKept = errors.New("the trace is not kept")

// Commit makes a checkpoint with the job's state, which is JSON. fresh says that a stage's output begins anew after it. Without
// Options.Keep it does nothing; once a checkpoint could not be written, its error is ErrNotKept.
func (t *Trace) Commit(state []byte, fresh bool) error {
	if t.o.Keep == "" {
		return nil
	}
	if fresh {
		t.fresh()
	}
	t.saying.Lock()
	defer t.saying.Unlock()
	b := t.buf
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.kept == nil {
		return ErrNotKept
	}
	b.kept.state, b.kept.stale, b.kept.said = state, true, t.said
	if err := b.checkpoint(); err != nil {
		return fmt.Errorf("%w: %w", ErrNotKept, err)
	}
	return nil
}

// fresh begins to count the job's streams anew.
func (t *Trace) fresh() {
	for _, w := range []io.Writer{t.Stdout(StreamJob), t.Stderr(StreamJob)} {
		w := w.(*writer)
		w.mu.Lock()
		w.passed, w.skip = 0, 0
		t.buf.mu.Lock()
		at := t.buf.marks[w.tag]
		at.Passed = 0
		t.buf.marks[w.tag] = at
		t.buf.mu.Unlock()
		w.mu.Unlock()
	}
}

// Resume returns the trace that Options.Keep holds, as the last checkpoint left it, with the state that came with it. The runner's own
// lines up to there are not written again, until Live. What Stdout and Stderr of the job's stream get first is what the stage's output
// begins with: as much of it as the trace has is left out. With fs.ErrNotExist there is no checkpoint.
func Resume(o Options) (*Trace, []byte, error) {
	if o.Job == nil || o.Client == nil || o.Keep == "" {
		return nil, nil, errors.New("trace: Options needs a Job, a Client and Keep")
	}
	c, err := readCheckpoint(o.Keep)
	if err != nil {
		return nil, nil, err
	}
	t := newTrace(o)
	if t.buf, err = openKept(o.Keep, o.Limit, c); err != nil {
		return nil, nil, err
	}
	t.begin()
	t.muted, t.sender.offset, t.sender.taken = c.Said, min(c.Sent, c.Size), min(c.Sent, c.Size)
	return t, c.State, nil
}

// State returns the state that the last checkpoint in a folder came with.
func State(dir string) ([]byte, error) {
	c, err := readCheckpoint(dir)
	return c.State, err
}

func readCheckpoint(dir string) (checkpoint, error) {
	var c checkpoint
	data, err := os.ReadFile(filepath.Join(dir, keptCheckpoint))
	if err != nil {
		return c, fmt.Errorf("trace: %w", err)
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return c, fmt.Errorf("trace: checkpoint: %w", err)
	}
	if c.Version != checkpointVersion {
		return c, fmt.Errorf("trace: checkpoint: version %d; this agent reads %d", c.Version, checkpointVersion)
	}
	return c, nil
}

// openKept opens the buffer that a checkpoint speaks of.
func openKept(dir string, limit int, c checkpoint) (*buffer, error) {
	f, err := os.OpenFile(filepath.Join(dir, keptTrace), os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("trace: the checkpoint's bytes: %v", err) // not fs.ErrNotExist, which means that nothing had been begun
	}
	sum := crc32.NewIEEE()
	n, err := io.Copy(sum, io.LimitReader(f, c.Size))
	if err == nil && n < c.Size {
		err = fmt.Errorf("%d of %d bytes are there: %w", n, c.Size, fs.ErrInvalid)
	}
	if err == nil {
		err = f.Truncate(c.Size)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("trace: %w", err)
	}
	b := newBuffer(dir, limit)
	b.file, b.onDisk, b.full, b.sum = f, c.Size, c.Full, sum.Sum32()
	if c.Marks != nil {
		b.marks = c.Marks
	}
	b.kept = &keeper{dir: dir, state: c.State, sent: c.Sent, said: c.Said, size: c.Size}
	return b, nil
}

// Said returns the number of lines of the runner's own so far.
func (t *Trace) Said() int {
	t.saying.Lock()
	defer t.saying.Unlock()
	return t.said
}

// Skip says that so many lines of the runner's own are behind: those of what an agent before has done.
func (t *Trace) Skip(said int) {
	t.saying.Lock()
	defer t.saying.Unlock()
	t.said = said
}

// Live ends what Resume began: every line of the runner's own is written from now on.
func (t *Trace) Live() {
	t.saying.Lock()
	defer t.saying.Unlock()
	t.muted = 0
}

// Leave ends the work on a trace that is kept without ending the trace: nothing more is taken or sent, and the folder holds what
// another agent needs to go on.
func (t *Trace) Leave() {
	t.sender.halt()
	t.mu.Lock()
	t.ended = true
	t.mu.Unlock()
	t.each(func(w *writer) { w.closed = true })
	_ = t.sendable() // makes the last checkpoint
	t.buf.mu.Lock()
	t.buf.kept = nil
	t.buf.mu.Unlock()
}
