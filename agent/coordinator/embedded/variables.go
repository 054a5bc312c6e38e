package embedded

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/ciyaml"
	"github.com/millwright-ci/millwright/agent/coordinator"
)

// compatibility is the version of GitLab that this coordinator behaves like.
const compatibility = "19.4.0"

// Ids that a real coordinator would have many of.
const (
	projectID   = 1
	namespaceID = 1
	userID      = 1
)

// list builds variables in order.
type list struct{ coordinator.Variables }

func (l *list) public(pairs ...string) {
	for i := 0; i+1 < len(pairs); i += 2 {
		l.Variables = append(l.Variables, coordinator.Variable{Key: pairs[i], Value: pairs[i+1], Public: true})
	}
}

func (l *list) secret(key, value string) {
	l.Variables = append(l.Variables, coordinator.Variable{Key: key, Value: value, Masked: true})
}

// pipelineVariables are GitLab's predefined variables that are known before any job: what rules can ask.
// Source: GitLab documentation, "Predefined CI/CD variables reference".
func (s *Server) pipelineVariables() coordinator.Variables {
	p := s.project
	base, err := url.Parse(s.url)
	if err != nil {
		base = &url.URL{}
	}
	port := base.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[base.Scheme]
	}
	name := p.name()
	namespace := strings.TrimSuffix(p.path, "/"+name)
	root, _, _ := strings.Cut(namespace, "/")
	title, description, _ := strings.Cut(p.message, "\n")
	page := s.url + "/" + p.path
	var l list
	l.public(
		"CI", "true", "GITLAB_CI", "true", "GITLAB_FEATURES", "",
		"CI_SERVER_URL", s.url, "CI_SERVER_HOST", base.Hostname(), "CI_SERVER_FQDN", base.Host, "CI_SERVER_PORT", port,
		"CI_SERVER_PROTOCOL", base.Scheme, "CI_SERVER_NAME", "GitLab", "CI_SERVER_VERSION", compatibility,
		"CI_SERVER_VERSION_MAJOR", "19", "CI_SERVER_VERSION_MINOR", "4", "CI_SERVER_VERSION_PATCH", "0", "CI_SERVER_REVISION", "millwright",
		"CI_SERVER_SHELL_SSH_HOST", base.Hostname(), "CI_SERVER_SHELL_SSH_PORT", "22",
		"CI_API_V4_URL", s.url+"/api/v4", "CI_API_GRAPHQL_URL", s.url+"/api/graphql",
		"CI_PROJECT_ID", strconv.Itoa(projectID), "CI_PROJECT_NAME", name, "CI_PROJECT_TITLE", name, "CI_PROJECT_DESCRIPTION", "",
		"CI_PROJECT_PATH", p.path, "CI_PROJECT_PATH_SLUG", slug(p.path), "CI_PROJECT_NAMESPACE", namespace,
		"CI_PROJECT_NAMESPACE_ID", strconv.Itoa(namespaceID), "CI_PROJECT_NAMESPACE_SLUG", slug(namespace), "CI_PROJECT_ROOT_NAMESPACE", root,
		"CI_PROJECT_URL", page, "CI_PROJECT_VISIBILITY", "private", "CI_PROJECT_REPOSITORY_LANGUAGES", "",
		"CI_PROJECT_CLASSIFICATION_LABEL", "", "CI_DEFAULT_BRANCH", p.defaultBranch, "CI_DEFAULT_BRANCH_SLUG", slug(p.defaultBranch),
		"CI_CONFIG_PATH", ".gitlab-ci.yml",
		"CI_PIPELINE_ID", strconv.Itoa(pipelineID), "CI_PIPELINE_IID", "1", "CI_PIPELINE_SOURCE", "push",
		"CI_PIPELINE_URL", page+"/-/pipelines/"+strconv.Itoa(pipelineID), "CI_PIPELINE_NAME", "",
		"CI_PIPELINE_CREATED_AT", time.Now().UTC().Format(time.RFC3339),
		"CI_COMMIT_SHA", p.sha, "CI_COMMIT_SHORT_SHA", p.sha[:8], "CI_COMMIT_BEFORE_SHA", p.before,
		"CI_COMMIT_REF_NAME", p.branch, "CI_COMMIT_REF_SLUG", slug(p.branch), "CI_COMMIT_BRANCH", p.branch,
		"CI_COMMIT_REF_PROTECTED", "false", "CI_COMMIT_TIMESTAMP", p.committed.Format(time.RFC3339),
	)
	// What people wrote is not to be taken for references to variables.
	for _, v := range [][2]string{
		{"CI_COMMIT_MESSAGE", p.message}, {"CI_COMMIT_TITLE", title}, {"CI_COMMIT_DESCRIPTION", strings.TrimLeft(description, "\n")},
		{"CI_COMMIT_AUTHOR", p.authorName + " <" + p.authorEmail + ">"}, {"GITLAB_USER_NAME", p.authorName}, {"GITLAB_USER_EMAIL", p.authorEmail},
	} {
		l.Variables = append(l.Variables, coordinator.Variable{Key: v[0], Value: v[1], Public: true, Raw: true})
	}
	login, _, _ := strings.Cut(p.authorEmail, "@")
	l.public("GITLAB_USER_ID", strconv.Itoa(userID), "GITLAB_USER_LOGIN", slug(login))
	if s.o.Registry != "" {
		l.public("CI_REGISTRY", s.o.Registry, "CI_REGISTRY_IMAGE", s.o.Registry+"/"+p.path)
	}
	return l.Variables
}

