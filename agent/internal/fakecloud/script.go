package fakecloud

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// Script returns a line of a job's script which an engine of Jobs follows: it lasts for so many milliseconds, and every 200 ms a fifth of
// so many bytes a second are written, in lines of 100 bytes at most.
func Script(lastsMS, bytesPerSecond int) string {
	return fmt.Sprintf("fakejob lasts=%dms rate=%dB/s", lastsMS, bytesPerSecond)
}

// written finds what Script returned, whatever quotes it stands in.
var written = regexp.MustCompile(`fakejob lasts=([0-9]{1,9})ms rate=([0-9]{1,9})B/s`)

const (
	speakEvery = 200 * time.Millisecond
	lineBytes  = 100
)

// act is what a container does when it is started.
type act struct {
	lasts time.Duration
	rate  int // bytes a second
}

// actOf is what a text says that holds what Script returned; nothing where none does.
func actOf(text []byte) (a act) {
	if found := written.FindSubmatch(text); found != nil {
		ms, _ := strconv.Atoi(string(found[1])) // digits, and few
		a.lasts = milliseconds(ms)
		a.rate, _ = strconv.Atoi(string(found[2]))
	}
	return a
}

// copyIn takes the archive with a stage's script.
func (e *jobEngine) copyIn(w http.ResponseWriter, r *http.Request, c *container) {
	files, err := untar(r.Body)
	if err != nil {
		reply(w, http.StatusBadRequest, map[string]string{"message": err.Error()})
		return
	}
	var next act
	for _, data := range files {
		if a := actOf(data); a != (act{}) {
			next = a
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	c.act = next
	w.WriteHeader(http.StatusOK)
}

// stream is a connection that an attach took over.
type stream struct{ conn net.Conn }

func (s *stream) close() { s.conn.Close() }

// attach takes the connection over for the output of the start under way, or else of the next one, and for the line that a gated container
// waits for.
func (e *jobEngine) attach(w http.ResponseWriter, r *http.Request, c *container) {
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		reply(w, http.StatusInternalServerError, map[string]string{"message": "this connection can't be taken over"})
		return
	}
	conn, typed, err := hijacker.Hijack()
	if err != nil {
		return
	}
	const head = "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
	if _, err := conn.Write([]byte(head)); err != nil {
		conn.Close()
		return
	}
	q := r.URL.Query()
	output := q.Get("stdout") == "1"
	if output {
		e.mu.Lock()
		c.streams = append(c.streams, &stream{conn})
		e.mu.Unlock()
	}
	if q.Get("stdin") != "1" {
		return
	}
	go func() { // ends with the connection, or when it has given its line
		if _, err := typed.ReadString('\n'); err == nil {
			e.open(c)
		}
		if !output {
			conn.Close()
		}
	}()
}

// open lets the start under way go on to its script.
func (e *jobEngine) open(c *container) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c.word != nil {
		close(c.word)
		c.word = nil
	}
}

// start lets the container do what its script says. Whoever attached hears it.
func (e *jobEngine) start(w http.ResponseWriter, _ *http.Request, c *container) {
	e.mu.Lock()
	if c.running {
		e.mu.Unlock()
		w.WriteHeader(http.StatusNotModified)
		return
	}
	c.running, c.started = true, time.Now().UTC()
	word, stop := make(chan struct{}), make(chan struct{})
	c.word, c.stop = word, stop
	if !c.gated {
		close(word)
		c.word = nil
	}
	e.mu.Unlock()
	go func() { // ends with the script, or when the container is stopped or removed
		select {
		case <-word:
			e.play(c, stop)
		case <-stop:
		}
		e.mu.Lock()
		c.running, c.finished, c.word, c.stop = false, time.Now().UTC(), nil, nil
		e.over(c)
		e.mu.Unlock()
	}()
	w.WriteHeader(http.StatusNoContent)
}

// play writes what is to be written until its time is over.
func (e *jobEngine) play(c *container, stop <-chan struct{}) {
	e.mu.Lock()
	a := c.act
	e.mu.Unlock()
	if a.lasts <= 0 {
		return
	}
	over := time.NewTimer(a.lasts)
	defer over.Stop()
	beat := time.NewTicker(speakEvery)
	defer beat.Stop()
	frame := outputFrame(a.rate * int(speakEvery/time.Millisecond) / 1000)
	for {
		select {
		case <-stop:
			return
		case <-over.C:
			return
		case <-beat.C:
			e.mu.Lock()
			listeners := slices.Clone(c.streams)
			e.mu.Unlock()
			for _, s := range listeners {
				_, _ = s.conn.Write(frame) // whoever went away misses it
			}
		}
	}
}

// outputFrame is so many bytes of standard output as an attached stream carries them: one byte for the stream, three of nothing, the
// length, the bytes. Source: Docker Engine API v1.41, "Attach to a container", stream format.
func outputFrame(n int) []byte {
	text := bytes.Repeat([]byte("a line of a job's output, as long as lines of compilers and test runners commonly are, and no longer\n"), n/lineBytes+1)[:n]
	if n > 0 {
		text[n-1] = '\n'
	}
	frame := make([]byte, 8, 8+n)
	frame[0] = 1
	binary.BigEndian.PutUint32(frame[4:], uint32(n))
	return append(frame, text...)
}
