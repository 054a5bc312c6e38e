// Package vectors holds the examples of the ABI that every SDK, the built-in policies and the host must agree on, for the tests of
// those in Go. README.md gives the form of the files, which other languages read as they are.
package vectors

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

//go:embed codec policy
var files embed.FS

// Codec is one payload and what reading and writing it must give.
type Codec struct {
	Name    string `json:"name"`
	Kind    string `json:"kind"`
	Valid   bool   `json:"valid"`
	Input   string `json:"input"`
	Expect  string `json:"expect"`   // in canonical form; "" unless Valid
	SDKOnly bool   `json:"sdk_only"` // the host's encoding/json does otherwise
	Why     string `json:"why"`      // how it does
}

// Policy is one snapshot and what a policy must propose for it.
type Policy struct {
	Name   string   `json:"name"`
	Policy string   `json:"policy"`
	Spec   []string `json:"spec"` // the vectors of GitLab Runner's behaviour that it covers
	Input  string   `json:"input"`
	Expect string   `json:"expect"`
}

// Codecs returns the vectors of every payload.
func Codecs() ([]Codec, error) { return read[Codec](files, "codec/*.json") }

// Policies returns the vectors of the policy with that name, none if it has none.
func Policies(name string) ([]Policy, error) { return read[Policy](files, "policy/"+name+".json") }

// read returns all entries of the files that match pattern. A member that there is not is an error, since it is a misspelt one.
func read[T any](fsys fs.FS, pattern string) ([]T, error) {
	names, err := fs.Glob(fsys, pattern)
	if err != nil {
		return nil, err
	}
	var all []T
	for _, name := range names {
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, err
		}
		dec := json.NewDecoder(strings.NewReader(string(data)))
		dec.DisallowUnknownFields()
		var some []T
		if err := dec.Decode(&some); err != nil {
			return nil, fmt.Errorf("vectors/%s: %w", path.Clean(name), err)
		}
		all = append(all, some...)
	}
	return all, nil
}
