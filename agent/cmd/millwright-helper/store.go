package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// storeTries is how often a transfer to or from a store is tried in all, on network errors and 5xx.
const storeTries = 3

// send puts the archive into the store: in parts where it is larger than one and there are any, else in one request.
func (f *cacheFlags) send(ctx context.Context, c console) error {
	info, err := os.Stat(f.file)
	if err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	p, err := readParts(os.Getenv("CACHE_UPLOAD_PARTS"))
	if err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	inParts, err := p.serve(info.Size())
	if err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	c.say("Uploading %s to %s", filepath.Base(f.file), bare(f.url))
	ctx, cancel := f.limited(ctx)
	defer cancel()
	if inParts {
		return f.sendParts(ctx, c, p)
	}
	return retry(ctx, c, func(ctx context.Context) error {
		resp, err := f.put(ctx, http.MethodPut, f.url, f.headers, 0, info.Size())
		if err != nil {
			return err
		}
		discard(resp)
		return nil
	})
}

// put sends n bytes of the archive. A success's answer is the caller's to close.
func (f *cacheFlags) put(ctx context.Context, method, address string, headers []string, from, n int64) (*http.Response, error) {
	file, err := os.Open(f.file)
	if err != nil {
		return nil, localError{err}
	}
	defer file.Close()
	return call(ctx, method, address, headers, io.NewSectionReader(file, from, n), n)
}

// call sends a request with a body of n bytes, and returns the answer of a success, which is the caller's to close.
func call(ctx context.Context, method, address string, headers []string, body io.Reader, n int64) (*http.Response, error) {
	req, err := request(ctx, method, address, headers)
	if err != nil {
		return nil, err
	}
	req.Body, req.ContentLength = io.NopCloser(body), n
	if n == 0 {
		req.Body = http.NoBody
	}
	if req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/octet-stream")
	}
	resp, err := storeClient.Do(req)
	if err != nil {
		return nil, clean(err)
	}
	if resp.StatusCode/100 != 2 {
		defer discard(resp)
		return nil, newStatusError(resp)
	}
	return resp, nil
}

// gone tells whether the store says that it has no such archive. What can't be asked counts as there: the next job asks again.
func (f *cacheFlags) gone(ctx context.Context, check string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, check, nil)
	if err != nil {
		return false
	}
	resp, err := storeClient.Do(req)
	if err != nil {
		return false
	}
	defer discard(resp)
	return resp.StatusCode == http.StatusNotFound
}

// fetch takes the store's archive if it is newer than the local one. A store without it is an error, whatever lies here: the local
// one is then another's.
func (f *cacheFlags) fetch(ctx context.Context, c console) error {
	var modified time.Time
	err := replace(f.file, func(file *os.File) error {
		p := &partial{file: file}
		ctx, cancel := f.limited(ctx)
		defer cancel()
		return retry(ctx, c, func(ctx context.Context) (err error) {
			modified, err = f.fetchOnce(ctx, c, p)
			return err
		})
	})
	if errors.Is(err, errUpToDate) {
		c.say("%s is up to date", filepath.Base(f.file))
		return nil
	}
	if err == nil && !modified.IsZero() {
		_ = os.Chtimes(f.file, modified, modified) // else the next job fetches it again
	}
	return err
}

// errUpToDate is a store that has nothing newer.
var errUpToDate = errors.New("the archive is up to date")

// fetchOnce is one try. It returns when the store's archive was changed last; zero when the store does not say.
func (f *cacheFlags) fetchOnce(ctx context.Context, c console, p *partial) (time.Time, error) {
	req, err := request(ctx, http.MethodGet, f.url, f.headers)
	if err != nil {
		return time.Time{}, err
	}
	p.ask(req)
	resp, err := storeClient.Do(req)
	if err != nil {
		return time.Time{}, clean(err)
	}
	defer discard(resp)
	switch {
	case resp.StatusCode == http.StatusNotFound:
		return time.Time{}, localError{errors.New("file does not exist")}
	case !success(resp):
		return time.Time{}, newStatusError(resp)
	}
	modified, err := http.ParseTime(resp.Header.Get("Last-Modified"))
	if info, serr := os.Stat(f.file); serr == nil && err == nil && !modified.After(info.ModTime()) {
		return modified, localError{errUpToDate}
	}
	if p.n == 0 {
		c.say("Downloading %s from %s", filepath.Base(f.file), bare(f.url))
	}
	return modified, p.take(resp)
}

// storeClient follows redirects as they come: a pre-signed URL is its own permission, and nothing of ours goes along.
var storeClient = &http.Client{}

// limited is ctx with the limit for a transfer.
func (f *cacheFlags) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := minutes(f.timeout)
	return context.WithTimeoutCause(ctx, limit, fmt.Errorf("the transfer took longer than %s", limit))
}

// retry calls once until it worked, or another try would not help.
func retry(ctx context.Context, c console, once func(context.Context) error) error {
	for n := 1; ; n++ {
		err := once(ctx)
		var status *statusError
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.As(err, new(localError)), errors.As(err, &status) && status.code < 500, n >= storeTries:
			return fmt.Errorf("cache: %w", err)
		}
		c.say("WARNING: %v; retrying...", err)
		if err := pause(ctx, err, firstPause); err != nil {
			return err
		}
	}
}

func request(ctx context.Context, method, address string, headers []string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return nil, localError{clean(err)}
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		req.Header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	return req, nil
}

// bare is a URL without its query, which is the permission of a pre-signed one.
func bare(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "the store"
	}
	return u.Scheme + "://" + u.Host + u.Path
}

// clean takes the address, with its signature, out of an error.
func clean(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return fmt.Errorf("%s %s: %w", strings.ToLower(e.Op), bare(e.URL), e.Err)
	}
	return err
}
