package artifact

import (
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// Where plug-ins lie when a name does not say.
// Source: GitLab Runner documentation, "Install a fleeting plugin", plugin formats.
const (
	defaultRegistry   = "registry.gitlab.com"
	defaultRepository = "gitlab-org/fleeting/plugins"
)

// forms is what a name may be, for errors.
const forms = "use NAME, REPOSITORY/NAME or REGISTRY/REPOSITORY/NAME, with :VERSION, :MAJOR.MINOR, :MAJOR or :latest behind it or not, fleeting-plugin-NAME for a program on the PATH, or a path"

// reference is a plug-in in a registry, with the versions of it that will do.
type reference struct {
	tag        name.Tag
	constraint constraint
}

// parse reads a name: NAME, REPOSITORY/NAME or REGISTRY/REPOSITORY/NAME, each with or without a constraint. A registry has a dot in it, or a port.
func parse(text string) (reference, error) {
	whole := text
	first, _, more := strings.Cut(text, "/")
	switch {
	case !more:
		whole = path.Join(defaultRegistry, defaultRepository, text)
	case !strings.ContainsAny(first, ".:"):
		whole = path.Join(defaultRegistry, text)
	}
	for part := range strings.SplitSeq(text, "/") {
		if strings.Trim(part, ".") == "" {
			return reference{}, fmt.Errorf("plugin %q: it has an empty part; %s", text, forms)
		}
	}
	if strings.Contains(text, "@") {
		return reference{}, fmt.Errorf("plugin %q: a digest can't be asked for; %s", text, forms)
	}
	tag, err := name.NewTag(whole, name.WithDefaultTag(latest))
	if err != nil {
		return reference{}, fmt.Errorf("plugin %q: %w; %s", text, err, forms)
	}
	c, err := parseConstraint(tag.TagStr())
	if err != nil {
		return reference{}, fmt.Errorf("plugin %q: %w; %s", text, err, forms)
	}
	return reference{tag, c}, nil
}

// folder is where its versions lie, below the folder of all plug-ins. A port's colon is no part of a file's name everywhere, and no registry has an
// underscore in it.
func (r reference) folder() string {
	return filepath.FromSlash(strings.Replace(r.tag.Repository.Name(), ":", "_", 1))
}
