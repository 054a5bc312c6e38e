// Build compiles every guest under policies/ and providers/ to its dist folder, as `task guests` does:
//
//	go run ./agent/internal/guests/build
//
// It runs at the root of the repository. What is up to date stays as it is.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millwright-ci/millwright/agent/internal/guests"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "guests:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(2) // the go command spreads out by itself
	for _, parent := range []string{"policies", "providers"} {
		folders, err := guests.Find(parent)
		if err != nil {
			return err
		}
		for _, folder := range folders {
			group.Go(func() error {
				start := time.Now()
				dest := filepath.Join(parent, "dist", filepath.Base(folder)+guests.Suffix)
				built, err := guests.Build(ctx, folder, dest)
				if err != nil {
					return err
				}
				outcome := "up to date"
				if built {
					outcome = "built in " + time.Since(start).Round(100*time.Millisecond).String()
				}
				fmt.Printf("%s: %s\n", dest, outcome)
				return nil
			})
		}
	}
	return group.Wait()
}
