package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// maxBody is how many bytes of a request are read.
const maxBody = 4 << 20

// request is one call on its way.
type request struct {
	*http.Request
	route   *route
	query   url.Values
	headers map[string]string // of the answer
}

// creates tells whether it asks for a machine.
func (r *request) creates() bool {
	return r.route.api == "VirtualMachinesClient.BeginCreateOrUpdate"
}

// skip is where a page begins.
func (r *request) skip() int {
	n, _ := strconv.Atoi(r.query.Get("$skiptoken")) // checked before
	return n
}

// ServeHTTP implements http.Handler.
func (c *cloud) ServeHTTP(w http.ResponseWriter, hr *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, hr.Body, maxBody))
	if err != nil {
		return // the caller is gone
	}
	c.mu.Lock()
	fault := c.fault
	c.mu.Unlock()
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	switch fault {
	case "junk":
		_, _ = io.WriteString(w, `{"value":[`) // whoever went away wants no answer
		return
	case "empty object":
		_, _ = io.WriteString(w, `{}`)
		return
	case "proxy page":
		_, _ = io.WriteString(w, "<html><body>Sign in to the network</body></html>")
		return
	}
	res, r, err := c.take(hr, body)
	switch {
	case fault == "silent":
		select {
		case <-hr.Context().Done():
		case <-time.After(silence):
		}
		return
	case err == nil && (fault == "lost answer" && r.creates() || fault == "lost removal" && hr.Method == http.MethodDelete):
		panic(http.ErrAbortHandler) // net/http's way to break a connection
	}
	var no *refusal
	if errors.As(err, &no) {
		no.write(w)
		return
	}
	if err != nil {
		refuse(http.StatusInternalServerError, "InternalServerError", "%v", err).write(w)
		return
	}
	defer res.Body.Close()
	for name, value := range r.headers {
		w.Header().Set(name, value)
	}
	w.WriteHeader(res.StatusCode)
	_, _ = io.Copy(w, res.Body)
}

func (r *refusal) write(w http.ResponseWriter) {
	if r.retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(r.retry))
	}
	w.WriteHeader(r.status)
	words := map[string]any{"code": r.code, "message": r.message}
	if r.detail != nil {
		words["details"] = []any{map[string]any{"code": r.detail.code, "message": r.detail.message}}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"error": words})
}

// take holds a request against the SDK and has its fake server carry it out.
func (c *cloud) take(hr *http.Request, body []byte) (*http.Response, *request, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle()
	r := &request{Request: hr, query: hr.URL.Query(), headers: map[string]string{}}
	if id, ok := strings.CutPrefix(hr.URL.Path, operationsPath); ok && hr.Method == http.MethodGet {
		res, err := c.follow(id)
		return res, r, err
	}
	if m := rightsPath.FindStringSubmatch(hr.URL.Path); m != nil && hr.Method == http.MethodGet {
		res, err := c.rights(r, m[1])
		return res, r, err
	}
	i := slices.IndexFunc(routes, func(t route) bool { return t.method == hr.Method && t.path.MatchString(hr.URL.Path) })
	if i < 0 {
		return nil, r, c.note(hr, "the cloud has no such operation")
	}
	r.route = &routes[i]
	c.calls[r.route.api]++
	if why := c.check(r, body); why != "" {
		return nil, r, c.note(hr, why)
	}
	for _, a := range r.route.actions {
		c.actions[strings.TrimPrefix(a, "subscription: ")] = true
	}
	if no := c.admit(r); no != nil {
		return nil, r, no
	}
	if no := c.groupOf(r); no != nil {
		return nil, r, no
	}
	ctx := context.WithValue(hr.Context(), runtime.CtxAPINameKey{}, r.route.api)
	out := hr.Clone(ctx)
	out.URL.Scheme, out.URL.Host = "http", hr.Host
	if strings.HasPrefix(r.route.api, "ResourceGroupsClient.") { // Azure minds no case, the SDK's fake server does
		out.URL.Path = strings.Replace(out.URL.Path, "/resourceGroups/", "/resourcegroups/", 1)
	}
	out.Body = io.NopCloser(bytes.NewReader(body))
	res, err := r.route.serve(c, r).Do(out)
	return res, r, err
}

