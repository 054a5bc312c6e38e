package main

import (
	"errors"
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// queueDepth wants a machine for each job that waits at GitLab, beside those that the policies before it want.
type queueDepth struct{}

// Describe places the policy after those that count what is here already. The host fills the hostname with the configured URL.
func (queueDepth) Describe() abi.Describe {
	return abi.Describe{
		Name:      "queue-depth",
		Version:   "1.0.0",
		Summary:   "holds a machine for each job that waits at GitLab",
		Hostnames: []string{"{url}"},
		Position:  200,
	}
}

// Validate checks what queue-depth.toml says.
func (queueDepth) Validate(r abi.ValidateRequest) []abi.Problem {
	_, problems := parse(r.Config)
	return problems
}

// Decide adds the queue to what is wanted already. A queue that is not known, or was seen too long ago, counts for nothing.
func (queueDepth) Decide(s abi.Snapshot) (abi.Proposal, error) {
	c, problems := parse(s.Config)
	if len(problems) > 0 {
		return abi.Proposal{}, errors.New(problems[0].Option + ": " + problems[0].Message)
	}
	q, ok := readQueue(s.Observed)
	if !ok {
		return abi.Proposal{Reason: "the queue at GitLab is not known yet"}, nil
	}
	age := int((s.NowUnixMS - q.atUnixMS) / 1000)
	if age > c.staleS {
		return abi.Proposal{Reason: "the queue at GitLab was seen last " + strconv.Itoa(age) + " s ago, which is too long" + q.waiting(s.NowUnixMS)}, nil
	}
	base := s.Runner.IdleCount
	if s.Proposal.IdleTarget != nil {
		base = *s.Proposal.IdleTarget
	}
	extra := (q.pending + c.jobsPerMachine - 1) / c.jobsPerMachine
	if c.maxExtra > 0 {
		extra = min(extra, c.maxExtra)
	}
	target := max(base, 0) + extra
	return abi.Proposal{
		IdleTarget: &target,
		Metrics:    map[string]float64{"pending": float64(q.pending)},
		Reason: q.words() + " wait at GitLab (" + strconv.Itoa(max(age, 0)) + " s ago): " + strconv.Itoa(extra) + " machines beside the " +
			strconv.Itoa(base) + " wanted" + q.waiting(s.NowUnixMS),
	}, nil
}

// queue is what was observed.
type queue struct {
	atUnixMS        int64 // when the jobs were counted
	pending         int   // jobs that wait and that the runner may take
	more            bool  // there are more than were looked at
	failed          []string
	waitUntilUnixMS int64 // GitLab wants no request before; 0 when it wants some
}

// readQueue reads what this version or another one observed.
func readQueue(observed abi.Raw) (queue, bool) {
	at, ok := observed.Field("at_unix_ms").Int()
	q := queue{atUnixMS: int64(at)}
	pending, hasPending := observed.Field("pending").Int()
	q.pending = max(pending, 0)
	q.more, _ = observed.Field("more").Bool()
	until, _ := observed.Field("wait_until_unix_ms").Int()
	q.waitUntilUnixMS = int64(until)
	for _, f := range observed.Field("failed").Items() {
		if text, isText := f.Text(); isText {
			q.failed = append(q.failed, text)
		}
	}
	return q, ok && hasPending
}

// raw writes it as readQueue reads it. Without a time nothing was counted yet.
func (q queue) raw() abi.Raw {
	out := []byte(`{"wait_until_unix_ms":` + strconv.FormatInt(q.waitUntilUnixMS, 10))
	if q.atUnixMS > 0 {
		out = append(out, `,"at_unix_ms":`+strconv.FormatInt(q.atUnixMS, 10)+`,"pending":`+strconv.Itoa(q.pending)+`,"more":`+strconv.FormatBool(q.more)...)
	}
	out = append(out, `,"failed":[`...)
	for i, f := range q.failed {
		if i > 0 {
			out = append(out, ',')
		}
		out = abi.AppendString(out, f)
	}
	return append(out, "]}"...)
}

// words tell how many jobs there are.
func (q queue) words() string {
	out := strconv.Itoa(q.pending) + " jobs"
	if q.more {
		out = "at least " + out
	}
	if len(q.failed) > 0 {
		out += " (without " + strings.Join(q.failed, ", ") + ")"
	}
	return out
}

// waiting tells why nothing newer comes.
func (q queue) waiting(nowUnixMS int64) string {
	if left := (q.waitUntilUnixMS - nowUnixMS) / 1000; left > 0 {
		return "; GitLab asks for no request within " + strconv.FormatInt(left, 10) + " s"
	}
	return ""
}
