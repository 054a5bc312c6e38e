package artifact

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// latest is the constraint that any release meets.
const latest = "latest"

// version is a semantic version without build metadata, which registries' tags can't have.
type version struct {
	numbers [3]int
	pre     []string // of a pre-release; nil: a release
}

// parseVersion reads a whole version.
func parseVersion(text string) (version, error) {
	var v version
	core, pre, hasPre := strings.Cut(text, "-")
	parts := strings.Split(core, ".")
	if len(parts) != 3 {
		return v, fmt.Errorf("%q is no version such as 1.2.3", text)
	}
	for i, part := range parts {
		n, err := number(part)
		if err != nil {
			return v, fmt.Errorf("%q is no version such as 1.2.3", text)
		}
		v.numbers[i] = n
	}
	if !hasPre {
		return v, nil
	}
	v.pre = strings.Split(pre, ".")
	for _, part := range v.pre {
		if part == "" || strings.ContainsFunc(part, func(r rune) bool {
			return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r != '-'
		}) {
			return v, fmt.Errorf("%q is no version such as 1.2.3-rc.1", text)
		}
	}
	return v, nil
}

// number reads digits alone.
func number(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err == nil && (text[0] < '0' || text[0] > '9') {
		err = strconv.ErrSyntax
	}
	return n, err
}

func (v version) String() string {
	s := fmt.Sprintf("%d.%d.%d", v.numbers[0], v.numbers[1], v.numbers[2])
	if v.pre != nil {
		s += "-" + strings.Join(v.pre, ".")
	}
	return s
}

// folder is the name of the version's folder: as fleeting-artifact does, it writes a capital letter as ! and the small one, for file systems that
// don't tell them apart.
func (v version) folder() string {
	var s strings.Builder
	for _, r := range v.String() {
		if unicode.IsUpper(r) {
			s.WriteByte('!')
		}
		s.WriteRune(unicode.ToLower(r))
	}
	return s.String()
}

// compare orders versions by precedence. Source: semver.org, version 2.0.0, item 11.
func compare(a, b version) int {
	switch c := slices.Compare(a.numbers[:], b.numbers[:]); {
	case c != 0:
		return c
	case a.pre == nil && b.pre != nil:
		return 1
	case a.pre != nil && b.pre == nil:
		return -1
	}
	return slices.CompareFunc(a.pre, b.pre, func(x, y string) int {
		m, noX := number(x)
		n, noY := number(y)
		switch {
		case noX == nil && noY == nil:
			return cmp.Compare(m, n)
		case noX == nil:
			return -1
		case noY == nil:
			return 1
		}
		return cmp.Compare(x, y)
	})
}

// constraint is which versions will do: latest, a major or minor version's releases, or one version. Only a whole version names a pre-release.
type constraint struct {
	given []int    // none: latest
	exact *version // one and no other
}

func parseConstraint(text string) (constraint, error) {
	if text == latest {
		return constraint{}, nil
	}
	if v, err := parseVersion(text); err == nil {
		return constraint{exact: &v}, nil
	}
	var c constraint
	for _, part := range strings.Split(text, ".") {
		n, err := number(part)
		if err != nil || len(c.given) == 2 {
			return c, fmt.Errorf("%q is no version or constraint: 1.2.3, 1.2, 1 and latest are some", text)
		}
		c.given = append(c.given, n)
	}
	return c, nil
}

// allows tells whether a version will do.
func (c constraint) allows(v version) bool {
	if c.exact != nil {
		return compare(*c.exact, v) == 0
	}
	return v.pre == nil && slices.Equal(c.given, v.numbers[:len(c.given)])
}

// best returns the newest version that will do.
func (c constraint) best(all []version) (version, bool) {
	all = slices.DeleteFunc(slices.Clone(all), func(v version) bool { return !c.allows(v) })
	if len(all) == 0 {
		return version{}, false
	}
	return slices.MaxFunc(all, compare), true
}
