package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/archive"
)

// Tries of an upload in all.
const (
	uploadTries            = 3
	uploadTriesUnavailable = 6 // while the coordinator answers 503
)

// firstPause is doubled after each try; tests shorten it.
var firstPause = time.Second

// uploader holds one upload.
type uploader struct {
	coordinatorFlags
	filesFlags
	provenance                   provenance
	name, expireIn, artifactType string
	timeout                      time.Duration
	format                       archive.Format
	level                        archive.Level

	console console
	client  *http.Client
	dir     string
	files   []archive.File
	keep    *packed // nil: packed anew for each try
}

// uploadArtifacts packs files and sends them at the same time. A try that fails is followed by one that sends what is packed: the coordinator
// takes no rest of a file. No file at all is an error line but no failure: the job has done what it was asked to.
func uploadArtifacts(ctx context.Context, args []string, c console) error {
	u := &uploader{console: c, level: archive.Level(os.Getenv("ARTIFACT_COMPRESSION_LEVEL"))}
	fs := newFlags("artifacts-uploader", c)
	u.coordinatorFlags.add(fs)
	u.filesFlags.add(fs)
	u.provenance.add(fs)
	format := ""
	fs.StringVar(&u.name, "name", "", "name of the archive, without extension")
	fs.StringVar(&u.expireIn, "expire-in", "", "when the coordinator may remove it")
	fs.StringVar(&format, "artifact-format", "", "zip, gzip or raw")
	fs.StringVar(&u.artifactType, "artifact-type", "", "archive, junit, dotenv and so on")
	fs.DurationVar(&u.timeout, "timeout", time.Hour, "limit for the whole upload")
	if err := parse(fs, args); err != nil {
		return err
	}
	base, err := u.check(fs)
	if err != nil {
		return err
	}
	if u.format, err = archive.ParseFormat(format, archive.Zip); err != nil {
		return usageError{err}
	}
	s, err := u.selection(c)
	if err != nil {
		return err
	}
	u.dir = s.Dir
	if u.files, err = archive.Find(ctx, s, c.say); err != nil {
		return err
	}
	if len(u.files) == 0 {
		c.say("ERROR: No files to upload")
		return nil
	}
	if u.provenance.wanted && u.format == archive.Zip {
		name := strings.TrimSuffix(u.fileName(), u.format.Extension()) + "-metadata.json"
		f, err := u.provenance.file(ctx, c, u.dir, name, u.id, u.files)
		if err != nil {
			return err
		}
		u.files = append(slices.DeleteFunc(u.files, func(o archive.File) bool { return o.Path == name }), f)
	}
	transport, err := u.transport()
	if err != nil {
		return err
	}
	defer transport.CloseIdleConnections()
	// A redirect is followed by us, with a body made anew.
	u.client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	ctx, cancel := context.WithTimeoutCause(ctx, u.timeout, fmt.Errorf("the upload took longer than %s", u.timeout))
	defer cancel()
	if kept, err := newPacked(ctx, u.pack); err == nil {
		defer kept.Close()
		u.keep = kept
	}
	return u.try(ctx, base)
}

// pack writes the archive.
func (u *uploader) pack(ctx context.Context, w io.Writer) error {
	return archive.Write(ctx, w, u.dir, u.files, u.format, u.level, u.console.say)
}

// try uploads until it worked, or another try would not help.
func (u *uploader) try(ctx context.Context, base *url.URL) error {
	wait := firstPause
	for n := 1; ; n++ {
		moved, err := u.once(ctx, base)
		kind := u.artifactType
		if kind == "" {
			kind = "archive"
		}
		if err == nil {
			u.console.say("Uploading artifacts as %q to coordinator... 201 Created", kind)
			return nil
		}
		u.console.say("WARNING: Uploading artifacts as %q to coordinator... %v", kind, err)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		tries := uploadTries
		switch {
		case errors.Is(err, errSpool) && u.keep != nil:
			u.keep, n = nil, n-1
			continue
		case errors.As(err, new(localError)):
			return err
		case isStatus(err, http.StatusForbidden):
			return errors.New("permission denied")
		case isStatus(err, http.StatusRequestEntityTooLarge):
			return errors.New("too large")
		case isStatus(err, http.StatusServiceUnavailable):
			tries = uploadTriesUnavailable
		}
		if n >= tries {
			return fmt.Errorf("artifacts: no success after %d tries: %w", n, err)
		}
		if moved != nil {
			base = moved
			continue
		}
		u.console.say("Retrying...")
		if err := pause(ctx, err, wait); err != nil {
			return err
		}
		wait = min(2*wait, 30*time.Second)
	}
}

// localError is a fault on this side of the network: another try would meet it again.
type localError struct{ error }

func (e localError) Unwrap() error { return e.error }

// once uploads. With a redirect it returns where the coordinator is now: the scheme and host of Location. Nothing else of a
// Location is taken, as what the job may upload where is the coordinator's to say.
func (u *uploader) once(ctx context.Context, base *url.URL) (moved *url.URL, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	body, form := u.body(ctx)
	defer body.Close()
	address := u.artifactsURL(base, map[string]string{
		"expire_in": u.expireIn, "artifact_format": string(u.format), "artifact_type": u.artifactType,
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, body)
	if err != nil {
		return nil, localError{err}
	}
	req.Header.Set("Content-Type", form)
	req.Header.Set("JOB-TOKEN", u.token)
	// Who refuses says so before gigabytes are sent.
	req.Header.Set("Expect", "100-continue")
	resp, err := u.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer discard(resp)
	if resp.StatusCode == http.StatusCreated {
		return nil, nil
	}
	err = newStatusError(resp)
	if resp.StatusCode == http.StatusTemporaryRedirect {
		if to, lerr := resp.Location(); lerr == nil && (to.Scheme == "http" || to.Scheme == "https") {
			moved = &url.URL{Scheme: to.Scheme, Host: to.Host, Path: base.Path}
		}
	}
	return moved, err
}

// body is the multipart form as a stream: one part with the archive, which is packed while it is read. Closing it waits for its goroutine.
func (u *uploader) body(ctx context.Context) (io.ReadCloser, string) {
	r, w := io.Pipe()
	form := multipart.NewWriter(w)
	done := make(chan struct{})
	go func() {
		defer close(done)
		part, err := form.CreateFormFile("file", u.fileName())
		if err == nil {
			if u.keep != nil {
				err = u.keep.writeTo(part)
			} else {
				err = u.pack(ctx, part)
			}
			if err != nil && !errors.Is(err, io.ErrClosedPipe) && ctx.Err() == nil {
				err = localError{err}
			}
		}
		if err == nil {
			err = form.Close()
		}
		w.CloseWithError(err) // nil is the end of the body
	}()
	return stream{r, done}, form.FormDataContentType()
}

// stream is what a goroutine writes, until done is closed.
type stream struct {
	*io.PipeReader
	done <-chan struct{}
}

func (s stream) Close() error {
	err := s.PipeReader.Close()
	<-s.done
	return err
}

// fileName is the base name that was asked for, with the format's extension.
func (u *uploader) fileName() string {
	name := filepath.Base(expandText(u.name, console{io.Discard, io.Discard}))
	if u.name == "" || name == "." || name == string(filepath.Separator) {
		name = "default"
	}
	return name + u.format.Extension()
}
