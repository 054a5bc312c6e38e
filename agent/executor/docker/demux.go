package docker

import (
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
	demuxChunk = 4 << 10 // bytes; a job holds one such buffer as long as it runs, so it is small
	maxSystem  = 4 << 10 // bytes of the engine's words
)

// demux writes each stream's bytes to its writer as they come, until the source ends. An end within a frame is an end: what is missing is
// found by its bytes' number.
func demux(stdout, stderr io.Writer, source io.Reader) error {
	head, chunk := make([]byte, frameHead), make([]byte, demuxChunk)
	for {
		if _, err := io.ReadFull(source, head); err != nil {
			return ended(err)
		}
		frame := io.LimitReader(source, int64(binary.BigEndian.Uint32(head[4:])))
		var to io.Writer
		switch head[0] {
		case streamStdin, streamStdout:
			to = stdout
		case streamStderr:
			to = stderr
		case streamSystem:
			text, err := io.ReadAll(io.LimitReader(frame, maxSystem))
			return errors.Join(fmt.Errorf("the engine, in the output: %s", text), ended(err))
		default:
			return fmt.Errorf("the output: stream %d is unknown", head[0])
		}
		if _, err := io.CopyBuffer(to, frame, chunk); err != nil {
			return ended(err)
		}
	}
}

// ended is nil for the end of a source.
func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}
