package main

import (
	"errors"
	"net/url"
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/host"
)

// Bounds of an observation.
const (
	perPage    = 50      // jobs: some hold long commit messages, and a guest's memory is small
	deadlineMS = 3000    // of a request; the call has 10 s
	defaultS   = 60      // how long to wait when GitLab does not say
	mostS      = 60 * 60 // how long to wait at most
	mostFailed = 3       // failures that are told
)

// Observe counts the jobs that wait. One project that can't be read is left out and named; when none can, the count before stays and ages.
// While GitLab asks for patience nothing is sent.
func (queueDepth) Observe(r abi.ObserveRequest) (abi.Raw, error) {
	c, problems := parse(r.Config)
	if len(problems) > 0 {
		return nil, errors.New(problems[0].Option + ": " + problems[0].Message)
	}
	last, _ := readQueue(r.Observed)
	if r.NowUnixMS < last.waitUntilUnixMS {
		return nil, nil
	}
	g := gitlab{config: c, left: c.maxRequests, now: r.NowUnixMS}
	now := g.look()
	switch {
	case g.waitS > 0:
		last.waitUntilUnixMS = r.NowUnixMS + int64(g.waitS)*1000
		host.Log(host.LevelWarn, "GitLab limits the rate of requests", map[string]string{"wait_s": strconv.Itoa(g.waitS)})
		return last.raw(), nil
	case g.answers == 0 && len(now.failed) > 0:
		return nil, errors.New(strings.Join(now.failed, "; "))
	}
	now.atUnixMS = r.NowUnixMS
	return now.raw(), nil
}

// gitlab is GitLab's REST API during one observation.
// Source: https://docs.gitlab.com/api/rest/, https://docs.gitlab.com/api/jobs/, https://docs.gitlab.com/api/groups/, https://docs.gitlab.com/api/runners/
type gitlab struct {
	config  config
	now     int64
	left    int  // requests
	answers int  // lists that were read to the end
	waitS   int  // GitLab asks for that much patience
	gone    bool // nothing more is sent: GitLab does not answer, or asks for patience
}

// look counts the jobs of all projects.
func (g *gitlab) look() queue {
	var q queue
	fail := func(what string, err error) {
		if len(q.failed) < mostFailed {
			q.failed = append(q.failed, what+": "+err.Error())
		}
	}
	if g.config.runner > 0 {
		if err := g.runner(); err != nil {
			fail("runner "+strconv.Itoa(g.config.runner), err) // its tags are those of the configuration then
		}
	}
	projects := append([]string(nil), g.config.projects...)
	for _, group := range g.config.groups {
		if g.gone {
			break
		}
		err := g.pages("/groups/"+url.PathEscape(group)+"/projects?include_subgroups=true&with_shared=false&archived=false&simple=true&per_page=100", &q,
			func(project abi.Raw, _ string) bool {
				if id, ok := project.Field("id").Int(); ok && !contains(projects, strconv.Itoa(id)) {
					projects = append(projects, strconv.Itoa(id))
				}
				return true
			})
		if err != nil {
			fail("group "+group, err)
		}
	}
	for _, project := range projects {
		if g.gone {
			break
		}
		if err := g.project(project, &q); err != nil {
			fail("project "+project, err)
		}
	}
	return q
}

// runner takes over what GitLab knows of the runner.
func (g *gitlab) runner() error {
	answer, err := g.get("/runners/" + strconv.Itoa(g.config.runner))
	if err != nil {
		return err
	}
	body := abi.Raw(answer.Body)
	g.config.tags = nil
	for _, t := range body.Field("tag_list").Items() {
		if tag, ok := t.Text(); ok {
			g.config.tags = append(g.config.tags, tag)
		}
	}
	g.config.untagged, _ = body.Field("run_untagged").Bool()
	return nil
}

