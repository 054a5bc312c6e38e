package embedded

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// noSHA stands for "no commit before".
const noSHA = "0000000000000000000000000000000000000000"

var projectPath = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)+$`)

// project is the folder as a repository: one commit of what is there, in a bare repository of our own.
type project struct {
	path          string // group/name
	repository    string // the bare repository
	format        string // sha1 or sha256
	branch        string
	defaultBranch string
	sha, before   string
	message       string
	authorName    string
	authorEmail   string
	committed     time.Time
}

// name is the last part of the path.
func (p *project) name() string { return p.path[strings.LastIndex(p.path, "/")+1:] }

// git runs git for one repository.
type git struct {
	env []string
	dir string
}

// run returns what git prints, trimmed of blanks. An error holds what git said.
func (g git) run(ctx context.Context, args ...string) (string, error) {
	// Nobody's hooks, monitors or index layouts take part, and a folder of another user (root runs jobs for all) is read all the same.
	name := args[0]
	args = append([]string{"-c", "safe.directory=*", "-c", "core.hooksPath=" + os.DevNull, "-c", "core.fsmonitor=false",
		"-c", "core.splitIndex=false", "-c", "gc.auto=0", "-c", "advice.addEmbeddedRepo=false"}, args...)
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = g.dir
	cmd.Env = append(cleanEnviron(), g.env...)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		text := strings.TrimSpace(complaint.String())
		return "", fmt.Errorf("git %s: %s", name, cmp.Or(text, err.Error()))
	}
	return strings.TrimSpace(out.String()), nil
}

// cleanEnviron is our environment without what would point git elsewhere.
func cleanEnviron() []string {
	var out []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "GIT_") {
			out = append(out, e)
		}
	}
	return append(out, "GIT_TERMINAL_PROMPT=0", "LC_ALL=C")
}

// openProject makes a bare repository at path that holds a commit of the folder: HEAD itself when nothing is changed, else a commit
// on top of HEAD; a folder that is no work tree's top gets a single commit. Objects that the user's repository has are not copied
// but looked up there; nothing is written to it.
func openProject(ctx context.Context, o Options, path string) (*project, error) {
	if _, err := exec.LookPath("git"); err != nil {
		return nil, errors.New("git is missing; install it")
	}
	root, err := filepath.Abs(o.Root)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(root); err != nil || !info.IsDir() {
		return nil, cmp.Or(err, errors.New("not a folder"))
	}
	p := &project{repository: path, path: o.Project, format: "sha1", before: noSHA, branch: "main"}
	if p.path == "" {
		p.path = "local/" + cmp.Or(strings.Trim(unsafeInName.ReplaceAllString(filepath.Base(root), "-"), "-."), "project")
	}
	if !projectPath.MatchString(p.path) {
		return nil, fmt.Errorf("%q is no project path; write it as group/name", p.path)
	}
	if _, err := os.Lstat(path); err == nil {
		return nil, fmt.Errorf("%s exists; give each server a folder of its own", path)
	}
	user := git{dir: root}
	isWorkTree := false
	if top, err := user.run(ctx, "rev-parse", "--show-toplevel"); err == nil && sameFile(top, root) {
		isWorkTree = true
		if format, err := user.run(ctx, "rev-parse", "--show-object-format"); err == nil {
			p.format = format
		}
	}
	if _, err := user.run(ctx, "init", "--quiet", "--bare", "--initial-branch=main", "--object-format="+p.format, path); err != nil {
		return nil, err
	}
	if isWorkTree {
		err = p.takeWorkTree(ctx, user, root)
	} else {
		err = p.takeFolder(ctx, root)
	}
	if err != nil {
		return nil, err
	}
	p.branch = cmp.Or(o.Branch, p.branch)
	p.defaultBranch = cmp.Or(p.defaultBranch, p.branch)
	return p, p.publish(ctx)
}

func sameFile(a, b string) bool {
	first, err := os.Stat(a)
	if err != nil {
		return false
	}
	second, err := os.Stat(b)
	return err == nil && os.SameFile(first, second)
}

// takeFolder commits a folder that is no repository.
func (p *project) takeFolder(ctx context.Context, root string) error {
	g := git{dir: root, env: []string{"GIT_DIR=" + p.repository, "GIT_WORK_TREE=" + root, "GIT_INDEX_FILE=" + filepath.Join(p.repository, "index.tmp")}}
	defer os.Remove(filepath.Join(p.repository, "index.tmp"))
	tree, err := addAll(ctx, g)
	if err != nil {
		return err
	}
	p.sha, err = commit(ctx, g, tree, "", "The folder as it is")
	return err
}

// takeWorkTree commits the state of a work tree, with the user's own settings and ignore rules, into our object store.
func (p *project) takeWorkTree(ctx context.Context, user git, root string) error {
	place := func(name string) (string, error) {
		out, err := user.run(ctx, "rev-parse", "--git-path", name)
		if err != nil || filepath.IsAbs(out) {
			return out, err
		}
		return filepath.Join(root, out), nil
	}
	objects, err := place("objects")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(p.repository, "objects", "info", "alternates"), []byte(filepath.ToSlash(objects)+"\n"), 0o600); err != nil {
		return err
	}
	if shallow, err := place("shallow"); err == nil {
		if err := copyIfThere(shallow, filepath.Join(p.repository, "shallow")); err != nil {
			return err
		}
	}
	index := filepath.Join(p.repository, "index.tmp")
	defer os.Remove(index)
	if own, err := place("index"); err == nil {
		if err := copyIfThere(own, index); err != nil {
			return err
		}
	}
	g := git{dir: root, env: []string{"GIT_INDEX_FILE=" + index, "GIT_OBJECT_DIRECTORY=" + filepath.Join(p.repository, "objects")}}
	tree, err := addAll(ctx, g)
	if err != nil {
		return err
	}
	if head, err := user.run(ctx, "symbolic-ref", "--quiet", "--short", "HEAD"); err == nil {
		p.branch = head
	}
	if ref, err := user.run(ctx, "symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD"); err == nil {
		_, p.defaultBranch, _ = strings.Cut(ref, "/")
	}
	head, err := user.run(ctx, "rev-parse", "--verify", "--quiet", "HEAD")
	if err != nil {
		head = ""
	}
	if err := p.copyTags(ctx, user); err != nil {
		return err
	}
	if head != "" {
		if headTree, err := user.run(ctx, "rev-parse", head+"^{tree}"); err == nil && headTree == tree {
			p.sha = head
			if parent, err := user.run(ctx, "rev-parse", "--verify", "--quiet", head+"^"); err == nil {
				p.before = parent
			}
			return nil
		}
		p.before = head
	}
	p.sha, err = commit(ctx, g, tree, head, "What is changed and not yet committed")
	return err
}

// addAll puts everything that is not ignored into the index and returns the tree.
func addAll(ctx context.Context, g git) (string, error) {
	if _, err := g.run(ctx, "add", "--all", "--", "."); err != nil {
		return "", err
	}
	return g.run(ctx, "write-tree")
}

// commit makes a commit in the user's name, or in ours where git knows none.
func commit(ctx context.Context, g git, tree, parent, message string) (string, error) {
	name, _ := g.run(ctx, "config", "user.name")
	email, _ := g.run(ctx, "config", "user.email")
	name, email = cmp.Or(name, "Millwright"), cmp.Or(email, "millwright@localhost")
	g.env = append(g.env, "GIT_AUTHOR_NAME="+name, "GIT_AUTHOR_EMAIL="+email, "GIT_COMMITTER_NAME="+name, "GIT_COMMITTER_EMAIL="+email)
	args := []string{"commit-tree", "--no-gpg-sign", "-m", message, tree}
	if parent != "" {
		args = append(args, "-p", parent)
	}
	return g.run(ctx, args...)
}

// copyTags lets `git describe` work in jobs.
func (p *project) copyTags(ctx context.Context, user git) error {
	tags, err := user.run(ctx, "for-each-ref", "--format=%(objectname) %(refname)", "refs/tags")
	if err != nil || tags == "" {
		return err
	}
	return os.WriteFile(filepath.Join(p.repository, "packed-refs"), []byte(tags+"\n"), 0o600)
}

// copyIfThere copies a file with its time: git tells by the index's time which files it must look into again.
func copyIfThere(from, to string) error {
	content, err := os.ReadFile(from)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if err := os.WriteFile(to, content, 0o600); err != nil {
		return err
	}
	return os.Chtimes(to, info.ModTime(), info.ModTime())
}

// publish makes the refs that jobs fetch and reads what CI_COMMIT_* say.
func (p *project) publish(ctx context.Context) error {
	g := git{dir: p.repository, env: []string{"GIT_DIR=" + p.repository}}
	steps := [][]string{
		{"update-ref", "refs/heads/" + p.branch, p.sha},
		{"update-ref", fmt.Sprintf("refs/pipelines/%d", pipelineID), p.sha},
		{"symbolic-ref", "HEAD", "refs/heads/" + p.branch},
		{"config", "uploadpack.allowAnySHA1InWant", "true"},
		{"config", "uploadpack.allowFilter", "true"},
	}
	for _, step := range steps {
		if _, err := g.run(ctx, step...); err != nil {
			return err
		}
	}
	text, err := g.run(ctx, "log", "-1", "--format=%an%n%ae%n%cI%n%B", p.sha)
	if err != nil {
		return err
	}
	lines := strings.SplitN(text, "\n", 4)
	if len(lines) < 3 {
		return fmt.Errorf("git log: got %q", text)
	}
	p.authorName, p.authorEmail = lines[0], lines[1]
	if p.committed, err = time.Parse(time.RFC3339, lines[2]); err != nil {
		return fmt.Errorf("git log: %w", err)
	}
	if len(lines) == 4 {
		p.message = lines[3]
	}
	return nil
}

// cacheKey makes a key of files' content: prefix and a hash of the blobs' ids, "default" for files that are not there. GitLab
// hashes the commits that last changed the files; those of a commit made a moment ago would never be the same twice.
func (p *project) cacheKey(ctx context.Context, prefix string, files []string) string {
	g := git{dir: p.repository, env: []string{"GIT_DIR=" + p.repository}}
	key := "default"
	ids, err := g.run(ctx, append([]string{"ls-tree", "--full-tree", "-r", p.sha, "--"}, files...)...)
	if err == nil && ids != "" {
		sum := sha1.Sum([]byte(ids))
		key = hex.EncodeToString(sum[:])
	}
	if prefix == "" {
		return key
	}
	return prefix + "-" + key
}
