package remotecache

import (
	"context"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Roles is told how the keys of roles are come by. Its methods are called by several jobs at once.
type Roles interface {
	Waited(time.Duration)       // until it was a request's turn
	Asking(n int)               // one request more, or less, is under way
	Asked(time.Duration, error) // how a request ended
	Cached(hit bool)            // whether keys were there already
	Kept(n int)                 // the keys of one role more, or less, are kept
}

// noRoles is for who does not want to know.
type noRoles struct{}

func (noRoles) Waited(time.Duration)       {}
func (noRoles) Asking(int)                 {}
func (noRoles) Asked(time.Duration, error) {}
func (noRoles) Cached(bool)                {}
func (noRoles) Kept(int)                   {}

// asked is a provider that tells of each request, of which so many go at the same time and no more.
type asked struct {
	aws.CredentialsProvider
	roles Roles
	slots chan struct{} // nil is no bound
}

// missed is the key under which a request for keys carries a *bool, which is set when they had to be asked for.
type missed struct{}

func (a asked) Retrieve(ctx context.Context) (aws.Credentials, error) {
	if miss, ok := ctx.Value(missed{}).(*bool); ok {
		*miss = true
	}
	start := time.Now()
	if a.slots != nil {
		select {
		case a.slots <- struct{}{}:
			defer func() { <-a.slots }()
		case <-ctx.Done():
			return aws.Credentials{}, ctx.Err()
		}
	}
	a.roles.Waited(time.Since(start))
	a.roles.Asking(1)
	defer a.roles.Asking(-1)
	start = time.Now()
	keys, err := a.CredentialsProvider.Retrieve(ctx)
	a.roles.Asked(time.Since(start), err)
	return keys, err
}

// kept is a provider that keeps a role's keys until little is left of their life.
type kept struct {
	cache *aws.CredentialsCache
	roles Roles

	once sync.Once // for the first keys
}

func (k *kept) Retrieve(ctx context.Context) (aws.Credentials, error) {
	miss := false
	// The library may go on with the request after ctx has ended, for another who wants the same; it waits for the flag until then.
	keys, err := k.cache.Retrieve(context.WithValue(ctx, missed{}, &miss))
	if err != nil {
		return keys, err
	}
	k.roles.Cached(!miss)
	k.once.Do(func() { k.roles.Kept(1) })
	return keys, nil
}
