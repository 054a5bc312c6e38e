package docker

import (
	"crypto/md5" //nolint:gosec // names of volumes, as GitLab Runner makes them; nothing rests on it
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

const labelPrefix = "com.gitlab.gitlab-runner."

// ownLabel marks everything that one executor made, so that Cleanup finds it even when the answer to a create was lost.
const ownLabel = "io.millwright.job"

// agentLabel is whose jobs' things these are, temporaryLabel marks volumes that end with the job: see Sweep.
const (
	agentLabel     = "io.millwright.agent"
	temporaryLabel = "io.millwright.temporary"
)

// base is the stem of all container names of the job: lower case, RFC 1123, at most 63 characters.
func (n Name) base(random string) string {
	raw := fmt.Sprintf("runner-%s-project-%d-concurrent-%d", n.ShortToken, n.ProjectID, n.Slot)
	return dnsLabel(raw, 63-1-len(random)) + "-" + random
}

func (n Name) network() string {
	return strings.ToLower(fmt.Sprintf("runner-%s-%d-%d-%d", strings.Trim(n.ShortToken, "-_."), n.ProjectID, n.ProjectSlot, n.JobID))
}

// dnsLabel makes s a DNS label of at most size characters.
func dnsLabel(s string, size int) string {
	s = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '-'
	}, strings.ToLower(s))
	return strings.Trim(s[:min(len(s), size)], "-")
}

func random() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // it never fails, see crypto/rand
	return hex.EncodeToString(b[:])
}

// labels are those of GitLab Runner, so that its users' clean-up scripts and monitoring find the objects.
func (n Name) labels(kind, own string) map[string]string {
	values := map[string]string{
		"job.id":            strconv.FormatInt(n.JobID, 10),
		"job.url":           n.JobURL,
		"job.sha":           n.SHA,
		"job.before_sha":    n.BeforeSHA,
		"job.ref":           n.Ref,
		"job.timeout":       n.Timeout.String(),
		"project.id":        strconv.FormatInt(n.ProjectID, 10),
		"project.runner_id": strconv.Itoa(n.ProjectSlot),
		"pipeline.id":       strconv.FormatInt(n.PipelineID, 10),
		"runner.id":         n.ShortToken,
		"runner.local_id":   strconv.Itoa(n.Slot),
		"runner.system_id":  n.SystemID,
		"managed":           "true",
		"type":              kind,
	}
	out := make(map[string]string, len(values)+1)
	for k, v := range values {
		out[labelPrefix+k] = v
	}
	out[ownLabel] = own
	if n.Agent != "" {
		out[agentLabel] = n.Agent
	}
	return out
}

// cacheStem names the volumes that one project keeps on an engine: runner-<hash>. A new token gives new volumes.
func (n Name) cacheStem() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s-%s-%d-%d", n.Token.Reveal(), n.SystemID, n.ProjectID, n.ProjectSlot))
	return "runner-" + hex.EncodeToString(sum[:16])
}

// cacheName is the last part of a cache volume's name: the MD5 of its destination, with a suffix for protected refs.
func cacheName(destination string, protected bool) string {
	sum := md5.Sum([]byte(destination)) //nolint:gosec // see the import
	name := hex.EncodeToString(sum[:])
	if protected {
		name += "-protected"
	}
	return name
}
