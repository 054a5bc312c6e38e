package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

// partial is a download that goes on where it was cut short, as long as the server says that it is the same file.
type partial struct {
	file *os.File
	n    int64  // bytes that are there
	etag string // of the file that they are from; "" when the rest can't be asked for
}

// ask makes r a request for what is missing.
// Source: RFC 9110, section 14.2 "Range" and 13.1.5 "If-Range".
func (p *partial) ask(r *http.Request) {
	if p.n > 0 && p.etag != "" {
		r.Header.Set("Range", fmt.Sprintf("bytes=%d-", p.n))
		r.Header.Set("If-Range", p.etag)
	}
}

// errOtherRest is a rest that was not asked for. The next try begins anew.
var errOtherRest = errors.New("the rest of the file does not fit what came before")

// take adds what a success brings: the rest, or all of it anew. A body that ends early is an error.
func (p *partial) take(resp *http.Response) error {
	etag := resp.Header.Get("ETag")
	switch {
	case resp.StatusCode != http.StatusPartialContent:
		if err := p.restart(); err != nil {
			return err
		}
	case etag != p.etag || !strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", p.n)):
		if err := p.restart(); err != nil {
			return err
		}
		return errOtherRest
	}
	if p.etag = etag; strings.HasPrefix(etag, "W/") || resp.Uncompressed {
		p.etag = "" // not the same to the byte, or other bytes than those that a range counts
	}
	n, err := io.Copy(writer{p.file}, resp.Body)
	p.n += n
	return err
}

func (p *partial) restart() error {
	p.n, p.etag = 0, ""
	if _, err := p.file.Seek(0, io.SeekStart); err != nil {
		return localError{err}
	}
	if err := p.file.Truncate(0); err != nil {
		return localError{err}
	}
	return nil
}

// success tells whether the answer brings the file, or its rest.
func success(resp *http.Response) bool {
	return resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusPartialContent && resp.Request.Header.Get("Range") != ""
}

// writer marks what goes wrong with the file, as opposed to the network.
type writer struct{ f *os.File }

func (w writer) Write(b []byte) (int, error) {
	n, err := w.f.Write(b)
	if err != nil {
		err = localError{err}
	}
	return n, err
}
