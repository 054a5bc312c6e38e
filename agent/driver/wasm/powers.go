package wasm

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/millwright-ci/millwright/hostfuncs/httpsend"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Powers are what the agent adds to the calls of a built-in driver. Modules that were dropped in have what they were granted instead.
type Powers struct {
	// Endpoint is where the provider's API answers, in the place of the default of the option of the role endpoint; "" leaves that.
	Endpoint string
	// Credentials are the operator's towards the provider, by the names that the driver signs with. They go to its hostnames.
	Credentials map[string]httpsend.Credential
}

// Builtin tells whether the driver came with the binary, and so may have powers.
func (d *Driver) Builtin() bool { return d.module.Builtin() }

// With returns the driver with other powers. One that was dropped in has none.
func (d *Driver) With(p Powers) *Driver {
	if !d.module.Builtin() {
		return d
	}
	with := *d
	with.powers = p
	return &with
}

// given returns the options as the driver gets them: without those that its description does not have, which are the host's (such as
// engine-opt), and with what stands in the place of secrets and of the operator's endpoint and files. list and remove do without files.
func (d *Driver) given(options abi.Options, files bool) (abi.Options, []abi.Problem) {
	out := abi.Options{}
	var problems []abi.Problem
	for name, values := range options {
		o, ok := d.options[name]
		switch {
		case !ok:
		case o.Secret:
			if options.Get(name) != "" {
				out[name] = []string{abi.SecretGiven}
			}
		case o.Role != abi.RoleFile:
			out[name] = values
		case files:
			contents, err := readAll(o, values)
			if err != nil {
				problems = append(problems, abi.Problem{Option: name, Message: err.Error()})
				continue
			}
			out[name] = contents
		}
	}
	if d.powers.Endpoint != "" {
		for name, o := range d.options {
			if o.Role == abi.RoleEndpoint {
				out[name] = []string{d.powers.Endpoint}
			}
		}
	}
	return out, problems
}

// maxFile is how many bytes of a file an option may hand on. The clouds take 16 KB to 256 KB.
const maxFile = 256 << 10

// readAll replaces paths, in a list option those after key=, by what the files hold.
func readAll(o abi.Option, values []string) ([]string, error) {
	contents := make([]string, 0, len(values))
	for _, v := range values {
		key, path := "", v
		if o.Type == abi.OptionList {
			before, after, ok := strings.Cut(v, "=")
			if !ok || before == "" {
				return nil, fmt.Errorf("%q is no key=path", v)
			}
			key, path = before+"=", after
		}
		if path == "" {
			continue
		}
		text, err := readFile(path)
		if err != nil {
			return nil, err
		}
		contents = append(contents, key+text)
	}
	return contents, nil
}

func readFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return "", err
	case len(data) > maxFile:
		return "", errors.New(path + ": has more than 256 KB, which no provider takes")
	}
	return string(data), nil
}
