// Package remotecache signs the addresses of cache archives in object stores: S3 and what speaks its API, Google Cloud Storage, Azure
// Blob Storage.
//
// The agent holds the credentials and signs; the helper container gets a Link, which is good for one object, one kind of request and a
// limited time; Parts is the same for archives that are put there piece by piece. The package moves no archive itself. names.go says what an
// object is called, and one file for each store how its links are made.
package remotecache

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"reflect"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/hostfuncs/signin"
)

// Verb is what a link allows.
type Verb string

// The verbs.
const (
	Get  Verb = http.MethodGet
	Head Verb = http.MethodHead
	Put  Verb = http.MethodPut
)

// Object is one archive in a store.
type Object struct {
	Name  string        // as Name makes it
	Key   string        // the cache's key as people read it, kept as metadata of what is uploaded
	Valid time.Duration // how long a link has to hold; bounded by what the store allows
	Limit int64         // bytes that may be uploaded, where the store can check it; 0 is no limit
}

// Link is the address of an object with the permission to use it. Whoever has the URL has the permission.
type Link struct {
	URL    config.Secret
	Header []string // "Name: value", to be sent with the request; they hold no secret
}

// The bounds of a link's life. A store's own is a week for S3 and GCS.
const (
	minValid = time.Minute
	maxValid = 7 * 24 * time.Hour
)

func (o Object) valid() time.Duration { return min(max(o.Valid, minValid), maxValid) }

// signTime is how long a link may take: the credentials may have to be fetched first.
const signTime = 30 * time.Second

// signer makes the links of one store.
type signer interface {
	sign(ctx context.Context, verb Verb, o Object) (Link, error)
}

// Options are what a Store needs. The zero value works.
type Options struct {
	Now  func() time.Time // nil is time.Now
	HTTP *http.Client     // what credentials of Google and Azure are fetched through; nil is a client of the store's own
	// PartSize is the bytes of a part of what is uploaded in parts; 0 is 100 MiB. S3 wants 5 MiB at least.
	PartSize int64
	Roles    Roles // nil tells nobody
}

// Store makes links for whatever configuration it is given, and keeps the credentials that it fetched for each. It is safe for
// concurrent use.
type Store struct {
	now      func() time.Time
	client   *http.Client
	partSize int64
	roles    Roles

	mu      sync.Mutex // guards signers
	signers []known    // the one used last is at the end
}

// known is the signer of a configuration.
type known struct {
	config config.Cache
	signer signer
}

// maxKnown bounds the signers that are kept: configurations change, and those of before are of no use.
const maxKnown = 64

// New returns a store that has fetched nothing yet.
func New(o Options) *Store {
	s := &Store{now: o.Now, client: o.HTTP, partSize: cmp.Or(o.PartSize, partSize), roles: o.Roles}
	if s.roles == nil {
		s.roles = noRoles{}
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.client == nil {
		s.client = signin.Client(signTime)
	}
	return s
}

// Link signs the address of an object. It blocks while credentials are fetched, for half a minute at most. The error tells what is wrong
// with configuration or credentials, and holds neither.
func (s *Store) Link(ctx context.Context, c *config.Cache, verb Verb, o Object) (Link, error) {
	ctx, cancel := context.WithTimeout(ctx, signTime)
	defer cancel()
	signer, err := s.signer(c)
	if err != nil {
		return Link{}, err
	}
	l, err := signer.sign(ctx, verb, o)
	if err != nil {
		return Link{}, fmt.Errorf("%s: %w", c.Type, err)
	}
	return l, nil
}

// signer returns the one for that configuration.
func (s *Store) signer(c *config.Cache) (signer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, k := range s.signers {
		if reflect.DeepEqual(k.config, *c) {
			s.signers = append(append(s.signers[:i:i], s.signers[i+1:]...), k)
			return k.signer, nil
		}
	}
	made, err := s.make(c)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Type, err)
	}
	if len(s.signers) >= maxKnown {
		s.signers = s.signers[1:]
	}
	s.signers = append(s.signers, known{config: *c, signer: made})
	return made, nil
}

// make joins each Type of [runners.cache] to its signer.
func (s *Store) make(c *config.Cache) (signer, error) {
	switch c.Type {
	case "s3":
		return newS3(s, c.S3)
	case "gcs":
		return newGCS(s, c.GCS)
	case "azure":
		return newAzure(s, c.Azure)
	}
	return nil, fmt.Errorf("cache type %q is not known; use s3, gcs or azure", c.Type)
}