// groupOf refuses what is in a resource group that there is not.
func (c *cloud) groupOf(r *request) *refusal {
	m := r.route.path.FindStringSubmatch(r.URL.Path)
	at := r.route.path.SubexpIndex("group")
	if at < 0 || strings.HasPrefix(r.route.api, "ResourceGroupsClient.") && r.Method == http.MethodPut {
		return nil
	}
	parts := strings.SplitN(r.URL.Path, "/", 6)
	if c.groups[lower(strings.Join(parts[:5], "/"))] == nil {
		return refuse(http.StatusNotFound, codeNoGroup, "Resource group '%s' could not be found.", m[at])
	}
	return nil
}

// rightsPath is "Permissions - List For Resource Group" of Microsoft.Authorization, for which the SDK's fake server would be one more Go module.
var rightsPath = regexp.MustCompile(`(?i)^(/subscriptions/[^/]+/resourceGroups/[^/]+)/providers/Microsoft\.Authorization/permissions$`)

// rights tells what the caller may do in a resource group: by two roles with stars, in two pages. It takes no right itself.
func (c *cloud) rights(r *request, group string) (*http.Response, error) {
	if got := r.query.Get("api-version"); got != "2022-04-01" {
		return nil, c.note(r.Request, "api-version of Microsoft.Authorization is "+got)
	}
	r.route = &route{api: "PermissionsClient.NewListForResourceGroupPager"}
	c.calls[r.route.api]++
	if no := c.admit(r); no != nil {
		return nil, no
	}
	if c.groups[lower(group)] == nil {
		return nil, refuse(http.StatusNotFound, codeNoGroup, "Resource group '%s' could not be found.", group)
	}
	taken := []string{}
	for action := range c.denied {
		taken = append(taken, action)
	}
	roles := map[string]any{
		"value":    []any{map[string]any{"actions": []string{"Microsoft.Compute/*", "*/join/action", "microsoft.network/*/write"}, "notActions": taken}},
		"nextLink": c.url + r.URL.Path + "?api-version=2022-04-01&%24skiptoken=1",
	}
	if r.query.Get("$skiptoken") != "" {
		roles = map[string]any{"value": []any{map[string]any{"actions": []string{"Microsoft.Network/*", "Microsoft.Resources/*"}, "notActions": taken}}}
	}
	body, err := json.Marshal(roles)
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(body))}, err
}

const codeNoGroup = "ResourceGroupNotFound"

// check holds a request against the SDK: the version of its API, its parameters, and that its body has no fields but those of the SDK's type.
func (c *cloud) check(r *request, body []byte) string {
	client, _, _ := strings.Cut(r.route.api, ".")
	if got, want := r.query.Get("api-version"), c.versions[client]; got != want {
		return "api-version is " + got + ", the SDK's is " + want
	}
	for name := range r.query {
		if name != "api-version" && !slices.Contains(r.route.query, name) {
			return "it takes no parameter " + name
		}
	}
	if text := r.query.Get("$skiptoken"); text != "" {
		if n, err := strconv.Atoi(text); err != nil || n < 0 {
			return "the token of the page is none that was given"
		}
	}
	switch {
	case r.route.body == nil && len(body) > 0:
		return "it takes no body"
	case r.route.body == nil:
		return ""
	case r.Header.Get("Content-Type") != "application/json":
		return "its body is no JSON by its type"
	}
	return unknownField(r.route.body(), body)
}

// note remembers a request that Azure would not take.
func (c *cloud) note(r *http.Request, why string) error {
	c.wrong = append(c.wrong, r.Method+" "+r.URL.RequestURI()+": "+why)
	return refuse(http.StatusBadRequest, "InvalidRequestContent", "%s", why)
}

const operationsPath = "/subscriptions/operations/"

// begin makes the answer to a change point to its operation. The caller holds mu.
func (c *cloud) begin(r *request, takes time.Duration) {
	if takes == 0 {
		return
	}
	id := c.uuid()
	c.operations[id] = &operation{due: time.Now().Add(takes)}
	r.headers["Azure-AsyncOperation"] = c.url + operationsPath + id + "?api-version=2024-05-01"
	r.headers["Retry-After"] = strconv.Itoa(retryAfterS)
}

// follow answers how far an operation is.
func (c *cloud) follow(id string) (*http.Response, error) {
	op := c.operations[id]
	if op == nil {
		return nil, refuse(http.StatusNotFound, "NotFound", "there is no operation %s", id)
	}
	c.calls["operations"]++
	state := "InProgress"
	if !time.Now().Before(op.due) {
		state = "Succeeded"
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(`{"status":"` + state + `"}`))}, nil
}
