package remotecache

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/millwright-ci/millwright/agent/config"
)

// Parts is how an archive gets into a store that takes large ones in several requests only, or better. Whoever has it may put the one object
// there. The zero value is a store that takes any archive in one request.
type Parts struct {
	Kind  string // "s3" or "azure", whose ways of saying that all parts are there differ; "" for one request alone
	Limit int64  // bytes that one request may bring; 0 is no limit
	Size  int64  // bytes of each part but the last
	// URL is where a part is put: {part} stands for its number, from 1, or its name, {signature} for the one of Signatures. There may be as
	// many parts as there are signatures; without any there is no bound.
	URL        config.Secret
	Signatures []string
	Complete   config.Secret // where it is told that all parts are there

	abort string // how it is taken back; "" when there is nothing to take back
}

// partSize is the bytes of a part, maxParts how many there are: 104 GB in all. Each costs a signature in the script that uploads.
const (
	partSize = 100 << 20
	maxParts = 1000
)

// Text is what the helper reads.
func (p Parts) Text() config.Secret {
	if p.Kind == "" && p.Limit == 0 {
		return ""
	}
	data, err := json.Marshal(map[string]any{
		"kind": p.Kind, "limit": p.Limit, "size": p.Size, "url": p.URL.Reveal(), "signatures": p.Signatures, "complete": p.Complete.Reveal(),
	})
	if err != nil { // numbers and strings always can be
		return ""
	}
	return config.Secret(data)
}

// parter is a signer whose store takes archives in parts.
type parter interface {
	parts(ctx context.Context, o Object, size int64) (Parts, error)
}

// Parts makes ready an upload in parts, where the store has that and the configuration wants it. What was made ready must be given to Abort when the
// helper is done, whether it was used or not. It blocks as Link does.
func (s *Store) Parts(ctx context.Context, c *config.Cache, o Object) (Parts, error) {
	ctx, cancel := context.WithTimeout(ctx, signTime)
	defer cancel()
	signer, err := s.signer(c)
	if err != nil {
		return Parts{}, err
	}
	p, ok := signer.(parter)
	if !ok {
		return Parts{}, nil
	}
	parts, err := p.parts(ctx, o, s.partSize)
	if err != nil {
		return Parts{}, fmt.Errorf("%s: %w", c.Type, err)
	}
	return parts, nil
}

// Abort has the store forget the parts of an upload that has not come to its end. After one that has, it does nothing.
func (s *Store) Abort(ctx context.Context, p Parts) error {
	if p.abort == "" {
		return nil
	}
	return abortS3(ctx, p.abort)
}