// jobVariables are all variables of a job of the pipeline, in GitLab's order of precedence, later ones win: predefined, the file's,
// those of dotenv reports, those from outside. References among them are expanded. The caller holds mu.
func (s *Server) jobVariables(j *job) coordinator.Variables {
	id := strconv.FormatInt(j.status.ID, 10)
	l := list{slices.Clone(s.pipeline.variables)}
	l.public("CI_JOB_ID", id, "CI_JOB_URL", s.url+"/"+s.project.path+"/-/jobs/"+id)
	l.secret("CI_JOB_TOKEN", j.token)
	l.secret("CI_BUILD_TOKEN", j.token)
	l.public("CI_REGISTRY_USER", "gitlab-ci-token")
	l.secret("CI_REGISTRY_PASSWORD", j.token)
	l.Variables = append(l.Variables, coordinator.Variable{Key: "CI_REPOSITORY_URL", Value: s.repositoryURL(j)})
	l.public(
		"CI_JOB_NAME", j.status.Name, "CI_JOB_NAME_SLUG", slug(j.status.Name), "CI_JOB_STAGE", j.status.Stage, "CI_JOB_GROUP_NAME", j.def.Base,
		"CI_JOB_STARTED_AT", j.status.Pending.UTC().Format(time.RFC3339), "CI_NODE_TOTAL", strconv.Itoa(max(1, j.def.Parallel)),
	)
	if j.def.Index > 0 {
		l.public("CI_NODE_INDEX", strconv.Itoa(j.def.Index))
	}
	if j.slot.picked && j.def.When == ciyaml.Manual {
		l.public("CI_JOB_MANUAL", "true")
	}
	if j.runner != nil {
		l.public("CI_RUNNER_ID", strconv.FormatInt(j.runner.id, 10), "CI_RUNNER_DESCRIPTION", j.runner.description, "CI_RUNNER_TAGS", tagList(j.def.Tags))
	}
	for _, v := range j.def.Variables {
		l.Variables = append(l.Variables, coordinator.Variable{Key: v.Key, Value: v.Value, Public: true, Raw: v.Raw})
	}
	for _, source := range s.sources(j) {
		l.Variables = append(l.Variables, source.dotenv...)
	}
	l.Variables = append(l.Variables, s.o.Variables...)
	// A circle can come only from dotenv reports here; then the runner sees the references, as GitLab sends them.
	if expanded, err := ciyaml.Expand(ciVariables(l.Variables)); err == nil {
		for i := range l.Variables {
			l.Variables[i].Value = expanded[i].Value
		}
	}
	return l.Variables
}

func tagList(tags []string) string {
	quoted := make([]string, len(tags))
	for i, t := range tags {
		quoted[i] = strconv.Quote(t)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

var notInSlug = regexp.MustCompile(`[^a-z0-9]`)

// slug makes a name fit for a host name: lower case, letters, digits and dashes, 63 bytes at most, no dash at the ends.
func slug(text string) string {
	text = notInSlug.ReplaceAllString(strings.ToLower(text), "-")
	return strings.Trim(text[:min(len(text), 63)], "-")
}
