package provision

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"

	"github.com/millwright-ci/millwright/agent/fleet"
)

// pullLimit bounds the pulls of one machine.
const pullLimit = 30 * time.Minute

// pulls are the images that machines pull while they wait for jobs. Its zero value is ready.
type pulls struct {
	wg sync.WaitGroup

	mu      sync.Mutex // guards what follows
	last    int
	cancels map[int]context.CancelFunc
}

// begin runs do in a goroutine of its own, for pullLimit at most or until end.
func (p *pulls) begin(do func(context.Context)) {
	ctx, cancel := context.WithTimeout(context.Background(), pullLimit)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cancels == nil {
		p.cancels = map[int]context.CancelFunc{}
	}
	p.last++
	id := p.last
	p.cancels[id] = cancel
	p.wg.Go(func() {
		do(ctx)
		cancel()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.cancels, id)
	})
}

// end cuts off what is under way and waits for it.
func (p *pulls) end() {
	p.mu.Lock()
	for _, cancel := range p.cancels {
		cancel()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

// pull has the engine of a machine that is ready pull images, one after the other, while the machine waits for a job. It returns at once. A job
// that needs one meanwhile joins in: the engine pulls each layer once. What fails is told; the job that needs it will be told too.
func (p *Provisioner) pull(m fleet.Machine, images []string) {
	if len(images) == 0 {
		return
	}
	log := p.log.With("machine", m.Name)
	p.pulls.begin(func(ctx context.Context) {
		engine, err := newClient(p.Endpoint(m))
		if err != nil {
			log.Warn("images are not preloaded", "error", err)
			return
		}
		defer engine.Close()
		for _, name := range images {
			start := time.Now()
			if err := pullImage(ctx, engine, name); ctx.Err() != nil {
				return
			} else if err != nil {
				log.Warn("an image is not preloaded", "image", name, "error", err)
				continue
			}
			log.Info("image preloaded", "image", name, "took", time.Since(start).Round(time.Millisecond))
		}
	})
}

// pullImage pulls an image that the engine lacks.
func pullImage(ctx context.Context, engine *client.Client, name string) error {
	if _, err := engine.ImageInspect(ctx, name); err == nil {
		return nil
	}
	progress, err := engine.ImagePull(ctx, name, image.PullOptions{})
	if err != nil {
		return err
	}
	defer progress.Close()
	if err := loadError(progress); err != nil {
		return fmt.Errorf("pull: %w", err)
	}
	return nil
}
