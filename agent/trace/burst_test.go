package trace

import (
	"bytes"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// A log that comes faster than the coordinator's interval takes it flows in whole pieces, of which the coordinator gets no more a minute than
// it allows (TestAllowance).
func TestBurst(t *testing.T) {
	mebibyte := append(bytes.Repeat([]byte("x"), maxPiece-1), '\n')
	patches := func(s *server, from, to time.Time) (n int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, c := range s.calls {
			if c.what[:5] == "PATCH" && !c.at.Before(from) && c.at.Before(to) {
				n++
			}
		}
		return n
	}
	t.Run("flows", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := new(server)
			tr := start(t, s, func(o *Options) { o.Limit = 100 << 20 })
			tr.Println("first")
			pass(gather)
			for range 5 { // long before the next piece is due
				tr.Stdout(StreamJob).Write(mebibyte)
			}
			pass(10 * time.Millisecond)
			if got := len(s.text()); got < 4<<20 {
				t.Errorf("after 10 ms the coordinator has %d bytes", got)
			}
			if err := tr.Finish(t.Context(), success); err != nil {
				t.Fatal(err)
			}
			s.complete(t)
		})
	})
	t.Run("not at a coordinator in trouble", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := &server{onPatch: func(_ int, w http.ResponseWriter, _ *http.Request) bool {
				w.WriteHeader(http.StatusBadRequest)
				return true
			}}
			tr := start(t, s, func(o *Options) { o.Limit = 100 << 20 })
			began := time.Now()
			for range 3 {
				tr.Stdout(StreamJob).Write(mebibyte)
			}
			pass(10*time.Second + 100*time.Millisecond)
			if got := patches(s, began, time.Now()); got > 11 {
				t.Errorf("%d pieces in 10 s", got)
			}
			tr.Close()
		})
	})
}

// However fast a log comes, and also when the coordinator's own pauses are used as well, no minute has more pieces than GitLab allows.
func TestAllowance(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var a allowance
	var times []time.Time
	for end := now.Add(10 * time.Minute); now.Before(end); {
		if a.any(now) {
			a.take(now)
		} else {
			now = now.Add(backlogInterval)
		}
		times = append(times, now)
	}
	if n := len(times); n < 600 {
		t.Errorf("%d pieces in 10 minutes", n)
	}
	for i := 200; i < len(times); i++ {
		if d := times[i].Sub(times[i-200]); d < time.Minute {
			t.Fatalf("201 pieces within %v", d)
		}
	}
}
