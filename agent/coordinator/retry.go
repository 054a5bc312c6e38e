package coordinator

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// The retries of every call. A call that met no status at all is not repeated here: a job may have been handed out to it, and whoever
// calls has a loop of its own.
const (
	maxAttempts = 5
	firstWait   = 100 * time.Millisecond
	maxWait     = time.Minute
	// maxToldWait bounds the wait that a coordinator asks for. GitLab asks for one minute during database migrations.
	maxToldWait = 2 * time.Minute
)

func retriable(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return status >= 512
}

// untilRetry is how long to wait after the attempt of that number, from 1 on: until RateLimit-ResetTime, for Retry-After (seconds or a date,
// RFC 9110 §10.2.3), or 100 ms doubled each time, with jitter.
func untilRetry(h http.Header, attempt int, now time.Time) time.Duration {
	if at, err := http.ParseTime(h.Get("RateLimit-ResetTime")); err == nil && at.After(now) {
		return min(at.Sub(now), maxToldWait)
	}
	told := h.Get("Retry-After")
	if s, err := strconv.Atoi(told); err == nil && s >= 0 {
		return min(time.Duration(min(s, int(maxToldWait/time.Second)))*time.Second, maxToldWait)
	}
	if at, err := http.ParseTime(told); err == nil && at.After(now) {
		return min(at.Sub(now), maxToldWait)
	}
	d := min(firstWait<<(attempt-1), maxWait)
	return d/2 + rand.N(d/2)
}

type (
	retryKey struct{}
	pollKey  struct{}
)

// OnRetriable returns a context whose calls report each retriable status (408, 429, 5xx) that they meet, even when a later attempt goes
// well. The feed asks less often then.
func OnRetriable(ctx context.Context, met func()) context.Context {
	return context.WithValue(ctx, retryKey{}, met)
}

// OnPolled returns a context whose job requests report that the coordinator held them open until its queue moved or its patience ended (long
// polling). Source: GitLab Workhorse, which says so in the header Gitlab-Ci-Builds-Polling.
func OnPolled(ctx context.Context, met func()) context.Context {
	return context.WithValue(ctx, pollKey{}, met)
}

func polled(ctx context.Context, h http.Header) {
	if met, ok := ctx.Value(pollKey{}).(func()); ok && h.Get("Gitlab-Ci-Builds-Polling") == "yes" {
		met()
	}
}

func retriableMet(ctx context.Context) {
	if met, ok := ctx.Value(retryKey{}).(func()); ok {
		met()
	}
}
