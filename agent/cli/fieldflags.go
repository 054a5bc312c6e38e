package cli

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/millwright-ci/millwright/agent/config"
)

// fieldFlags are the flags and variables that give keys of a [[runners]] entry.
type fieldFlags struct{ values []*fieldValue }

// fieldValue is one of them; it is its flag's pflag.Value.
type fieldValue struct {
	config.Field
	said []any // what each use of the flag gave
	text string
}

func (v *fieldValue) String() string { return v.text }
func (v *fieldValue) Type() string   { return v.Kind }

// Set takes one use of the flag.
func (v *fieldValue) Set(text string) error {
	parsed, err := v.Parse(text)
	if err != nil {
		return err
	}
	v.said, v.text = append(v.said, parsed), text
	return nil
}

// value is what all uses of the flag come to: the last one, or the items of a list.
func (v *fieldValue) value() any {
	if v.Kind != "list" {
		return v.said[len(v.said)-1]
	}
	var items []string
	for _, said := range v.said {
		items = append(items, said.([]string)...)
	}
	return items
}

// shortFlags are GitLab Runner's.
var shortFlags = map[string]string{"url": "u", "token": "t"}

// addFieldFlags adds a flag for each key.
func addFieldFlags(flags *pflag.FlagSet) *fieldFlags {
	all := &fieldFlags{}
	for _, field := range config.Fields() {
		v := &fieldValue{Field: field}
		all.values = append(all.values, v)
		f := flags.VarPF(v, field.Flag, shortFlags[field.Flag], fmt.Sprintf("%s of the entry (%s)", field.Path, strings.Join(field.Env, ", ")))
		if field.Kind == "bool" {
			f.NoOptDefVal = "true"
		}
		if field.Flag == "name" {
			flags.Var(v, "description", "same as --name")
		}
	}
	return all
}

// environ takes the variables of the keys that no flag gives. An empty variable says nothing.
func (f *fieldFlags) environ(lookup func(string) string) error {
	var errs []error
	for _, v := range f.values {
		if len(v.said) > 0 {
			continue
		}
		i := slices.IndexFunc(v.Env, func(name string) bool { return lookup(name) != "" })
		if i < 0 {
			continue
		}
		for _, item := range v.Split(lookup(v.Env[i])) {
			if err := v.Set(item); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", v.Env[i], err))
			}
		}
	}
	return errors.Join(errs...)
}

// into puts what was said into an entry.
func (f *fieldFlags) into(e *config.Entry) {
	for _, v := range f.values {
		if len(v.said) > 0 {
			e.Set(v.Path, v.value())
		}
	}
}

// find returns the value of a key.
func (f *fieldFlags) find(path string) *fieldValue {
	i := slices.IndexFunc(f.values, func(v *fieldValue) bool { return v.Path == path })
	return f.values[i]
}

// entry makes an entry of a template's file, which may be "", and over it what flags and variables say.
func (f *fieldFlags) entry(template string) (*config.Entry, error) {
	credentials := f.find("cache.gcs.CredentialsFile")
	byFlag := len(credentials.said) > 0
	if err := f.environ(os.Getenv); err != nil {
		return nil, err
	}
	e := config.NewEntry()
	if template != "" {
		data, err := os.ReadFile(template)
		if err != nil {
			return nil, fmt.Errorf("--template-config: %w", err)
		}
		if e, err = config.ParseTemplate(data); err != nil {
			return nil, fmt.Errorf("--template-config %s: %w", template, err)
		}
	}
	if !byFlag && cmp.Or(f.find("cache.Type").text, e.Text("cache.Type")) != "gcs" {
		credentials.said = nil // GOOGLE_APPLICATION_CREDENTIALS is the machine driver's then
	}
	f.into(e)
	return e, nil
}
