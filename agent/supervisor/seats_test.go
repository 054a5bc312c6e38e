package supervisor

import "testing"

// A number is free again when its job has ended, and no job gets one that another has, of an agent before too.
func TestSeats(t *testing.T) {
	t.Parallel()
	var s seats
	s.claim("m-1", 1, 11)
	for i, tt := range []struct {
		machine string
		job     int64
		want    int
	}{{"m-1", 10, 0}, {"m-1", 12, 2}, {"m-1", 10, 0}, {"m-1", 11, 1}, {"m-2", 13, 0}} {
		if got := s.take(tt.machine, tt.job); got != tt.want {
			t.Errorf("%d: job %d has number %d on %s, want %d", i, tt.job, got, tt.machine, tt.want)
		}
	}
	s.leave(10)
	if got := s.take("m-1", 14); got != 0 {
		t.Errorf("the number of a job that has ended: got %d, want 0", got)
	}
}
