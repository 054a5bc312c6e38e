package job

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/job/remotecache"
	"github.com/millwright-ci/millwright/agent/job/shell"
)

// defaultCacheTimeout is CACHE_REQUEST_TIMEOUT's default, in minutes.
const defaultCacheTimeout = 10

func (r *run) cacheTimeout() int {
	n, err := strconv.Atoi(r.vars.get("CACHE_REQUEST_TIMEOUT"))
	if err != nil || n <= 0 {
		return defaultCacheTimeout
	}
	return n
}

// cachesToRestore settles the job's caches for reading.
func (r *run) cachesToRestore() ([]shell.Cache, error) {
	return r.caches("cache extraction", func(c coordinator.Cache, policy, key string) (use bool, skip string) {
		return policy != "push", "Not downloading cache " + key + " due to policy"
	})
}

// cachesToSave settles those of the job's caches that are due.
func (r *run) cachesToSave(ok bool) ([]shell.Cache, error) {
	var due []coordinator.Cache
	for _, c := range r.p.Job.Cache {
		if (len(c.Paths) > 0 || c.Untracked) && fits(c.When, ok) {
			due = append(due, c)
		}
	}
	out, err := r.cachesOf(due, "cache creation", func(c coordinator.Cache, policy, key string) (use bool, skip string) {
		return policy != "pull", "Not uploading cache " + key + " due to policy"
	})
	for i := range out {
		out[i].Archives = out[i].Archives[:min(1, len(out[i].Archives))] // the others are for reading
	}
	return out, err
}

type cachePick func(c coordinator.Cache, policy, key string) (use bool, skip string)

func (r *run) caches(what string, pick cachePick) ([]shell.Cache, error) {
	return r.cachesOf(r.p.Job.Cache, what, pick)
}

func (r *run) cachesOf(list []coordinator.Cache, what string, pick cachePick) ([]shell.Cache, error) {
	var out []shell.Cache
	for _, c := range list {
		policy, err := r.cachePolicy(c)
		if err != nil {
			return nil, err
		}
		one := shell.Cache{Paths: c.Paths, Untracked: c.Untracked}
		key := orElse(r.vars.expand(c.Key), r.p.Job.Info.Name+"/"+r.p.Job.Git.Ref)
		clean, err := r.cacheKey(key)
		if err != nil {
			one.Skip = fmt.Sprintf("Skipping %s due to %v", what, err)
			out = append(out, one)
			continue
		}
		one.Key = clean
		one.Archives = []shell.Archive{r.cacheArchive(clean)}
		if use, skip := pick(c, policy, clean); !use {
			one.Skip = skip
		}
		for _, fallback := range r.fallbackKeys(c) {
			if clean, err := r.cacheKey(fallback); err == nil && clean != one.Key {
				one.Archives = append(one.Archives, r.cacheArchive(clean))
			}
		}
		out = append(out, one)
	}
	return out, nil
}

func (r *run) cachePolicy(c coordinator.Cache) (string, error) {
	switch policy := orElse(r.vars.expand(c.Policy), "pull-push"); policy {
	case "pull", "push", "pull-push":
		return policy, nil
	default:
		return "", fmt.Errorf("unknown cache policy %q; use pull, push or pull-push", policy)
	}
}

// fallbackKeys are the keys to try in order when the cache's own is not there.
func (r *run) fallbackKeys(c coordinator.Cache) []string {
	var out []string
	for _, key := range append(append([]string(nil), c.FallbackKeys...), "$CACHE_FALLBACK_KEY") {
		if key = r.vars.expand(key); key == "" {
			continue
		}
		out = append(out, key)
	}
	if last := r.vars.get("CACHE_FALLBACK_KEY"); strings.HasSuffix(last, "-protected") && len(out) > 0 {
		r.trace.Warningln(fmt.Sprintf("CACHE_FALLBACK_KEY %q not allowed to end in -protected", last))
		out = out[:len(out)-1]
	}
	return out
}

// cacheKey makes a key one that names a folder below the cache directory and nowhere else.
func (r *run) cacheKey(key string) (string, error) {
	if r.flags["FF_HASH_CACHE_KEYS"] {
		return key, nil // it is hashed, whatever it holds
	}
	clean, ok := cleanKey(key)
	if !ok {
		return "", errors.New("cache key " + strconv.Quote(key) + " could not be sanitized")
	}
	if clean != key {
		r.trace.Warningln(fmt.Sprintf("cache key %q sanitized to %q", key, clean))
	}
	return clean, nil
}

// cleanKey is a key as a path that leads nowhere else; false when nothing is left of it.
func cleanKey(key string) (string, bool) {
	clean := strings.NewReplacer("%2f", "/", "%2F", "/", "%2e", ".", "%2E", ".", `\`, "/").Replace(key)
	clean = strings.TrimPrefix(path.Clean("/"+clean), "/")
	clean = strings.TrimRight(clean, " \t\r\n")
	return clean, clean != "" && clean != "." && clean != ".."
}

// cacheArchive is where the archive of a key lies. One to read has another place too: the one by the other setting of FF_HASH_CACHE_KEYS,
// so that switching the flag loses no cache.
func (r *run) cacheArchive(key string) shell.Archive {
	hashed := r.flags["FF_HASH_CACHE_KEYS"]
	a := shell.Archive{Key: key, Place: r.cachePlace(key, hashed)}
	if clean, ok := cleanKey(key); hashed && ok {
		a.Other = r.cachePlace(clean, false)
	} else if !hashed {
		a.Other = r.cachePlace(key, true)
	}
	return a
}

func (r *run) cachePlace(key string, hashed bool) shell.Place {
	folder := key
	if hashed {
		folder = remotecache.Hash(key)
	}
	p := shell.Place{File: path.Join(r.paths.cache, repoPath(r.p.Job.Git.RepoURL), folder, "cache.zip")}
	if r.remoteCache() {
		var err error
		if p.Object, err = remotecache.Name(&r.p.Runner.Cache, r.p.Runner.Token, r.p.Job.Info.ProjectID, key, hashed); err != nil {
			r.log.Warn("a cache stays on its machine", "error", err)
		}
	}
	return p
}

// protectedCache tells whether the job's volumes are those of protected refs.
func (r *run) protectedCache() bool {
	if p := r.p.Job.Git.Protected; p != nil && *p || p == nil && r.p.Job.Variables.Get("CI_COMMIT_REF_PROTECTED") == "true" {
		return true
	}
	for _, c := range r.p.Job.Cache {
		if strings.HasSuffix(c.Key, "-protected") && !strings.HasSuffix(c.Key, "-non_protected") {
			return true
		}
	}
	return false
}
