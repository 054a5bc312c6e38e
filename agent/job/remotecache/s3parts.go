package remotecache

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/agent/config"
)

// s3Limit is what one request may bring to S3, in bytes.
// Source: Amazon S3 User Guide, "Uploading objects".
const s3Limit = 5 << 30

// parts begins a multipart upload, and signs what its parts need. Each begun one costs requests and a permission to take it back, so only those
// have it who asked for more than one request can bring: with a role, as GitLab Runner wants it for multipart uploads, or with a limit for archives
// that is larger.
// Source: Amazon S3 API Reference, "CreateMultipartUpload" and following.
func (s *s3) parts(ctx context.Context, o Object, size int64) (Parts, error) {
	var none Parts
	if s.config.ServerAddress == "" { // others have limits of their own, or none
		none.Limit = s3Limit
	}
	if s.config.RoleARN == "" && s.config.UploadRoleARN == "" && o.Limit <= s3Limit {
		return none, nil
	}
	p := Parts{Kind: "s3", Limit: none.Limit, Size: size}
	count := maxParts
	if o.Limit > 0 {
		p.Size = max(p.Size, (o.Limit+maxParts-1)/maxParts)
		count = int((o.Limit + p.Size - 1) / p.Size)
	}
	l, err := s.presign(ctx, http.MethodPost, o, url.Values{"uploads": {""}})
	if err != nil {
		return none, err
	}
	id, err := initiate(ctx, l)
	if err != nil {
		return none, err
	}
	upload := url.Values{"uploadId": {id}}
	abort, err := s.presign(ctx, http.MethodDelete, o, upload)
	if err != nil {
		return none, err
	}
	p.abort = abort.URL.Reveal()
	complete, err := s.presign(ctx, http.MethodPost, o, upload)
	if err != nil {
		return none, err
	}
	p.Complete = complete.URL
	return p, s.signParts(ctx, &p, o, id, count)
}

// signParts signs the addresses of count parts. They differ in number and signature alone.
func (s *s3) signParts(ctx context.Context, p *Parts, o Object, id string, count int) error {
	sign, err := s.signing(ctx, http.MethodPut)
	if err != nil {
		return err
	}
	for n := 1; n <= count; n++ {
		number := strconv.Itoa(n)
		l, err := sign(ctx, o, url.Values{"uploadId": {id}, "partNumber": {number}}, nil)
		if err != nil {
			return err
		}
		head, signature, ok := strings.Cut(l.URL.Reveal(), "&X-Amz-Signature=")
		address := strings.Replace(head, "&partNumber="+number+"&", "&partNumber={part}&", 1)
		if !ok || address == head || strings.Contains(signature, "&") {
			return errors.New("the link of a part can't be signed")
		}
		p.URL = config.Secret(address + "&X-Amz-Signature={signature}")
		p.Signatures = append(p.Signatures, signature)
	}
	return nil
}

// initiate begins the upload and returns its id.
func initiate(ctx context.Context, l Link) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.URL.Reveal(), nil)
	if err != nil {
		return "", errors.New("the link of an upload in parts can't be signed")
	}
	for _, h := range l.Header {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	body, err := answer(plainClient, req)
	if err != nil {
		return "", fmt.Errorf("an upload in parts can't be begun: %w", bare(err))
	}
	var begun struct{ UploadId string } //nolint:revive // S3's name
	if err := xml.Unmarshal(body, &begun); err != nil || begun.UploadId == "" {
		return "", errors.New("an upload in parts can't be begun: the answer names none")
	}
	return begun.UploadId, nil
}

// abortS3 takes an upload back. One that is not there any more, as it has been completed, is no error.
func abortS3(ctx context.Context, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, address, nil)
	if err != nil {
		return errors.New("the link that ends an upload in parts can't be used")
	}
	resp, err := plainClient.Do(req)
	if err != nil {
		return bare(err)
	}
	resp.Body.Close()
	if resp.StatusCode/100 != 2 && resp.StatusCode != http.StatusNotFound {
		return fmt.Errorf("%s: %s; the permission s3:AbortMultipartUpload is needed", req.URL.Host, resp.Status)
	}
	return nil
}

// bare takes the address, with its signature, out of an error.
func bare(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}
