package fakegce

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
)

// apiModule holds the discovery documents.
const apiModule = "google.golang.org/api"

// document is a discovery document. Source: Google API Discovery Service, "RestDescription".
type document struct {
	Revision    string               `json:"revision"`
	ServicePath string               `json:"servicePath"`
	Parameters  map[string]parameter `json:"parameters"`
	Schemas     map[string]schema    `json:"schemas"`
	Resources   map[string]resource  `json:"resources"`

	methods []*method
}

type resource struct {
	Methods   map[string]*method  `json:"methods"`
	Resources map[string]resource `json:"resources"`
}

// method is one call of the API.
type method struct {
	ID         string               `json:"id"` // compute.instances.insert
	HTTPMethod string               `json:"httpMethod"`
	FlatPath   string               `json:"flatPath"` // projects/{project}/zones/{zone}/instances
	Parameters map[string]parameter `json:"parameters"`
	Request    *schema              `json:"request"`

	path *regexp.Regexp
}

type parameter struct {
	Location string `json:"location"`
	Required bool   `json:"required"`
	Pattern  string `json:"pattern"`
	schema
}

// schema is the type of a value.
type schema struct {
	Ref        string            `json:"$ref"`
	Type       string            `json:"type"`
	Format     string            `json:"format"`
	Enum       []string          `json:"enum"`
	Items      *schema           `json:"items"`
	Properties map[string]schema `json:"properties"`
	Additional *schema           `json:"additionalProperties"`
}

// load reads the document of the Compute API once, and loadRights that of the API which tells what a caller may do.
var (
	load       = sync.OnceValues(func() (*document, error) { return read("compute/v1/compute-api.json") })
	loadRights = sync.OnceValues(func() (*document, error) { return read("cloudresourcemanager/v1/cloudresourcemanager-api.json") })
)

func read(path string) (*document, error) {
	dir, err := moduleDir()
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(path)))
	if err != nil {
		return nil, err
	}
	var d document
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, fmt.Errorf("discovery document: %w", err)
	}
	d.collect(d.Resources)
	return &d, nil
}

// moduleDir is where the Go module lies, of the version in go.mod. It is fetched when it does not lie there yet.
func moduleDir() (string, error) {
	out, err := exec.Command("go", "mod", "download", "-json", apiModule).Output()
	if err != nil {
		return "", fmt.Errorf("the Go module %s, which holds the discovery document: %w", apiModule, err)
	}
	var found struct{ Dir string }
	if err := json.Unmarshal(out, &found); err != nil {
		return "", err
	}
	return found.Dir, nil
}

var placeholder = regexp.MustCompile(`\{(\w+)\}`)

func (d *document) collect(resources map[string]resource) {
	for _, r := range resources {
		for _, m := range r.Methods {
			m.path = regexp.MustCompile("^" + placeholder.ReplaceAllString(m.FlatPath, "(?P<$1>[^/]+)") + "$")
			d.methods = append(d.methods, m)
		}
		d.collect(r.Resources)
	}
}

// find returns the method that a request calls and what its path names. Of several the one with the most literal path is meant.
func (d *document) find(httpMethod, path string) (*method, map[string]string) {
	var best *method
	for _, m := range d.methods {
		if m.HTTPMethod == httpMethod && m.path.MatchString(path) && (best == nil || strings.Count(m.FlatPath, "{") < strings.Count(best.FlatPath, "{")) {
			best = m
		}
	}
	if best == nil {
		return nil, nil
	}
	named := map[string]string{}
	for i, value := range best.path.FindStringSubmatch(path) {
		if name := best.path.SubexpNames()[i]; name != "" {
			named[name] = value
		}
	}
	return best, named
}
