package docker

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The streams of an attached container, as the first byte of each frame. Source: Docker Engine API v1.41, "Attach to a container",
// stream format.
const (
	streamStdin  = 0 // written on stdout
	streamStdout = 1
	streamStderr = 2
	streamSystem = 3 // what the engine itself has to say about a failure
)

const (
	frameHead  = 8       // stream, three bytes of nothing, length
	demuxChunk = 4 << 10 // bytes; a job holds one such buffer as long as it says little, so it is small
	demuxBulk  = 64 << 10
	maxSystem  = 4 << 10 // bytes of the engine's words
)

// demux writes each stream's bytes to its writer as they come, until the source ends. An end within a frame is an end: what is missing is
// found by its bytes' number.
func demux(stdout, stderr io.Writer, source io.Reader) error {
	buffered, ok := source.(*bufio.Reader)
	if !ok {
		buffered = bufio.NewReaderSize(source, demuxChunk)
	}
	for {
		if buffered.Size() < demuxBulk && buffered.Buffered() == buffered.Size() { // more comes at once than fits: a job that says much
			buffered = bufio.NewReaderSize(buffered, demuxBulk)
		}
		head, err := buffered.Peek(frameHead)
		if err != nil {
			return ended(err)
		}
		stream, length := head[0], int64(binary.BigEndian.Uint32(head[4:]))
		_, _ = buffered.Discard(frameHead) // they are there
		var to io.Writer
		switch stream {
		case streamStdin, streamStdout:
			to = stdout
		case streamStderr:
			to = stderr
		case streamSystem:
			text, err := io.ReadAll(io.LimitReader(buffered, min(length, maxSystem)))
			return errors.Join(fmt.Errorf("the engine, in the output: %s", text), ended(err))
		default:
			return fmt.Errorf("the output: stream %d is unknown", stream)
		}
		if err := pass(to, buffered, length); err != nil {
			return ended(err)
		}
	}
}

// pass writes the next bytes of a source, as they come and out of its own buffer.
func pass(to io.Writer, source *bufio.Reader, length int64) error {
	for length > 0 {
		if _, err := source.Peek(1); err != nil {
			return err
		}
		piece, err := source.Peek(int(min(length, int64(source.Buffered()))))
		if err != nil {
			return err
		}
		n, err := to.Write(piece)
		length -= int64(n)
		if _, discarded := source.Discard(n); err == nil {
			err = discarded
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ended is nil for the end of a source.
func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}
