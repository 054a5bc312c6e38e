package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
)

// parts is how the store takes an archive that is larger than one part. The zero value is a store that takes any in one request.
type parts struct {
	Kind       string   // "s3" or "azure"; "" for one request alone
	Limit      int64    // bytes that one request may bring; 0 is no limit
	Size       int64    // bytes of each part but the last
	URL        string   // with {part} and {signature}
	Signatures []string // one for each part; empty: none are needed
	Complete   string
}

// readParts reads what the agent says of it in the environment; "" is the zero value.
func readParts(text string) (parts, error) {
	var p parts
	if text == "" {
		return p, nil
	}
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return p, errors.New("CACHE_UPLOAD_PARTS can't be read") // it holds signatures
	}
	if p.Kind != "" && p.Kind != kindS3 && p.Kind != kindAzure || p.Kind != "" && (p.Size <= 0 || p.URL == "" || p.Complete == "") {
		return p, errors.New("CACHE_UPLOAD_PARTS says nothing of use")
	}
	return p, nil
}

// The kinds of stores, which differ in what a part is called and how it is told that all are there.
const (
	kindS3    = "s3"
	kindAzure = "azure"
)

// serve tells whether an archive goes in parts. The error is one that is too large either way, which shows before anything is sent.
func (p parts) serve(size int64) (inParts bool, err error) {
	switch most := p.Size * int64(len(p.Signatures)); {
	case p.Kind != "" && size > p.Size && len(p.Signatures) > 0 && size > most:
		return false, fmt.Errorf("the archive has %d bytes, and the store takes %d in parts; set MaxUploadedArchiveSize in [runners.cache] to what the largest one has, or cache less", size, most)
	case p.Kind != "" && size > p.Size:
		return true, nil
	case p.Limit > 0 && size > p.Limit:
		return false, fmt.Errorf("the archive has %d bytes, and the store takes %d in one request; for uploads in parts set RoleARN in [runners.cache.s3], or MaxUploadedArchiveSize in [runners.cache] to more than that, or cache less", size, p.Limit)
	}
	return false, nil
}

// sendParts sends the parts one after the other, and then tells the store that all are there. What breaks off costs the part that is under way.
func (f *cacheFlags) sendParts(ctx context.Context, c console, p parts) error {
	info, err := os.Stat(f.file)
	if err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	var tags []string
	for from := int64(0); from < info.Size(); from += p.Size {
		n := min(p.Size, info.Size()-from)
		number := len(tags) + 1
		var tag string
		err := retry(ctx, c, func(ctx context.Context) error {
			resp, err := f.put(ctx, http.MethodPut, p.address(number), nil, from, n)
			if err != nil {
				return fmt.Errorf("part %d: %w", number, err)
			}
			tag = resp.Header.Get("ETag")
			discard(resp)
			return nil
		})
		if err != nil {
			return err
		}
		tags = append(tags, tag)
	}
	return retry(ctx, c, func(ctx context.Context) error { return f.complete(ctx, p, tags) })
}

// address is where a part is put.
func (p parts) address(number int) string {
	name, signature := strconv.Itoa(number), ""
	if p.Kind == kindAzure {
		name = blockID(number)
	}
	if len(p.Signatures) > 0 {
		signature = p.Signatures[number-1]
	}
	return strings.NewReplacer("{part}", name, "{signature}", signature).Replace(p.URL)
}

// blockID is a block's name: Base64, of the same length for all.
func blockID(number int) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%06d", number))
}

// s3Complete and azureComplete are what the stores want to hear.
// Source: Amazon S3 API Reference, "CompleteMultipartUpload"; Azure Storage documentation, "Put Block List".
type s3Complete struct {
	XMLName xml.Name `xml:"CompleteMultipartUpload"`
	Part    []s3Part
}

type s3Part struct {
	PartNumber int
	ETag       string
}

type azureComplete struct {
	XMLName xml.Name `xml:"BlockList"`
	Latest  []string
}

// complete tells the store that all parts are there. S3 may need a while for them, and then say in a success that it was none.
func (f *cacheFlags) complete(ctx context.Context, p parts, tags []string) error {
	method, headers, all := http.MethodPost, []string{"Content-Type: application/xml"}, any(nil)
	switch p.Kind {
	case kindAzure:
		method = http.MethodPut
		headers = append(headers, "X-Ms-Blob-Content-Type: application/octet-stream")
		for _, h := range f.headers {
			if strings.HasPrefix(strings.ToLower(h), "x-ms-meta-") {
				headers = append(headers, h)
			}
		}
		list := azureComplete{}
		for i := range tags {
			list.Latest = append(list.Latest, blockID(i+1))
		}
		all = list
	default:
		list := s3Complete{}
		for i, tag := range tags {
			list.Part = append(list.Part, s3Part{i + 1, tag})
		}
		all = list
	}
	body, err := xml.Marshal(all)
	if err != nil {
		return localError{err}
	}
	resp, err := call(ctx, method, p.Complete, headers, bytes.NewReader(body), int64(len(body)))
	if err != nil {
		return fmt.Errorf("the end of %d parts: %w", len(tags), err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return fmt.Errorf("the end of %d parts: %w", len(tags), err)
	}
	var failed struct {
		XMLName xml.Name `xml:"Error"`
		Code    string
	}
	if xml.Unmarshal(said, &failed) == nil {
		return fmt.Errorf("the end of %d parts: the store says %s", len(tags), failed.Code)
	}
	return nil
}
