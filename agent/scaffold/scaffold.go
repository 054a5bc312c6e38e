// Package scaffold makes the folder that the author of a module starts with: source, test, settings, build script and README, with the SDK in it,
// so that it builds and passes its test at once, anywhere.
package scaffold

import (
	"embed"
	"errors"
	"fmt"
	"go/format"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/millwright-ci/millwright/examples/drivers"
	"github.com/millwright-ci/millwright/sdk"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/policy/rules"
)

// templates holds a folder for policies, with what their languages share, and one for each kind and language. Of their files' names NAME becomes the
// module's, and .tmpl, which keeps Go's tools away from them, falls off; gitignore gets its dot.
//
//go:embed templates
var templates embed.FS

// sdkFolder is where the SDK lies in the made folder. The languages' manifests name it.
const sdkFolder = "millwright"

// Order is what to make.
type Order struct {
	Kind     string // abi.KindPolicy or abi.KindDriver
	Language string
	Name     string   // of the module
	Reserved []string // names that it may not have, those of built-in modules
	Dir      string   // the folder to make; "" is one of the module's name, here
}

// Languages are those that a module of a kind can be made in.
func Languages(kind string) []string {
	var out []string
	for _, language := range sdk.Languages {
		if _, err := fs.Stat(templates, "templates/"+kind+"-"+language); err == nil {
			out = append(out, language)
		}
	}
	return out
}

// Make makes the folder and returns its path. It appears whole or not at all; one that is there already must be empty, since nothing is ever
// overwritten.
func Make(o Order) (string, error) {
	if err := o.check(); err != nil {
		return "", err
	}
	dir := o.Dir
	if dir == "" {
		dir = o.Name
	}
	dir = filepath.Clean(dir)
	if err := free(dir); err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), ".millwright-new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	made := filepath.Join(work, "made")
	if err := o.write(made); err != nil {
		return "", err
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) { // it is empty, or this fails
		return "", err
	}
	return dir, os.Rename(made, dir)
}

// check refuses what makes no module.
func (o Order) check() error {
	switch languages := Languages(o.Kind); {
	case !slices.Contains(languages, o.Language):
		return fmt.Errorf("a %s in %q can't be made; there is %s", o.Kind, o.Language, strings.Join(languages, ", "))
	case !rules.Name(o.Name):
		return fmt.Errorf("%q is no name of a %s; use %s", o.Name, o.Kind, rules.NameForm)
	case slices.Contains(o.Reserved, o.Name):
		return fmt.Errorf("%s is built in, and a %s of that name would replace it; take another name (the built-in ones are %s)",
			o.Name, o.Kind, strings.Join(o.Reserved, ", "))
	}
	return nil
}

// free refuses a folder that holds something.
func free(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil: // a file, or one that may not be read
		return fmt.Errorf("%w; name another folder with --dir", err)
	case len(entries) > 0:
		return fmt.Errorf("%s: is there already and holds %s; nothing is overwritten, so name another folder with --dir", dir, entries[0].Name())
	}
	return nil
}

// write makes all files below dir.
func (o Order) write(dir string) error {
	files, err := sdk.Files(o.Language)
	if err != nil {
		return err
	}
	for i := range files {
		files[i].Path = sdkFolder + "/" + files[i].Path
	}
	for _, from := range o.sources() {
		more, err := o.render(from)
		if err != nil {
			return err
		}
		files = append(files, more...)
	}
	for _, f := range files {
		to := filepath.Join(dir, filepath.FromSlash(f.Path))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		mode := fs.FileMode(0o644)
		if f.Executable {
			mode = 0o755
		}
		if err := os.WriteFile(to, f.Data, mode); err != nil {
			return err
		}
	}
	return nil
}

// source is a folder of templates, with what is replaced in names and texts.
type source struct {
	files fs.FS
	root  string
	fill  *strings.Replacer
}

// sources are what an order is made of, besides the SDK. A driver is the example of one, which CI holds to the contract of drivers, by another
// name.
func (o Order) sources() []source {
	fill := strings.NewReplacer("NAME", o.Name, "GOVERSION", sdk.GoVersion)
	all := []source{{templates, "templates/" + o.Kind + "-" + o.Language, fill}}
	if o.Kind == abi.KindDriver {
		return append(all, source{drivers.Example, "fakecloud", strings.NewReplacer("fakecloud_test.go", "driver_test.go", "fakecloud", o.Name)})
	}
	return append(all, source{templates, "templates/" + o.Kind, fill})
}

// render fills in the files of a source.
func (o Order) render(from source) ([]sdk.File, error) {
	var out []sdk.File
	err := fs.WalkDir(from.files, from.root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(from.files, name)
		if err != nil {
			return err
		}
		to := from.fill.Replace(strings.TrimSuffix(strings.TrimPrefix(name, from.root+"/"), ".tmpl"))
		if to == "gitignore" {
			to = ".gitignore"
		}
		data = []byte(from.fill.Replace(string(data)))
		if path.Ext(to) == ".go" { // a name's length moves what stands in columns
			if data, err = format.Source(data); err != nil {
				return fmt.Errorf("%s: %w", to, err)
			}
		}
		out = append(out, sdk.File{Path: to, Data: data, Executable: strings.HasSuffix(to, ".sh")})
		return nil
	})
	return out, err
}
