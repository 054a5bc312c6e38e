package fakeec2

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// The Go module that holds the description of the API, and its checksum as go.sum would have it. Nothing of it is compiled.
const (
	apiModule = "github.com/aws/aws-sdk-go@v1.55.8"
	apiSum    = "h1:JRmEUbU52aJQZ2AjX4q4Wu7t4uZjOu71uyNmaWlUkJQ="
)

// model is the description of the API. Source: aws-sdk-go, "models/apis/ec2/2016-11-15/api-2.json".
type model struct {
	Metadata struct {
		APIVersion string `json:"apiVersion"`
	} `json:"metadata"`
	Operations map[string]struct {
		Input struct {
			Shape string `json:"shape"`
		} `json:"input"`
	} `json:"operations"`
	Shapes map[string]shape `json:"shapes"`
}

type shape struct {
	Type     string         `json:"type"`
	Required []string       `json:"required"`
	Members  map[string]ref `json:"members"`
	Member   ref            `json:"member"`
	Enum     []string       `json:"enum"`
	Min      *float64       `json:"min"`
	Max      *float64       `json:"max"`
}

type ref struct {
	Shape        string `json:"shape"`
	LocationName string `json:"locationName"`
	QueryName    string `json:"queryName"`
}

// load reads the description once.
var load = sync.OnceValues(func() (*model, error) {
	dir, err := moduleDir()
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(dir, "models", "apis", "ec2", "2016-11-15", "api-2.json"))
	if err != nil {
		return nil, err
	}
	var m model
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("description of the EC2 API: %w", err)
	}
	return &m, nil
})

// moduleDir is where the Go module lies. It is fetched when it does not lie there yet.
func moduleDir() (string, error) {
	dir, err := os.MkdirTemp("", "fakeec2-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	c := exec.Command("go", "mod", "download", "-json", apiModule)
	c.Dir = dir
	c.Env = append(os.Environ(), "GO111MODULE=on", "GOFLAGS=", "GOWORK=off")
	out, err := c.Output()
	var got struct{ Dir, Sum, Error string }
	if jsonErr := json.Unmarshal(out, &got); err != nil || jsonErr != nil {
		return "", fmt.Errorf("go mod download %s: %w %s", apiModule, errors.Join(err, jsonErr), got.Error)
	}
	if got.Sum != apiSum {
		return "", fmt.Errorf("go mod download %s: its checksum is %s, want %s", apiModule, got.Sum, apiSum)
	}
	return got.Dir, nil
}

// check returns what AWS would refuse of a request.
func (m *model) check(form url.Values) error {
	action := form.Get("Action")
	op, ok := m.Operations[action]
	if !ok {
		return fmt.Errorf("there is no action %q", action)
	}
	if v := form.Get("Version"); v != m.Metadata.APIVersion {
		return fmt.Errorf("the version is %q, not %s", v, m.Metadata.APIVersion)
	}
	tree := &node{}
	for name, values := range form {
		if name == "Action" || name == "Version" {
			continue
		}
		if len(values) != 1 {
			return fmt.Errorf("%s is there %d times", name, len(values))
		}
		at := tree
		for _, part := range strings.Split(name, ".") {
			at = at.child(part)
		}
		at.value, at.set = values[0], true
	}
	return m.fits(action, op.Input.Shape, tree)
}

// node is a parameter, or what is below it.
type node struct {
	value    string
	set      bool
	children map[string]*node
}

func (n *node) child(name string) *node {
	if n.children == nil {
		n.children = map[string]*node{}
	}
	if n.children[name] == nil {
		n.children[name] = &node{}
	}
	return n.children[name]
}

// fits holds a parameter to its shape. Names are as EC2's query protocol makes them: lists are NAME.1, NAME.2.
func (m *model) fits(path, name string, n *node) error {
	s, ok := m.Shapes[name]
	if !ok {
		return fmt.Errorf("%s: no shape %s", path, name)
	}
	switch s.Type {
	case "structure":
		return m.structure(path, s, n)
	case "list":
		return m.items(path, s, n)
	}
	if !n.set || len(n.children) > 0 {
		return fmt.Errorf("%s is a %s, and has parts", path, s.Type)
	}
	return scalar(path, s, n.value)
}

func (m *model) structure(path string, s shape, n *node) error {
	if n.set {
		return fmt.Errorf("%s has parts, and is %q", path, n.value)
	}
	known := map[string]string{}
	for member, r := range s.Members {
		known[queryName(member, r)] = member
	}
	seen := map[string]bool{}
	for name, child := range n.children {
		member, ok := known[name]
		if !ok {
			return fmt.Errorf("%s has no parameter %s", path, name)
		}
		seen[member] = true
		if err := m.fits(path+"."+name, s.Members[member].Shape, child); err != nil {
			return err
		}
	}
	for _, member := range s.Required {
		if !seen[member] {
			return fmt.Errorf("%s lacks %s", path, queryName(member, s.Members[member]))
		}
	}
	return nil
}

func (m *model) items(path string, s shape, n *node) error {
	if n.set || len(n.children) == 0 {
		return fmt.Errorf("%s is a list, and has no items", path)
	}
	for i := range len(n.children) {
		item, ok := n.children[strconv.Itoa(i+1)]
		if !ok {
			return fmt.Errorf("%s has %d items, and none is number %d", path, len(n.children), i+1)
		}
		if err := m.fits(path+"."+strconv.Itoa(i+1), s.Member.Shape, item); err != nil {
			return err
		}
	}
	return nil
}

func queryName(member string, r ref) string {
	switch {
	case r.QueryName != "":
		return r.QueryName
	case r.LocationName != "":
		return strings.ToUpper(r.LocationName[:1]) + r.LocationName[1:]
	}
	return member
}

func scalar(path string, s shape, value string) (err error) {
	size := float64(len(value))
	switch s.Type {
	case "integer", "long":
		var n int64
		n, err = strconv.ParseInt(value, 10, 64)
		size = float64(n)
	case "float", "double":
		size, err = strconv.ParseFloat(value, 64)
	case "boolean":
		if value != "true" && value != "false" {
			err = errors.New("neither true nor false")
		}
	case "blob":
		_, err = base64.StdEncoding.DecodeString(value)
	case "string": // there are instance types that this description is too old for
		if len(s.Enum) > 0 && !strings.HasSuffix(path, ".InstanceType") && !slices.Contains(s.Enum, value) {
			err = fmt.Errorf("not one of %.200s", strings.Join(s.Enum, ", "))
		}
	}
	if err == nil && (s.Min != nil && size < *s.Min || s.Max != nil && size > *s.Max) {
		err = errors.New("out of its range")
	}
	if err != nil {
		return fmt.Errorf("%s is %q: %w", path, value, err)
	}
	return nil
}
