package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// errSpool is a disk that does not take the archive: it is then packed anew for each try.
var errSpool = errors.New("the archive can't be kept on disk")

// packed is an archive that is packed once, however often it is sent: into a file, behind which readers follow while it grows. A try that broke
// is so followed by one with the very same bytes, which a coordinator that has them already takes for done.
type packed struct {
	file *os.File
	stop context.CancelFunc
	pack func(io.Writer) error
	once sync.Once
	done chan struct{} // closed when pack has returned, or never will

	mu    sync.Mutex // guards what follows
	grown *sync.Cond
	size  int64
	ended bool
	err   error // of pack, when ended
}

// newPacked makes the file, in the job's temporary folder where there is one. Packing begins with the first read.
func newPacked(ctx context.Context, pack func(context.Context, io.Writer) error) (*packed, error) {
	file, err := os.CreateTemp(cmp.Or(os.Getenv("RUNNER_TEMP_PROJECT_DIR"), os.TempDir()), ".artifacts-*")
	if err != nil {
		return nil, err
	}
	_ = os.Remove(file.Name()) // where an open file can be; else Close does it
	ctx, stop := context.WithCancel(ctx)
	p := &packed{file: file, stop: stop, done: make(chan struct{}), pack: func(w io.Writer) error { return pack(ctx, w) }}
	p.grown = sync.NewCond(&p.mu)
	return p, nil
}

// begin packs, unless that has begun.
func (p *packed) begin() {
	p.once.Do(func() {
		go func() { // Close waits for it
			defer close(p.done)
			err := p.pack(p)
			p.mu.Lock()
			defer p.mu.Unlock()
			p.ended, p.err = true, err
			p.grown.Broadcast()
		}()
	})
}

// Write is called by pack alone.
func (p *packed) Write(b []byte) (int, error) {
	n, err := p.file.Write(b)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.size += int64(n)
	p.grown.Broadcast()
	if err != nil {
		err = fmt.Errorf("%w: %w", errSpool, err)
	}
	return n, err
}

// writeTo sends the archive from its beginning as it is being packed.
func (p *packed) writeTo(w io.Writer) error {
	p.begin()
	for sent := int64(0); ; {
		p.mu.Lock()
		for p.size == sent && !p.ended {
			p.grown.Wait()
		}
		size, ended, err := p.size, p.ended, p.err
		p.mu.Unlock()
		if ended && (err != nil || size == sent) {
			return err
		}
		n, err := io.Copy(w, io.NewSectionReader(p.file, sent, size-sent))
		if sent += n; err != nil {
			return err
		}
	}
}

// Close ends the packing and removes the file.
func (p *packed) Close() {
	p.stop()
	p.once.Do(func() { close(p.done) })
	<-p.done
	p.file.Close()
	_ = os.Remove(p.file.Name()) // it is gone already where that was possible
}