// project adds a project's jobs. GitLab leaves out X-Total where counting would cost it too much, as it does for jobs: then they are read
// page by page. Where it is there and the runner takes all jobs, one page is enough.
func (g *gitlab) project(id string, q *queue) error {
	count, total := 0, -1
	err := g.pages("/projects/"+url.PathEscape(id)+"/jobs?scope%5B%5D=pending&pagination=keyset&order_by=id&sort=desc&per_page="+strconv.Itoa(perPage), q,
		func(job abi.Raw, xTotal string) bool {
			if n, err := strconv.Atoi(xTotal); err == nil && len(g.config.tags) == 0 && g.config.untagged && g.config.runner == 0 {
				total = n
				return false
			}
			if g.takes(job) {
				count++
			}
			return true
		})
	if total >= 0 {
		count = total
	}
	q.pending += count
	return err
}

// takes tells whether the runner may take a job: it must have all tags of the job, and be meant for jobs without any. A runner of which
// nothing is known takes all.
func (g *gitlab) takes(job abi.Raw) bool {
	tags := job.Field("tag_list").Items()
	if len(tags) == 0 {
		return g.config.untagged
	}
	if len(g.config.tags) == 0 && g.config.runner == 0 {
		return true
	}
	for _, t := range tags {
		if tag, ok := t.Text(); ok && !contains(g.config.tags, tag) {
			return false
		}
	}
	return true
}

// pages reads a list to its end, or until each says no.
func (g *gitlab) pages(path string, q *queue, each func(item abi.Raw, xTotal string) bool) error {
	for path != "" {
		if g.left == 0 {
			q.more = true
			return nil
		}
		answer, err := g.get(path)
		if err != nil {
			return err
		}
		for _, item := range abi.Raw(answer.Body).Items() {
			if !each(item, header(answer, "X-Total")) {
				g.answers++
				return nil
			}
		}
		path = next(path, answer)
	}
	g.answers++
	return nil
}

// next returns the path of the next page, "" for none. Of the link only its query counts: its host is what GitLab believes to be its own.
func next(path string, answer abi.HTTPResponse) string {
	base, _, _ := strings.Cut(path, "?")
	for _, link := range strings.Split(header(answer, "Link"), ",") {
		target, rel, _ := strings.Cut(link, ";")
		if _, query, found := strings.Cut(strings.Trim(target, " <>"), "?"); found && strings.Contains(rel, `rel="next"`) {
			return base + "?" + query
		}
	}
	return ""
}

// get sends one request. An error tells what to do about it.
func (g *gitlab) get(path string) (abi.HTTPResponse, error) {
	g.left--
	request := abi.HTTPRequest{URL: g.config.url + "/api/v4" + path, Headers: map[string][]string{"Accept": {"application/json"}}, DeadlineMS: deadlineMS}
	if g.config.credential != "" {
		request.Sign = &abi.Sign{Scheme: g.config.scheme, Credential: g.config.credential}
	}
	answer := host.HTTPSend(request)
	if answer.Error != nil {
		g.gone = true
		return answer, errors.New(answer.Error.Kind + ": " + answer.Error.Message)
	}
	switch status := "status " + strconv.Itoa(answer.Status); answer.Status {
	case 200:
		return answer, nil
	case 401, 403:
		return answer, errors.New(status + "; the token needs the scope read_api and a role that reads the project's jobs")
	case 404:
		return answer, errors.New(status + "; it is not there, or the token may not see it")
	case 429:
		g.waitS, g.gone = g.patience(answer), true
		return answer, errors.New(status)
	default:
		return answer, errors.New(status)
	}
}

// patience returns for how many seconds GitLab wants no request. Source: https://docs.gitlab.com/administration/settings/user_and_ip_rate_limits/
func (g *gitlab) patience(answer abi.HTTPResponse) int {
	wait := defaultS
	if n, err := strconv.Atoi(header(answer, "Retry-After")); err == nil {
		wait = n
	} else if at, err := strconv.ParseInt(header(answer, "RateLimit-Reset"), 10, 64); err == nil {
		wait = int(at - g.now/1000)
	}
	return min(max(wait, 1), mostS)
}

// header returns the first value of a header, in whatever case its name is written.
func header(answer abi.HTTPResponse, name string) string {
	for n, values := range answer.Headers {
		if strings.EqualFold(n, name) && len(values) > 0 {
			return values[0]
		}
	}
	return ""
}
