package faults

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/job"
	"github.com/millwright-ci/millwright/agent/job/jobtest"
)

// front stands before a coordinator and lets calls about a job go wrong: its trace's and its state's.
type front struct {
	next  http.Handler
	fault func(f *front, w http.ResponseWriter, r *http.Request)

	mu    sync.Mutex // guards what follows
	left  int        // so many calls go wrong, from the first piece of trace on
	begun time.Time  // when that came
	final struct {   // of the last final state
		State  string
		Output struct {
			Checksum string
			ByteSize int
		}
	}
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	f.mu.Lock()
	if r.Method == http.MethodPatch && f.begun.IsZero() {
		f.begun = time.Now()
	}
	wrong := !f.begun.IsZero() && f.left > 0 && r.Method != http.MethodPost
	if wrong {
		f.left--
	}
	if r.Method == http.MethodPut {
		_ = json.Unmarshal(body, &f.final) // what is no JSON is refused behind
	}
	f.mu.Unlock()
	if wrong {
		f.fault(f, w, r)
		return
	}
	f.next.ServeHTTP(w, r)
}

// since is how long ago the first piece of trace came.
func (f *front) since() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Since(f.begun)
}

func abort() { panic(http.ErrAbortHandler) } // net/http's way to break a connection

// absence is how long the coordinator is away.
const absence = time.Minute

// Whatever the coordinator does while a job runs, it ends up with the job's output to the byte, and with a checksum that agrees.
func TestCoordinator(t *testing.T) {
	for _, tt := range []struct {
		name  string
		calls int // that go wrong
		fault func(f *front, w http.ResponseWriter, r *http.Request)
	}{
		{"away for a minute", 1 << 30, func(f *front, w http.ResponseWriter, r *http.Request) {
			if f.since() > absence {
				f.next.ServeHTTP(w, r)
				return
			}
			abort()
		}},
		{"5xx bursts", 12, func(f *front, w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader([]int{500, 502, 503, 504}[f.left%4])
		}},
		{"429", 4, func(_ *front, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "2")
			w.WriteHeader(http.StatusTooManyRequests)
		}},
		{"dropped in the middle", 6, func(f *front, _ http.ResponseWriter, r *http.Request) {
			half, _ := io.ReadAll(io.LimitReader(r.Body, r.ContentLength/2))
			cut := r.Clone(r.Context()) // the coordinator sees no more than came
			cut.Body = io.NopCloser(io.MultiReader(bytes.NewReader(half), brokenReader{}))
			f.next.ServeHTTP(httptest.NewRecorder(), cut)
			abort()
		}},
		{"answer lost", 6, func(f *front, _ http.ResponseWriter, r *http.Request) {
			f.next.ServeHTTP(httptest.NewRecorder(), r)
			abort()
		}},
		{"416", 6, func(f *front, w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodPatch {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			w.Header().Set("Range", []string{"0-0", "nonsense", ""}[f.left%3])
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		}},
		{"slow answers", 4, func(f *front, w http.ResponseWriter, r *http.Request) {
			time.Sleep(4 * time.Second) // it is the fault
			f.next.ServeHTTP(w, r)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := jobtest.New(t)
			f := &front{next: b.Server.Handler(), fault: tt.fault, left: tt.calls}
			url := b.Serve(t, f)
			const lines = 2000
			payload := jobtest.Archived(script([]string{
				fmt.Sprintf("i=0; while [ $i -lt %d ]; do i=$((i+1)); echo line $i of many; [ $((i%%100)) != 0 ] || sleep 0.4; done; echo x >f", lines),
			}), coordinator.Artifact{Paths: []string{"f"}})
			e := b.Run(t, t.Context(), payload, func(p *job.Params, r *config.Runner) {
				client, err := coordinator.New(coordinator.Options{URL: url, Token: r.Token, SystemID: "s_test", Info: coordinator.Info{Executor: "docker"}})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(client.Close)
				p.Client = client
			})
			jobtest.CheckEnd(t, e, "", 0)
			jobtest.CheckUploads(t, e, 1)
			var want strings.Builder
			for i := 1; i <= lines; i++ {
				fmt.Fprintf(&want, "line %d of many\n", i)
			}
			if got := output(e.Trace); got != want.String() {
				t.Errorf("the trace holds %d bytes of output, want %d:\n%s", len(got), want.Len(), e.Trace)
			}
			sum := fmt.Sprintf("crc32:%08x", crc32.ChecksumIEEE([]byte(e.Raw)))
			if said := f.final.Output; f.final.State != "success" || said.Checksum != sum || said.ByteSize != len(e.Raw) {
				t.Errorf("the last state was %+v; the trace has %d bytes and %s", f.final, len(e.Raw), sum)
			}
			if tt.calls < 1000 && f.left > 0 {
				t.Errorf("%d of %d calls were still to go wrong when the job had ended", f.left, tt.calls)
			}
		})
	}
}

// output is what the script printed: all between its last echo and the end of its stage.
func output(trace string) string {
	_, rest, _ := strings.Cut(trace, "echo x >f\n")
	var out strings.Builder
	for line := range strings.Lines(rest) {
		if !strings.HasPrefix(line, "line ") {
			break
		}
		out.WriteString(line)
	}
	return out.String()
}

// brokenReader is a body that breaks off.
type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
