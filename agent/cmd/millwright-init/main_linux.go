// millwright-init COMMAND [ARGUMENT...] is the first process of a build container and the parent of its script. It hands the script's output to
// the engine as agent/executor/packed says, and tells the script's exit code behind it, so that nobody has to wait until the engine has put
// the container away. It also does a first process's work: it takes the ends of processes that nobody else waits for, and passes on
// the signals that the command has a use for. Where it is not the first one it leaves the end to the engine. Without the word in its
// environment it only becomes the command; without a command it ends at once, for who only wants to know whether it can be run.
package main

import (
	"bytes"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/millwright-ci/millwright/agent/executor/packed"
)

// memoryLimit is where the collector of garbage sets in, in bytes.
const memoryLimit = 8 << 20

// exitCannotRun is a shell's exit code for a command that can't be run.
const exitCannotRun = 126

func main() {
	debug.SetGCPercent(-1) // the buffers are all there is, but for what signals leave behind
	debug.SetMemoryLimit(memoryLimit)
	if len(os.Args) < 2 {
		os.Exit(0)
	}
	word, env := takeWord(os.Environ())
	if len(word) < 2 {
		fail(syscall.Exec(os.Args[1], os.Args[1:], env).Error())
	}
	wipe(word)
	signals := make(chan os.Signal, 64)
	signal.Notify(signals)
	stdout, stderr := newStream(word, os.Stdout), newStream(word, os.Stderr)
	child, err := syscall.ForkExec(os.Args[1], os.Args[1:], &syscall.ProcAttr{Env: env, Files: []uintptr{0, uintptr(stdout.in), uintptr(stderr.in)}})
	if err != nil {
		fail(os.Args[1] + ": " + err.Error())
	}
	go passOn(signals, child)
	var copies sync.WaitGroup
	for _, s := range []*stream{stdout, stderr} {
		_ = syscall.Close(s.in)
		copies.Go(s.copy)
	}
	code := wait(child)
	first := os.Getpid() == 1
	if first {
		endOthers()
	}
	stdout.stop()
	stderr.stop()
	copies.Wait()
	if first { // else somebody may still be at work, whom the engine will end
		for _, s := range []*stream{stdout, stderr} {
			_, _ = s.to.Write(packed.End(word, strconv.Itoa(code)))
		}
	}
	os.Exit(code)
}

func fail(text string) {
	_, _ = os.Stderr.WriteString("millwright-init: " + text + "\n")
	os.Exit(exitCannotRun)
}

// takeWord separates the word from the rest of an environment.
func takeWord(all []string) (word string, rest []string) {
	for _, v := range all {
		if value, ok := strings.CutPrefix(v, packed.WordVariable+"="); ok {
			word = value
		} else {
			rest = append(rest, v)
		}
	}
	return word, rest
}

// wipe takes the word out of what /proc/PID/environ shows of this process, as far as it can: a job that prints the environments of all processes
// need not show it to whoever reads its log. Source: proc_pid_stat(5), env_start and env_end.
func wipe(word string) {
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return
	}
	const start = 50 - 3 // what comes after the name begins with field 3
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) <= start+1 {
		return
	}
	from, _ := strconv.ParseInt(fields[start], 10, 64)
	to, _ := strconv.ParseInt(fields[start+1], 10, 64)
	memory, err := os.OpenFile("/proc/self/mem", os.O_RDWR, 0)
	if err != nil || to <= from {
		return
	}
	defer memory.Close()
	environment := make([]byte, to-from)
	if _, err := memory.ReadAt(environment, from); err != nil {
		return
	}
	if at := bytes.Index(environment, []byte(packed.WordVariable+"="+word)); at >= 0 {
		_, _ = memory.WriteAt(make([]byte, len(packed.WordVariable)+1+len(word)), from+int64(at))
	}
}

// wait returns the exit code of a child, in a shell's way, and takes the ends of all others meanwhile.
func wait(child int) int {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			fail("wait: " + err.Error())
		case pid != child:
		case status.Signaled():
			return 128 + int(status.Signal())
		default:
			return status.ExitStatus()
		}
	}
}

// endOthers does what the kernel would do next, at the end of a container's first process: it kills all others. So nobody is at work in
// the container any more when the end is told.
func endOthers() {
	if syscall.Kill(-1, syscall.SIGKILL) != nil {
		return // there is nobody
	}
	for {
		if _, err := syscall.Wait4(-1, nil, 0, nil); err != nil && err != syscall.EINTR {
			return
		}
	}
}

// passOn hands signals to the child that it catches. One that it doesn't would end it; a first process, which it would be without us, hears
// nothing of those.
func passOn(signals <-chan os.Signal, child int) {
	for s := range signals {
		number, ok := s.(syscall.Signal)
		if ok && number != syscall.SIGCHLD && number != syscall.SIGURG && number != syscall.SIGPIPE && catches(child, number) {
			_ = syscall.Kill(child, number)
		}
	}
}

// catches tells whether a process has a handler for a signal. Source: proc_pid_status(5), SigCgt.
func catches(pid int, s syscall.Signal) bool {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	_, after, found := strings.Cut(string(status), "\nSigCgt:")
	if err != nil || !found {
		return false
	}
	line, _, _ := strings.Cut(after, "\n")
	mask, err := strconv.ParseUint(strings.TrimSpace(line), 16, 64)
	return err == nil && mask>>(uint(s)-1)&1 == 1
}

// stream is one of the two that the child writes to.
type stream struct {
	to   *os.File
	in   int // the child's end
	out  int
	from *os.File // out
}

// newStream says the word on a stream and makes the pipe that the child gets in its place.
func newStream(word string, to *os.File) *stream {
	var ends [2]int
	if err := syscall.Pipe2(ends[:], syscall.O_CLOEXEC); err != nil {
		fail("pipe: " + err.Error())
	}
	if err := syscall.SetNonblock(ends[0], true); err != nil {
		fail("pipe: " + err.Error())
	}
	if _, err := to.Write(packed.Begin(word)); err != nil {
		fail("output: " + err.Error())
	}
	return &stream{to: to, in: ends[1], out: ends[0], from: os.NewFile(uintptr(ends[0]), "|")}
}

// pieceSize is what a pipe holds, unless somebody makes it larger.
const pieceSize = 64 << 10

// copy passes on what the child writes, until both have come to their end: others that it has started may hold the pipe, and go on.
func (s *stream) copy() {
	piece, buf := make([]byte, pieceSize), make([]byte, 0, 3*pieceSize) // packed, it may be twice as long, and a little
	for {
		n, err := s.from.Read(piece)
		if n > 0 {
			_, _ = s.to.Write(packed.Pack(buf, piece[:n]))
		}
		if err != nil {
			break
		}
	}
	// What lies in the pipe now was written before the child's end, and somebody else may never stop writing.
	left, err := capacity(s.out)
	if err != nil {
		left = pieceSize
	}
	for left > 0 {
		n, err := syscall.Read(s.out, piece)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			return
		}
		_, _ = s.to.Write(packed.Pack(buf, piece[:n]))
		left -= n
	}
}

// capacity is how many bytes a pipe holds at most.
func capacity(fd int) (int, error) {
	const getPipeSize = 1032 // F_GETPIPE_SZ, linux/fcntl.h
	n, _, failed := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), getPipeSize, 0)
	if failed != 0 {
		return 0, failed
	}
	return int(n), nil
}

// stop makes copy come to its end.
func (s *stream) stop() { _ = s.from.SetReadDeadline(time.Unix(0, 1)) }
