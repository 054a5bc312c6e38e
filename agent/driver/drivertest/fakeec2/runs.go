package fakeec2

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

var (
	instanceID   = regexp.MustCompile(`<instanceId>(i-[0-9a-f]+)</instanceId>`)
	instanceSet  = regexp.MustCompile(`(?s)<instancesSet>.*</instancesSet>`)
	instanceEnds = regexp.MustCompile(`(?s)<instanceState>.*?</instanceState>`)
)

// runOnce is RunInstances with a client token: moto knows none.
// Source: EC2 Developer Guide, "Ensuring idempotency in Amazon EC2 API requests".
func (c *Cloud) runOnce(w http.ResponseWriter, form url.Values) {
	token, text := form.Get("ClientToken"), form.Encode()
	c.mu.Lock()
	had := c.tokens[token]
	mine := &run{form: text, done: make(chan struct{})}
	if had == nil {
		c.tokens[token] = mine
	}
	half := c.fault == "half-made"
	c.mu.Unlock()
	if had != nil {
		c.replay(w, had, text)
		return
	}
	defer close(mine.done)
	status, body, err := c.forward(form)
	id := instanceID.FindStringSubmatch(body)
	if err != nil || status != http.StatusOK || id == nil {
		c.mu.Lock()
		delete(c.tokens, token)
		c.mu.Unlock()
		w.WriteHeader(max(status, http.StatusBadRequest))
		_, _ = io.WriteString(w, body)
		return
	}
	c.mu.Lock()
	mine.instance = id[1]
	c.mu.Unlock()
	if err := c.power(id[1], form); err != nil {
		c.note("the instance %s does not answer: %v", id[1], err)
	}
	body = c.amended("RunInstances", body)
	if half { // the volume can't be made, which shows only later
		_, _, _ = c.forward(url.Values{"Action": {"TerminateInstances"}, "Version": {"2016-11-15"}, "InstanceId.1": {id[1]}})
		c.set(id[1], state{"48", "terminated", "Client.VolumeLimitExceeded", "Client.VolumeLimitExceeded: Volume limit exceeded"})
	}
	_, _ = io.WriteString(w, body)
}

// replay answers a call that was made before.
func (c *Cloud) replay(w http.ResponseWriter, had *run, text string) {
	<-had.done
	if had.form != text {
		refuse(w, http.StatusBadRequest, "IdempotentParameterMismatch", "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).")
		return
	}
	_, body, err := c.forward(url.Values{"Action": {"DescribeInstances"}, "Version": {"2016-11-15"}, "InstanceId.1": {had.instance}})
	set := instanceSet.FindString(c.amended("DescribeInstances", body))
	if err != nil || set == "" {
		refuse(w, http.StatusInternalServerError, "InternalError", "moto has lost an instance")
		return
	}
	_, _ = io.WriteString(w, "<RunInstancesResponse>"+set+"</RunInstancesResponse>")
}

// state is what the front says of an instance, whatever moto says.
type state struct{ code, name, reason, why string }

func (c *Cloud) set(id string, s state) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.states[id] = s
}

var ip = regexp.MustCompile(`<(privateIpAddress|ipAddress)>[^<]*</`)

// amended is an answer with what the front knows better.
func (c *Cloud) amended(action, body string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch action {
	case "DescribeSpotInstanceRequests":
		return "<DescribeSpotInstanceRequestsResponse>" + c.spotRequests() + "</DescribeSpotInstanceRequestsResponse>"
	case "RunInstances", "DescribeInstances":
	default:
		return body
	}
	// One piece for each instance: an item of instancesSet begins with its id.
	at := instanceID.FindAllStringSubmatchIndex(body, -1)
	if len(at) == 0 {
		return body
	}
	var out strings.Builder
	out.WriteString(body[:at[0][0]])
	for i, m := range at {
		end := len(body)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		out.WriteString(c.amend(body[m[2]:m[3]], body[m[0]:end]))
	}
	return out.String()
}

// amend changes what is said of one instance. It is called with mu held.
func (c *Cloud) amend(id, piece string) string {
	if s, ok := c.states[id]; ok {
		piece = instanceEnds.ReplaceAllLiteralString(piece, "<instanceState><code>"+s.code+"</code><name>"+s.name+"</name></instanceState>")
		if s.reason != "" {
			piece = regexp.MustCompile(`(?s)<stateReason>.*?</stateReason>`).ReplaceAllLiteralString(piece,
				"<stateReason><code>"+s.reason+"</code><message>"+s.why+"</message></stateReason>")
		}
	}
	if strings.Contains(piece, "<instanceLifecycle>spot<") {
		piece = strings.Replace(piece, "<instanceLifecycle>", "<spotInstanceRequestId>"+spotOf(id)+"</spotInstanceRequestId><instanceLifecycle>", 1)
	}
	if b, ok := c.running[id]; ok {
		piece = ip.ReplaceAllString(piece, "<$1>"+b.address+"</")
	} else if c.settings.Address != nil {
		if name := tagOf(piece, "millwright-machine"); name != "" {
			if address := c.settings.Address(name); address != "" {
				piece = ip.ReplaceAllString(piece, "<$1>"+address+"</")
			}
		}
	}
	return piece
}

// spotOf is the id of an instance's spot request.
func spotOf(id string) string { return "sir-" + strings.TrimPrefix(id, "i-")[:8] }

// spotRequests are those that AWS is about to end. It is called with mu held.
func (c *Cloud) spotRequests() string {
	var out strings.Builder
	for id := range c.ending {
		out.WriteString("<item><spotInstanceRequestId>" + spotOf(id) + "</spotInstanceRequestId><status><code>marked-for-termination</code></status></item>")
	}
	return "<spotInstanceRequestSet>" + out.String() + "</spotInstanceRequestSet>"
}

func tagOf(piece, key string) string {
	_, rest, _ := strings.Cut(piece, "<key>"+key+"</key><value>")
	value, _, _ := strings.Cut(rest, "</value>")
	return value
}
