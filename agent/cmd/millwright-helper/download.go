package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/millwright-ci/millwright/agent/archive"
)

const downloadTries = 3

// downloader holds one download.
type downloader struct {
	coordinatorFlags
	console console
	client  *http.Client
}

// downloadArtifacts fetches another job's archive and unpacks it into the working directory.
func downloadArtifacts(ctx context.Context, args []string, c console) error {
	d := &downloader{console: c}
	fs := newFlags("artifacts-downloader", c)
	d.add(fs)
	if err := parse(fs, args); err != nil {
		return err
	}
	base, err := d.check(fs)
	if err != nil {
		return err
	}
	transport, err := d.transport()
	if err != nil {
		return err
	}
	defer transport.CloseIdleConnections()
	d.client = &http.Client{Transport: transport, CheckRedirect: keepToken}
	file, err := os.CreateTemp("", "artifacts")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if err := d.try(ctx, base, &partial{file: file}); err != nil {
		return err
	}
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	if err := archive.Extract(ctx, file, dir, archive.Limits{}, c.say); err != nil {
		return fmt.Errorf("artifacts: %w", err)
	}
	return nil
}

// keepToken lets redirects go on, but the job's token stays with the host that it was meant for. Go's own client takes custom
// headers along.
func keepToken(req *http.Request, via []*http.Request) error {
	if len(via) >= 10 {
		return errors.New("more than 10 redirects")
	}
	if first := via[0].URL; req.URL.Host != first.Host || req.URL.Scheme != first.Scheme {
		req.Header.Del("JOB-TOKEN")
	}
	return nil
}

// try downloads until it worked, or another try would not help. Only the first one asks to be sent to the store directly. What was cut
// short goes on where it ended.
func (d *downloader) try(ctx context.Context, base *url.URL, file *partial) error {
	direct := "true"
	if off := os.Getenv("FF_USE_DIRECT_DOWNLOAD"); off == "false" || off == "0" {
		direct = ""
	}
	for n := 1; ; n++ {
		err := d.once(ctx, d.artifactsURL(base, map[string]string{"direct_download": direct}), file)
		if err == nil {
			d.console.say("Downloading artifacts from coordinator... ok")
			return nil
		}
		d.console.say("WARNING: Downloading artifacts from coordinator... %v", err)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.As(err, new(localError)):
			return err
		case isStatus(err, http.StatusUnauthorized, http.StatusForbidden):
			return errors.New("permission denied")
		case isStatus(err, http.StatusNotFound):
			return errors.New("not found")
		case n >= downloadTries:
			return fmt.Errorf("artifacts: no success after %d tries: %w", n, err)
		}
		direct = ""
		d.console.say("Retrying...")
		if err := pause(ctx, err, firstPause); err != nil {
			return err
		}
	}
}

func (d *downloader) once(ctx context.Context, address string, file *partial) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return localError{err}
	}
	req.Header.Set("JOB-TOKEN", d.token)
	file.ask(req)
	resp, err := d.client.Do(req)
	if err != nil {
		return err
	}
	defer discard(resp)
	if !success(resp) {
		return newStatusError(resp)
	}
	return file.take(resp)
}

// minutes is what caches take as a timeout; 0 and less are the default.
func minutes(n int) time.Duration {
	if n <= 0 {
		n = 10
	}
	return time.Duration(n) * time.Minute
}
