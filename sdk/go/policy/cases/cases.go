// Package cases reads examples of what a policy must answer and holds an answer to them. The harness of Go authors and `millwright policy
// test` share it; those of the other SDKs read the same files.
package cases

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Case is one call of an export and what must come of it: an output, or an error.
type Case struct {
	File  string `json:"-"` // without its folder
	About string `json:"about"`
	Name  string `json:"name"` // instead of About, in hostfuncs/vectors
	// Policy is the only policy that the case is for; "" is any.
	Policy string `json:"policy"`
	Kind   string `json:"kind"`   // of a payload, in hostfuncs/vectors/codec: that is no call
	Export string `json:"export"` // decide unless told
	// Input is the payload. A string is the payload's text itself.
	Input json.RawMessage `json:"input"`
	// Output must come, whatever the order of its members; null is nothing. Expect is another word for it. A string is the output's text,
	// to the byte.
	Output json.RawMessage `json:"output"`
	Expect json.RawMessage `json:"expect"`
	Error  string          `json:"error"` // a part of the error's text
}

// Read returns the cases of a folder in the order of its files NAME.json, each of which holds one case or a list. A folder without a case is an
// error.
func Read(folder string) ([]Case, error) {
	paths, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		return nil, err
	}
	var all []Case
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if data = bytes.TrimSpace(data); !bytes.HasPrefix(data, []byte("[")) {
			data = append(append([]byte("["), data...), ']')
		}
		var some []Case
		if err := json.Unmarshal(data, &some); err != nil {
			return nil, fmt.Errorf("%s: is no list of cases: %w", path, err)
		}
		for i := range some {
			some[i].File = filepath.Base(path)
			if c := some[i]; c.Kind == "" && c.Export != abi.ExportObserve && c.want() == nil && c.Error == "" {
				return nil, fmt.Errorf("%s: case %d (%s) says nothing of what must come; give it an output or an error", path, i+1, c.Title())
			}
		}
		all = append(all, some...)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: holds no case; write one into a file NAME.json there", folder)
	}
	return all, nil
}

// Title is what the case is about.
func (c Case) Title() string { return cmp.Or(c.About, c.Name, "without a name") }

// For tells whether the case is for the policy of that name.
func (c Case) For(policy string) bool { return c.Kind == "" && (c.Policy == "" || c.Policy == policy) }

func (c Case) want() json.RawMessage {
	if c.Output != nil {
		return c.Output
	}
	return c.Expect
}

// Run makes the case's call twice and returns what is wrong with what came; nil when nothing is.
func (c Case) Run(call func(export string, input []byte) ([]byte, error)) error {
	export := cmp.Or(c.Export, abi.ExportDecide)
	input := []byte(c.Input)
	if text, ok := isText(c.Input); ok {
		input = []byte(text)
	}
	out, err := call(export, input)
	again, errAgain := call(export, input)
	switch {
	case !bytes.Equal(out, again) || (err == nil) != (errAgain == nil):
		return fmt.Errorf("the same input gave %s, and then %s", said(out, err), said(again, errAgain))
	case c.Error != "" && (err == nil || !strings.Contains(err.Error(), c.Error)):
		return fmt.Errorf("got %s; want the error %q", said(out, err), c.Error)
	case c.Error != "":
		return nil
	case err != nil:
		return err
	}
	return compare(out, c.want())
}

// compare holds an output to what is wanted.
func compare(out []byte, wanted json.RawMessage) error {
	if text, ok := isText(wanted); ok {
		if string(out) != text {
			return fmt.Errorf("\n got %s\nwant %s", out, text)
		}
		return nil
	}
	var got, want any
	if len(out) > 0 {
		if err := json.Unmarshal(out, &got); err != nil {
			return fmt.Errorf("%.200q is no JSON: %w", out, err)
		}
	}
	if len(wanted) == 0 { // of observe, which may have nothing to say
		wanted = json.RawMessage("null")
	}
	if err := json.Unmarshal(wanted, &want); err != nil {
		return err
	}
	if !reflect.DeepEqual(got, want) {
		var compact bytes.Buffer
		if err := json.Compact(&compact, wanted); err != nil {
			return err
		}
		return fmt.Errorf("\n got %s\nwant %s", out, &compact)
	}
	return nil
}

// isText returns the text of a JSON string.
func isText(data json.RawMessage) (text string, ok bool) {
	ok = bytes.HasPrefix(data, []byte(`"`)) && json.Unmarshal(data, &text) == nil
	return text, ok
}

// said is what a call gave, in words.
func said(out []byte, err error) string {
	if err != nil {
		return fmt.Sprintf("the error %q", err.Error())
	}
	return string(out)
}
