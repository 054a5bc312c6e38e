package supervisor

import (
	"context"
	"os"
	"time"
)

// watchInterval is how often the configuration file is looked at. GitLab Runner looks every 3 s.
const watchInterval = time.Second

// stamp tells two versions of a file apart without reading it. It follows links, so a ConfigMap's symlink swap shows.
type stamp struct {
	modified time.Time
	size     int64
	exists   bool
}

func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}
	}
	return stamp{modified: info.ModTime(), size: info.Size(), exists: true}
}

// watch sends on changed after path became another file than the one that was loaded and stayed the same for one interval, so that a half-written file is not
// read. It looks at what is there now, not at which event came. A file that vanished is no change. It returns when ctx ends.
func watch(ctx context.Context, path string, loaded stamp, changed chan<- struct{}) {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	last := loaded
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := stampOf(path)
		settled := now == last
		last = now
		if !settled || !now.exists || now == loaded {
			continue
		}
		loaded = now
		select {
		case changed <- struct{}{}:
		case <-ctx.Done():
			return
		}
	}
}
