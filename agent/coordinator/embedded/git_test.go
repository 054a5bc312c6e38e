package embedded

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/internal/need"
)

// gitIn runs git as a user would.
func gitIn(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(cleanEnviron(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.test",
		"GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.test")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return strings.TrimSpace(out.String()), err
}

func mustGit(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := gitIn(t, dir, args...)
	if err != nil {
		t.Fatalf("git %v: %v: %s", args, err, out)
	}
	return out
}

// fingerprint is a sum over all files below a folder: names, modes and content.
func fingerprint(t *testing.T, dir string) string {
	t.Helper()
	sum := sha256.New()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		fmt.Fprintf(sum, "%s %v %x\n", path, info.Mode(), content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sum.Sum(nil))
}

// fetch gets the sources as a job does.
func fetch(t *testing.T, j wire) (dir string) {
	t.Helper()
	dir = t.TempDir()
	mustGit(t, dir, "init", "-q")
	args := append([]string{"fetch", "-q", "--prune", j.Git.RepoURL}, j.Git.Refspecs...)
	if j.Git.Depth > 0 {
		args = append(args, fmt.Sprintf("--depth=%d", j.Git.Depth))
	}
	mustGit(t, dir, args...)
	mustGit(t, dir, "checkout", "-f", "-q", j.Git.SHA)
	return dir
}

func TestDirtyWorkTree(t *testing.T) {
	need.Command(t, "git")
	root := folder(t, map[string]string{
		"kept": "1", "changed": "1", "removed": "1", ".gitignore": "*.log\n", "sub/deep": "1",
	})
	mustGit(t, root, "init", "-q", "-b", "rotor")
	mustGit(t, root, "add", ".")
	mustGit(t, root, "commit", "-q", "-m", "First\n\nBody.")
	mustGit(t, root, "tag", "v1")
	head := mustGit(t, root, "rev-parse", "HEAD")
	mustGit(t, root, "config", "user.name", "Grace")
	for name, content := range map[string]string{"changed": "2", "new file": "n", "noise.log": "x", "excluded": "x"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	os.WriteFile(filepath.Join(root, ".git", "info", "exclude"), []byte("excluded\n"), 0o644)
	os.Remove(filepath.Join(root, "removed"))
	mustGit(t, root, "add", "changed")
	before := fingerprint(t, root)

	s, p := begin(t, Options{Root: root}, "job: {script: x}\n")
	j := p.take()
	if got := j.Variables.Get("CI_COMMIT_BEFORE_SHA"); got != head || j.Git.SHA == head || j.Git.Ref != "rotor" {
		t.Errorf("got %s on top of %s (%s); want a commit on top of %s", j.Git.SHA, got, j.Git.Ref, head)
	}
	if got := j.Variables.Get("CI_COMMIT_AUTHOR"); !strings.HasPrefix(got, "Grace <") {
		t.Errorf("author: %q", got)
	}
	p.put(j, map[string]any{"state": "running"})
	got := fetch(t, j)
	for name, want := range map[string]string{"kept": "1", "changed": "2", "new file": "n", "sub/deep": "1", ".gitignore": "*.log\n"} {
		if content, err := os.ReadFile(filepath.Join(got, name)); err != nil || string(content) != want {
			t.Errorf("%s: %q, %v", name, content, err)
		}
	}
	for _, name := range []string{"removed", "noise.log", "excluded"} {
		if _, err := os.Stat(filepath.Join(got, name)); err == nil {
			t.Errorf("%s is in the commit", name)
		}
	}
	j.Git.Depth, j.Git.Refspecs = 0, []string{"+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"}
	if out := mustGit(t, fetch(t, j), "describe", "--tags"); !strings.HasPrefix(out, "v1-1-g") {
		t.Errorf("describe: %s", out)
	}
	if fingerprint(t, root) != before {
		t.Error("the user's folder was changed")
	}
	if left, err := os.ReadDir(filepath.Join(s.Dir(), "repository.git")); err != nil || strings.Contains(fmt.Sprint(left), "index") {
		t.Errorf("left: %v, %v", left, err)
	}
	p.clean()
}

func TestCleanWorkTreeServesHead(t *testing.T) {
	need.Command(t, "git")
	root := folder(t, map[string]string{"a": "1"})
	mustGit(t, root, "init", "-q", "-b", "main")
	mustGit(t, root, "add", ".")
	mustGit(t, root, "commit", "-q", "-m", "Cost $HOME a lot\n\nBody.")
	_, p := begin(t, Options{Root: root}, "job: {script: x}\n")
	j := p.take()
	if head := mustGit(t, root, "rev-parse", "HEAD"); j.Git.SHA != head {
		t.Errorf("got %s; want HEAD %s", j.Git.SHA, head)
	}
	v := j.Variables
	if v.Get("CI_COMMIT_TITLE") != "Cost $HOME a lot" || v.Get("CI_COMMIT_DESCRIPTION") != "Body." || v.Get("CI_COMMIT_AUTHOR") != "Ada <ada@example.test>" {
		t.Errorf("got %q, %q, %q", v.Get("CI_COMMIT_TITLE"), v.Get("CI_COMMIT_DESCRIPTION"), v.Get("CI_COMMIT_AUTHOR"))
	}
	p.put(j, map[string]any{"state": "running"})
	fetch(t, j)
}

func TestFolderInsideAnotherRepository(t *testing.T) {
	need.Command(t, "git")
	outer := folder(t, map[string]string{"outside": "1", "demo/inside": "2", ".gitignore": "demo\n"})
	mustGit(t, outer, "init", "-q")
	_, p := begin(t, Options{Root: filepath.Join(outer, "demo")}, "job: {script: x}\n")
	j := p.take()
	p.put(j, map[string]any{"state": "running"})
	if out := mustGit(t, fetch(t, j), "ls-files"); out != "inside" {
		t.Errorf("got %q", out)
	}
	if got := j.Variables.Get("CI_PROJECT_PATH"); got != "local/demo" {
		t.Errorf("got %q", got)
	}
}

func TestGitRefusals(t *testing.T) {
	s, p := begin(t, Options{}, "job: {script: x}\n")
	j := p.take()
	url := s.URL() + "/" + s.project.path + ".git"
	lsRemote := func(url string) error {
		_, err := gitIn(t, t.TempDir(), "-c", "credential.helper=", "ls-remote", url)
		return err
	}
	if lsRemote(j.Git.RepoURL) == nil {
		t.Error("the token opens the repository before the job runs")
	}
	p.put(j, map[string]any{"state": "running"})
	if err := lsRemote(j.Git.RepoURL); err != nil {
		t.Error(err)
	}
	login := func(user, password string) string {
		return strings.Replace(url, "http://", "http://"+user+":"+password+"@", 1)
	}
	for name, bad := range map[string]string{
		"no login": url, "wrong token": login("gitlab-ci-token", "x"), "wrong user": login("root", j.Token.Reveal()),
		"another project": strings.Replace(j.Git.RepoURL, s.project.path, "local/other", 1),
	} {
		if lsRemote(bad) == nil {
			t.Errorf("%s: the repository opens", name)
		}
	}
	clone := fetch(t, j)
	mustGit(t, clone, "commit", "-q", "--allow-empty", "-m", "x")
	if out, err := gitIn(t, clone, "push", j.Git.RepoURL, "HEAD:refs/heads/x"); err == nil {
		t.Errorf("a push went through: %s", out)
	}
	// Protocol 0 wants the service named first.
	if out, err := gitIn(t, clone, "-c", "protocol.version=0", "ls-remote", j.Git.RepoURL); err != nil {
		t.Errorf("protocol 0: %s", out)
	}
	p.put(j, map[string]any{"state": "success"})
	if lsRemote(j.Git.RepoURL) == nil {
		t.Error("the token opens the repository after the job's end")
	}
}

func TestBadProjects(t *testing.T) {
	need.Command(t, "git")
	file := filepath.Join(t.TempDir(), "file")
	os.WriteFile(file, nil, 0o644)
	for name, o := range map[string]Options{
		"no folder": {Root: filepath.Join(t.TempDir(), "none")}, "a file": {Root: file},
		"bad path": {Root: t.TempDir(), Project: "../x"}, "no group": {Root: t.TempDir(), Project: "x"},
		"bad address": {Addr: "nowhere"}, "bad branch": {Root: t.TempDir(), Branch: "a..b"},
	} {
		if s, err := New(o); err == nil {
			s.Close()
			t.Errorf("%s: no error", name)
		}
	}
}
