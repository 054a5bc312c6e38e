package credentials

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// newTestCache returns a cache over f in a bubble of virtual time, where the clock stands until something sleeps.
func newTestCache(t *testing.T, f fetch) *cache {
	h := newHost(Options{})
	t.Cleanup(h.close)
	return newCache(h, f, nil)
}

func TestCacheSharesOneFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fetches atomic.Int32
		c := newTestCache(t, func(context.Context, []string, string) (material, error) {
			n := fetches.Add(1)
			time.Sleep(time.Second)
			return material{token: fmt.Sprint("token ", n), expires: time.Now().Add(time.Hour)}, nil
		})
		var callers sync.WaitGroup
		for range 100 {
			callers.Go(func() {
				if m, err := c.get(t.Context(), cacheKey{scopes: "k"}, nil); err != nil || m.token != "token 1" {
					t.Errorf("got %q, %v", m.token, err)
				}
			})
		}
		callers.Wait()
		if n := fetches.Load(); n != 1 {
			t.Errorf("%d fetches for one token", n)
		}
	})
}

func TestCacheRenewsBeforeTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fetches atomic.Int32
		c := newTestCache(t, func(context.Context, []string, string) (material, error) {
			time.Sleep(time.Second)
			return material{token: fmt.Sprint(fetches.Add(1)), expires: time.Now().Add(time.Hour)}, nil
		})
		get := func(want string) {
			t.Helper()
			if m, err := c.get(t.Context(), cacheKey{scopes: "k"}, nil); err != nil || m.token != want {
				t.Errorf("got %q, %v; want %q", m.token, err, want)
			}
		}
		get("1")
		time.Sleep(54 * time.Minute)
		get("1")
		time.Sleep(2 * time.Minute) // within the last five
		begin := time.Now()
		get("1") // while the next one comes
		if time.Since(begin) > 0 {
			t.Error("waits although its token is good")
		}
		time.Sleep(2 * time.Second)
		get("2")
		time.Sleep(3 * time.Hour)
		get("3") // out of date: nothing to use meanwhile
	})
}

func TestCacheKeepsScopesApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCache(t, func(_ context.Context, scopes []string, _ string) (material, error) {
			return material{token: fmt.Sprint(scopes)}, nil
		})
		for _, scope := range []string{"a", "b", "a"} {
			if m, _ := c.get(t.Context(), cacheKey{scopes: scope}, []string{scope}); m.token != "["+scope+"]" {
				t.Errorf("the token of %s is %s", scope, m.token)
			}
		}
	})
}

func TestCacheFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("down")
		var fetches int
		fail := true
		c := newTestCache(t, func(context.Context, []string, string) (material, error) {
			fetches++
			if fail {
				return material{}, down
			}
			return material{token: "good", expires: time.Now().Add(10 * time.Minute)}, nil
		})
		for range 50 { // as a guest might
			if _, err := c.get(t.Context(), cacheKey{scopes: "k"}, nil); !errors.Is(err, down) {
				t.Fatal(err)
			}
		}
		if fetches != 1 {
			t.Errorf("%d sign-ins for a failure that just was", fetches)
		}
		fail = false
		time.Sleep(retryAfter)
		if m, err := c.get(t.Context(), cacheKey{scopes: "k"}, nil); err != nil || m.token != "good" {
			t.Errorf("after the pause: %v", err)
		}
		fail = true
		time.Sleep(9*time.Minute + 30*time.Second) // it can't be renewed, and holds for half a minute more
		if m, err := c.get(t.Context(), cacheKey{scopes: "k"}, nil); err != nil || m.token != "good" {
			t.Errorf("a token that still holds is lost: %v", err)
		}
		time.Sleep(time.Minute)
		if _, err := c.get(t.Context(), cacheKey{scopes: "k"}, nil); !errors.Is(err, down) {
			t.Errorf("a token that expired is used: %v", err)
		}
	})
}

func TestCacheRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fetches int
		c := newTestCache(t, func(context.Context, []string, string) (material, error) {
			fetches++
			return material{token: "t", expires: time.Now().Add(time.Hour)}, nil
		})
		get := func() {
			if _, err := c.get(t.Context(), cacheKey{scopes: "k"}, nil); err != nil {
				t.Fatal(err)
			}
		}
		get()
		c.drop("k")
		get()
		if fetches != 1 {
			t.Error("a fresh token that is refused is fetched again and again")
		}
		time.Sleep(minAge)
		c.drop("k")
		get()
		if fetches != 2 {
			t.Error("a token that was withdrawn stays")
		}
	})
}

func TestCacheEndsWithItsCallersAndItsStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(Options{})
		c := newCache(h, func(ctx context.Context, _ []string, _ string) (material, error) {
			<-ctx.Done()
			return material{}, ctx.Err()
		}, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.get(ctx, cacheKey{scopes: "k"}, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		begin := time.Now()
		h.close()
		if time.Since(begin) > time.Second {
			t.Error("close waits for the sign-in's deadline")
		}
		if _, err := c.get(t.Context(), cacheKey{scopes: "other"}, nil); !errors.Is(err, errClosed) {
			t.Errorf("after close: %v", err)
		}
	})
}

// TestCacheStale checks that a token which has expired when it comes is an error, and asked for once.
func TestCacheStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCache(t, func(context.Context, []string, string) (material, error) {
			return material{token: "old", expires: time.Now().Add(-time.Minute)}, nil
		})
		if _, err := c.get(t.Context(), cacheKey{scopes: "k"}, nil); !errors.Is(err, errStale) {
			t.Errorf("got %v", err)
		}
	})
}
