package trace

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
)

// TestUnfinishedLine shows a line that waits for its line feed, such as a row of dots.
func TestUnfinishedLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(server)
		tr := start(t, s, func(o *Options) { o.Timestamps = true })
		tr.Stdout(StreamJob).Write([]byte("waiting..."))
		time.Sleep(firstInterval + time.Second)
		if got := s.text(); !strings.HasSuffix(got, " 01O waiting...\n") {
			t.Errorf("the coordinator has %q", got)
		}
		tr.Stdout(StreamJob).Write([]byte(" done\n"))
		if err := tr.Finish(t.Context(), success); err != nil {
			t.Fatal(err)
		}
		if got := s.text(); !strings.HasSuffix(got, " 01O+ done\n") {
			t.Errorf("the coordinator has %q", got)
		}
		s.complete(t)
	})
}

// TestHammer writes from many goroutines, adds secrets and sends, all at once; each line arrives whole and masked.
func TestHammer(t *testing.T) {
	const writers, lines = 8, 300
	synctest.Test(t, func(t *testing.T) {
		s := new(server)
		tr := start(t, s, func(o *Options) { o.Timestamps = true })
		tr.Mask("s3cret")
		var wg sync.WaitGroup
		for n := range writers {
			wg.Go(func() {
				out := tr.Stdout(Stream(n))
				for i := range lines {
					fmt.Fprintf(out, "line %d s3cret end\n", i)
					tr.Mask(config.Secret(fmt.Sprintf("value-%d-%d", n, i%5)))
					if i%50 == 0 {
						time.Sleep(time.Second)
						tr.FlushJob()
					}
				}
			})
		}
		wg.Wait()
		if err := tr.Finish(t.Context(), success); err != nil {
			t.Fatal(err)
		}
		s.complete(t)
		text := s.text()
		for n := range writers {
			for i := range lines {
				if want := fmt.Sprintf("Z %02xO line %d [MASKED] end\n", n, i); strings.Count(text, want) != 1 {
					t.Fatalf("%q is there %d times", want, strings.Count(text, want))
				}
			}
		}
	})
}
