package trace

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// faulty is a coordinator behind a network and a front that let it down. It takes a final state as GitLab does: only with every byte of
// the trace.
type faulty struct {
	server
	met map[string]int // read when the trace has ended

	mu     sync.Mutex // guards what follows: a call that was given up may still be under way beside the next
	rand   *rand.Rand
	faults int       // so many calls may still go wrong
	away   time.Time // until then nobody answers
}

// upTo returns a number from 0 to n-1.
func (f *faulty) upTo(n int64) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rand.Int64N(n)
}

// fault is one way in which a call goes wrong.
type fault struct {
	name  string
	serve func(f *faulty, w http.ResponseWriter, r *http.Request)
}

var faults = []fault{
	{"dropped in the middle", func(f *faulty, _ http.ResponseWriter, r *http.Request) {
		_, _ = io.CopyN(io.Discard, r.Body, f.upTo(max(r.ContentLength, 1)))
		panic(http.ErrAbortHandler) // net/http's way to break a connection
	}},
	{"answer lost", func(f *faulty, _ http.ResponseWriter, r *http.Request) {
		f.take(&answered{}, r)
		panic(http.ErrAbortHandler)
	}},
	{"answer cut off", func(f *faulty, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		f.take(w, r)
	}},
	{"5xx", func(f *faulty, w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader([]int{500, 502, 503, 504}[f.upTo(4)])
	}},
	{"429", func(f *faulty, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", fmt.Sprint(f.upTo(90)))
		w.WriteHeader(http.StatusTooManyRequests)
	}},
	{"416", func(f *faulty, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Range", f.claim())
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
	}},
	{"202 that claims another size", func(f *faulty, w http.ResponseWriter, r *http.Request) {
		a := &answered{}
		f.take(a, r)
		if a.status == http.StatusAccepted {
			w.Header().Set("Range", f.claim())
		}
		w.WriteHeader(a.status)
	}},
	{"slow", func(f *faulty, w http.ResponseWriter, r *http.Request) {
		time.Sleep(time.Duration(f.upTo(int64(2 * time.Minute))))
		f.take(w, r)
	}},
	{"hangs", func(f *faulty, _ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then net/http notices that the client goes
		<-r.Context().Done()
	}},
	{"away for a minute", func(f *faulty, _ http.ResponseWriter, _ *http.Request) {
		f.mu.Lock()
		f.away = time.Now().Add(time.Minute)
		f.mu.Unlock()
		panic(http.ErrAbortHandler)
	}},
}

// claim is a size as it stands in Range, right or not.
func (f *faulty) claim() string {
	switch size := int64(len(f.text())); f.upTo(4) {
	case 0:
		return "nonsense"
	case 1:
		return fmt.Sprintf("0-%d", f.upTo(size+1))
	case 2:
		return fmt.Sprintf("0-%d", size+1+f.upTo(5000))
	default:
		return fmt.Sprintf("0-%d", size)
	}
}

func (f *faulty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.draw(r.Method)(f, w, r)
}

// draw returns what comes of a call.
func (f *faulty) draw(method string) func(*faulty, http.ResponseWriter, *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case time.Now().Before(f.away):
		return func(*faulty, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	case f.faults == 0 || f.rand.IntN(3) == 0:
		return (*faulty).take
	}
	f.faults--
	one := faults[f.rand.IntN(len(faults))]
	if method == http.MethodPut && (one.name == "416" || one.name == "202 that claims another size") {
		one = faults[3]
	}
	f.met[one.name]++
	return one.serve
}

// take is the coordinator proper: it puts a final state off (202) while bytes are missing, and forgets a trace that is another one (412).
func (f *faulty) take(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPut {
		f.server.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	var update struct {
		State  string
		Output struct {
			Checksum string
			ByteSize int
		}
	}
	if err != nil || json.Unmarshal(body, &update) != nil {
		return
	}
	f.mu.Lock()
	has, sum := len(f.trace), fmt.Sprintf("crc32:%08x", crc32.ChecksumIEEE(f.trace))
	switch {
	case update.State == "running":
	case update.Output.ByteSize > has:
		f.mu.Unlock()
		w.WriteHeader(http.StatusAccepted)
		return
	case update.Output.ByteSize < has, update.Output.Checksum != sum:
		f.trace = nil
		f.mu.Unlock()
		w.WriteHeader(http.StatusPreconditionFailed)
		return
	}
	f.mu.Unlock()
	r.Body = io.NopCloser(bytes.NewReader(body))
	f.server.ServeHTTP(w, r)
}

// answered takes an answer that nobody gets.
type answered struct {
	header http.Header
	status int
}

func (a *answered) Header() http.Header {
	if a.header == nil {
		a.header = http.Header{}
	}
	return a.header
}
func (a *answered) Write(p []byte) (int, error) { return len(p), nil }
func (a *answered) WriteHeader(status int)      { a.status = status }

// TestFaults has coordinators that go wrong at random while a job prints: each ends up with the job's output, to the byte.
func TestFaults(t *testing.T) {
	met := map[string]int{}
	for seed := range uint64(150) {
		synctest.Test(t, func(t *testing.T) {
			f := &faulty{rand: rand.New(rand.NewPCG(seed, 1)), faults: 15, met: met}
			tr := startWith(t, f, &f.server, func(o *Options) { o.FinalRetries = 30 }) // more than what goes wrong takes
			var want strings.Builder
			for n := range 60 {
				line := fmt.Sprintf("line %d %s\n", n, strings.Repeat("x", int(seed)%200))
				want.WriteString(line)
				tr.Stdout(StreamJob).Write([]byte(line))
				pass(2 * time.Second)
			}
			began := time.Now()
			if err := tr.Finish(t.Context(), success); err != nil {
				t.Errorf("seed %d: %v after %s; met %v", seed, err, time.Since(began), met)
			}
			if got := f.text(); got != want.String() {
				t.Errorf("seed %d: the coordinator has %d bytes, the job printed %d", seed, len(got), want.Len())
			}
			f.complete(t)
		})
	}
	for _, one := range faults {
		if met[one.name] == 0 {
			t.Errorf("never met: %s", one.name)
		}
	}
}

// TestFalseClaim has a coordinator that claims to have the last bytes, which it has not.
func TestFalseClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &faulty{rand: rand.New(rand.NewPCG(1, 1))}
		f.onPatch = func(n int, w http.ResponseWriter, _ *http.Request) bool {
			if n != 2 {
				return false
			}
			w.Header().Set("Range", "0-20")
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return true
		}
		tr := startWith(t, f, &f.server, nil)
		tr.Stdout(StreamJob).Write([]byte("0123456789"))
		pass(time.Second)
		tr.Stdout(StreamJob).Write([]byte("abcdefghij"))
		began := time.Now()
		if err := tr.Finish(t.Context(), success); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("it took %s", took)
		}
		if got := f.text(); got != "0123456789abcdefghij" {
			t.Errorf("the coordinator has %q", got)
		}
	})
}
