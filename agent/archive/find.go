package archive

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// Selection says which files of a project to take.
type Selection struct {
	Dir       string   // the project's folder, absolute
	Paths     []string // doublestar globs relative to Dir; a folder stands for all that it holds
	Exclude   []string // doublestar globs of what to leave out again
	Untracked bool     // also what git does not track, ignored files included
}

// Find returns the files, sorted by path. Links are taken as links and never followed. What cannot be taken (a path outside of the
// project, a pattern without a match) gives a warning and nothing else. The error is that of ctx, or of a folder that cannot be read.
// Source: GitLab documentation, "artifacts:paths", "artifacts:exclude", "artifacts:untracked".
func Find(ctx context.Context, s Selection, say Say) ([]File, error) {
	root, err := os.OpenRoot(s.Dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f := finder{Selection: s, ctx: ctx, fsys: root.FS(), say: say, found: map[string]fs.FileInfo{}, excluded: make([]int, len(s.Exclude))}
	for i, pattern := range s.Exclude {
		if rel, ok := f.relative(pattern); ok && doublestar.ValidatePattern(rel) {
			f.excludes = append(f.excludes, exclude{i, rel})
		} else {
			say("WARNING: %s: not a pattern inside of the project directory; it excludes nothing", pattern)
		}
	}
	for _, pattern := range s.Paths {
		if err := f.glob(pattern); err != nil {
			return nil, err
		}
	}
	if s.Untracked {
		if err := f.untracked(); err != nil {
			return nil, err
		}
	}
	for i, n := range f.excluded {
		if n > 0 {
			say("%s: excluded %d files", s.Exclude[i], n)
		}
	}
	files := make([]File, 0, len(f.found))
	for _, p := range slices.Sorted(maps.Keys(f.found)) {
		files = append(files, File{Path: p, Info: f.found[p]})
	}
	return files, nil
}

type exclude struct {
	index   int // in Selection.Exclude
	pattern string
}

type finder struct {
	Selection
	ctx      context.Context // of this one call of Find
	fsys     fs.FS           // refuses what leads outside
	say      Say
	found    map[string]fs.FileInfo
	excludes []exclude
	excluded []int // files per pattern of Exclude
}

// relative makes a user's pattern one for fsys. It is false for what lies outside.
func (f *finder) relative(pattern string) (string, bool) {
	p := filepath.ToSlash(pattern)
	if path.IsAbs(p) || filepath.IsAbs(pattern) {
		dir := path.Clean(filepath.ToSlash(f.Dir))
		p = path.Clean(p)
		if p != dir && !strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/") {
			return "", false
		}
		p = strings.TrimPrefix(strings.TrimPrefix(p, dir), "/")
	}
	p = path.Clean(p)
	return p, p != ".." && !strings.HasPrefix(p, "../")
}

// glob takes what matches one pattern, with everything below matching folders.
func (f *finder) glob(pattern string) error {
	rel, inside := f.relative(pattern)
	if !inside {
		f.say("WARNING: %s: not a subpath of project directory: %s", pattern, f.Dir)
		return nil
	}
	matches := []string{rel} // as it is, so that a link that leads nowhere is found too
	if _, err := fs.Lstat(f.fsys, rel); err != nil {
		if matches, err = doublestar.Glob(f.fsys, rel, doublestar.WithNoFollow()); err != nil {
			f.say("WARNING: %s: %v", pattern, err)
		}
	}
	count := 0
	for _, m := range matches {
		n, err := f.walk(m)
		if err != nil {
			return err
		}
		count += n
	}
	if count == 0 {
		f.say("WARNING: %s: no matching files. Ensure that the artifact path is relative to the working directory (%s)", pattern, f.Dir)
		return nil
	}
	f.say("%s: found %d matching artifact files and directories", pattern, count)
	return nil
}

// walk takes name and all that lies below it, and returns how many entries that are.
func (f *finder) walk(name string) (count int, err error) {
	// WalkDir would follow name itself.
	if info, err := fs.Lstat(f.fsys, name); err != nil {
		return 0, nil // gone in between
	} else if !info.IsDir() {
		if f.take(name, info) {
			count = 1
		}
		return count, nil
	}
	err = fs.WalkDir(f.fsys, name, func(p string, d fs.DirEntry, err error) error {
		if f.ctx.Err() != nil {
			return context.Cause(f.ctx)
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // gone in between, or reached through a link that leads nowhere
		case err != nil:
			f.say("WARNING: %s: %v", p, err)
			return nil
		case p == ".":
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil // gone in between
		}
		if f.take(p, info) {
			count++
		}
		return nil
	})
	return count, err
}

// take keeps one entry unless a pattern excludes it. It tells whether the entry counts as found.
func (f *finder) take(p string, info fs.FileInfo) bool {
	if _, ok := f.found[p]; ok {
		return true
	}
	if t := info.Mode().Type(); t&^(fs.ModeDir|fs.ModeSymlink) != 0 {
		f.say("WARNING: %s: is neither a file, a folder nor a link; left out", p)
		return false
	}
	for _, e := range f.excludes {
		if ok, _ := doublestar.Match(e.pattern, p); ok {
			f.excluded[e.index]++
			return false
		}
	}
	f.found[p] = info
	return true
}

// untracked takes what git does not track. Without git or a repository it is a warning: the other files are worth keeping.
func (f *finder) untracked() error {
	cmd := exec.CommandContext(f.ctx, "git", "-c", "core.quotePath=false", "ls-files", "-o", "-z")
	cmd.Dir = f.Dir
	out, err := cmd.Output()
	if f.ctx.Err() != nil {
		return context.Cause(f.ctx)
	}
	if err != nil {
		f.say("WARNING: untracked: git ls-files: %v%s", err, lastLine(err))
		return nil
	}
	count := 0
	for name := range strings.SplitSeq(string(out), "\x00") {
		name = strings.TrimSuffix(name, "/") // a repository inside the repository
		if name == "" {
			continue
		}
		n, err := f.walk(name)
		if err != nil {
			return err
		}
		count += n
	}
	if count == 0 {
		f.say("untracked: no files")
		return nil
	}
	f.say("untracked: found %d files", count)
	return nil
}

// lastLine is what a program said last on stderr, after a colon.
func lastLine(err error) string {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(exit.Stderr)), "\n")
	if last := lines[len(lines)-1]; last != "" {
		return ": " + last
	}
	return ""
}
