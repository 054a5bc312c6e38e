package job

import (
	"context"
	"slices"
	"time"

	"github.com/millwright-ci/millwright/agent/job/remotecache"
	"github.com/millwright-ci/millwright/agent/job/shell"
)

// remoteCache tells whether the runner's caches go to a store. A type that is not known counts as none, as the configuration's check says.
func (r *run) remoteCache() bool {
	return slices.Contains([]string{"s3", "gcs", "azure"}, r.p.Runner.Cache.Type)
}

// storeProblem is what the trace says when no links can be had. Why is the operator's to know: it may name accounts and roles.
const storeProblem = "The cache server can't be used: its addresses could not be signed, and the agent's log says why. Local caches are used instead."

// transfer settles how the archives of a stage come and go: it puts the store's links into caches. A store that can't be used costs a
// warning, never the job. A stage that an agent before has run needs no links.
func (r *run) transfer(ctx context.Context, stage string, caches []shell.Cache, sign func(context.Context, *shell.Archive) error) shell.Transfer {
	t := shell.Transfer{Minutes: r.cacheTimeout(), MaxUpload: r.p.Runner.Cache.MaxUploadedArchiveSize}
	if !r.remoteCache() || r.upcoming(stage) {
		return t
	}
	for i := range caches {
		if caches[i].Skip != "" {
			continue
		}
		for j := range caches[i].Archives {
			if err := sign(ctx, &caches[i].Archives[j]); err != nil && ctx.Err() == nil {
				r.log.Warn("the cache server can't be used; local caches are used instead", "type", r.p.Runner.Cache.Type, "error", err)
				t.Problem = storeProblem
				return t // the next one would wait for the same
			}
		}
	}
	return t
}

// linkDownloads lets an archive be read from the store.
func (r *run) linkDownloads(ctx context.Context, a *shell.Archive) error {
	for _, p := range []*shell.Place{&a.Place, &a.Other} {
		if p.Object == "" {
			continue
		}
		l, err := r.link(ctx, remotecache.Get, a.Key, p.Object)
		if err != nil {
			return err
		}
		p.Download = l.URL.Reveal()
	}
	return nil
}

// linkUploads lets an archive be looked for in the store, and replaced.
func (r *run) linkUploads(ctx context.Context, a *shell.Archive) error {
	if a.Object == "" {
		return nil
	}
	check, err := r.link(ctx, remotecache.Head, a.Key, a.Object)
	if err != nil {
		return err
	}
	upload, err := r.link(ctx, remotecache.Put, a.Key, a.Object)
	if err != nil {
		return err
	}
	a.Check, a.Upload, a.UploadHeader = check.URL.Reveal(), upload.URL.Reveal(), upload.Header
	parts, err := r.p.Caches.Parts(ctx, &r.p.Runner.Cache, r.object(a.Key, a.Object))
	if err != nil {
		r.log.Warn("caches can't be uploaded in parts; one request brings each", "type", r.p.Runner.Cache.Type, "error", err)
	}
	r.uploads = append(r.uploads, parts)
	a.UploadParts = parts.Text().Reveal()
	return nil
}

// abortLimit bounds what endUploads does.
const abortLimit = 10 * time.Second

// endUploads has the store forget the parts of uploads that were not needed, or have failed. The script's own links serve an agent that comes
// next.
func (r *run) endUploads(ctx context.Context) {
	if left(ctx) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortLimit)
	defer cancel()
	for _, p := range r.uploads {
		if err := r.p.Caches.Abort(ctx, p); err != nil {
			r.log.Warn("the parts of a cache may stay in the store; a lifecycle rule of the bucket clears them away", "error", err)
		}
	}
	r.uploads = nil
}

func (r *run) link(ctx context.Context, verb remotecache.Verb, key, object string) (remotecache.Link, error) {
	return r.p.Caches.Link(ctx, &r.p.Runner.Cache, verb, r.object(key, object))
}

func (r *run) object(key, name string) remotecache.Object {
	return remotecache.Object{Name: name, Key: key, Valid: r.timeout, Limit: r.p.Runner.Cache.MaxUploadedArchiveSize}
}
