package shell

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/internal/forge"
	"github.com/millwright-ci/millwright/agent/internal/need"
)

const jobToken = "glcbt-not-to-be-found"

// clone is one get_sources against a forge, to be run as often as a test likes.
type clone struct {
	f       *forge.Forge
	frame   Frame
	sources Sources
	path    string // more programs than the system has
	home    string
}

func newClone(t *testing.T, f *forge.Forge, repository, sha string) *clone {
	t.Helper()
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, []byte(f.CA), 0o600); err != nil {
		t.Fatal(err)
	}
	with, err := url.Parse(f.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	with.User = url.UserPassword("gitlab-ci-token", f.Token)
	return &clone{f: f, home: t.TempDir(),
		frame: Frame{ProjectDir: filepath.Join(dir, "p"), TempDir: filepath.Join(dir, "p.tmp"), Variables: coordinator.Variables{{Key: "CI_JOB_TOKEN", Value: f.Token}}},
		sources: Sources{
			Strategy: StrategyFetch, URL: f.URL + "/" + repository + ".git", Rewrite: []Rewrite{{From: f.URL + "/", To: with.String()}}, SHA: sha, Ref: "main",
			Refspecs: []string{"+refs/heads/*:refs/remotes/origin/*"}, Checkout: true, CleanFlags: []string{"-ffdx"}, FetchFlags: []string{"--prune", "--quiet"},
			CleanConfig: true, SafeDir: true, TLS: TLSFiles{CA: ca}, Submodules: Submodules{Strategy: "none"},
		}}
}

// takeSubmodules is for all of a family.
func (c *clone) takeSubmodules() {
	c.sources.Submodules.Strategy = "recursive"
	c.sources.Submodules.ForceHTTPS = []Rewrite{{From: "git@127.0.0.1:", To: c.sources.Rewrite[0].To}}
}

// run runs get_sources and returns what it said.
func (c *clone) run(t *testing.T) (string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(file, GetSources(c.frame, c.sources), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bash", file)
	cmd.Env = []string{"PATH=" + c.path + os.Getenv("PATH"), "HOME=" + c.home, "GIT_CONFIG_NOSYSTEM=1"}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// good runs get_sources and wants it to succeed, with no token left in the checkout.
func (c *clone) good(t *testing.T) string {
	t.Helper()
	out, err := c.run(t)
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	err = filepath.WalkDir(c.frame.ProjectDir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if strings.Contains(string(data), c.f.Token) {
			t.Errorf("%s holds the token", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// holds checks files of the checkout: name and content in turn; a content of "-" stands for no file.
func (c *clone) holds(t *testing.T, pairs ...string) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		data, err := os.ReadFile(filepath.Join(c.frame.ProjectDir, pairs[i]))
		switch {
		case pairs[i+1] == "-" && !errors.Is(err, os.ErrNotExist):
			t.Errorf("%s is there: %v", pairs[i], err)
		case pairs[i+1] != "-" && string(data) != pairs[i+1]:
			t.Errorf("%s holds %q, %v; want %q", pairs[i], data, err, pairs[i+1])
		}
	}
}

func server(t *testing.T) *forge.Forge {
	t.Helper()
	need.Command(t, "bash")
	return forge.New(t, "127.0.0.1", jobToken)
}

// family makes a project with submodules: a relative one, which has one of its own, and one by SSH.
func family(f *forge.Forge) (top string) {
	inner := f.Commit("group/inner", map[string]string{"f": "inner"})
	sub := f.Commit("group/sub", map[string]string{"f": "sub"}, forge.Module{Path: "deep", URL: "../inner.git", SHA: inner})
	host := strings.TrimPrefix(f.URL, "https://")
	host = host[:strings.LastIndexByte(host, ':')]
	return f.Commit("group/top", map[string]string{"f": "top"},
		forge.Module{Path: "sub", URL: "../sub.git", SHA: sub},
		forge.Module{Path: "ssh", URL: "git@" + host + ":group/inner.git", SHA: inner})
}

func TestSubmodules(t *testing.T) {
	f := server(t)
	top := family(f)
	host := strings.Split(strings.TrimPrefix(f.URL, "https://"), ":")[0]
	for _, tt := range []struct {
		name   string
		change func(*Sources)
		holds  []string
		says   string
	}{
		{name: "none", holds: []string{"f", "top", "sub/f", "-"}, says: "Skipping Git submodules setup"},
		{name: "normal", change: func(s *Sources) { s.Submodules.Strategy = "normal" },
			holds: []string{"sub/f", "sub", "ssh/f", "inner", "sub/deep/f", "-"}, says: "Updating/initializing submodules..."},
		{name: "recursive", change: func(s *Sources) { s.Submodules.Strategy = "recursive" },
			holds: []string{"sub/f", "sub", "sub/deep/f", "inner", "ssh/f", "inner"}, says: "Updating/initializing submodules recursively..."},
		{name: "shallow", change: func(s *Sources) { s.Depth, s.Submodules.Strategy, s.Submodules.Depth = 1, "recursive", 1 },
			holds: []string{"sub/f", "sub", "sub/deep/f", "inner"}, says: "Updating/initializing submodules recursively with git depth set to 1..."},
		{name: "some paths", change: func(s *Sources) { s.Submodules.Strategy, s.Submodules.Paths = "normal", []string{"ssh"} },
			holds: []string{"ssh/f", "inner", "sub/f", "-"}},
		{name: "all but", change: func(s *Sources) {
			s.Submodules.Strategy, s.Submodules.Paths = "normal", []string{":(exclude)ssh"}
		}, holds: []string{"ssh/f", "-", "sub/f", "sub"}},
		{name: "more flags", change: func(s *Sources) {
			s.Submodules.Strategy, s.Submodules.Flags = "normal", []string{"--remote", "--jobs", "4"}
		},
			holds: []string{"sub/f", "sub"}},
		{name: "by credential helper", change: func(s *Sources) { s.Submodules.Strategy, s.CredentialHelper = "recursive", true },
			holds: []string{"sub/f", "sub", "sub/deep/f", "inner", "ssh/f", "inner"}},
		{name: "anywhere safe", change: func(s *Sources) { s.Submodules.Strategy, s.SafeAnywhere, s.Proactive = "recursive", true, true },
			holds: []string{"sub/deep/f", "inner"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newClone(t, f, "group/top", top)
			if tt.change != nil {
				tt.change(&c.sources)
			}
			to := c.sources.Rewrite[0].To
			if c.sources.CredentialHelper {
				to = c.sources.Rewrite[0].From
			}
			c.sources.Submodules.ForceHTTPS = []Rewrite{{From: "git@" + host + ":", To: to}}
			for range 2 { // what is there is gone through once more
				if out := c.good(t); !strings.Contains(out, tt.says) {
					t.Errorf("it does not say %q:\n%s", tt.says, out)
				}
				c.holds(t, tt.holds...)
			}
		})
	}
}

// A submodule's new commit is fetched, though its settings were thrown away meanwhile.
func TestSubmoduleMoves(t *testing.T) {
	t.Parallel()
	f := server(t)
	c := newClone(t, f, "group/top", family(f))
	c.takeSubmodules()
	c.good(t)
	f.Commit("group/sub", map[string]string{"f": "between"})
	sub := f.Commit("group/sub", map[string]string{"f": "newer"})
	f.Commit("group/sub", map[string]string{"f": "newest"})
	c.sources.SHA = f.Commit("group/top", map[string]string{"f": "top"}, forge.Module{Path: "sub", URL: "../sub.git", SHA: sub})
	c.good(t)
	c.holds(t, "sub/f", "newer", "sub/deep/f", "-", "ssh/f", "-")
}

// The token goes to the server that it is for, and to no other, whatever a project's submodules name.
func TestTokenStaysHome(t *testing.T) {
	f, foreign := server(t), server(t)
	for _, helper := range []bool{false, true} {
		t.Run(fmt.Sprintf("credential helper %v", helper), func(t *testing.T) {
			sha := f.Commit(fmt.Sprintf("group/top-%v", helper), map[string]string{"f": "x"},
				forge.Module{Path: "sub", URL: foreign.URL + "/group/sub.git", SHA: foreign.Commit("group/sub", map[string]string{"f": "x"})})
			c := newClone(t, f, fmt.Sprintf("group/top-%v", helper), sha)
			c.sources.Submodules.Strategy, c.sources.CredentialHelper = "normal", helper
			ca := c.sources.TLS.CA // the foreign server is trusted too, or git would not come so far
			if err := os.WriteFile(ca, []byte(f.CA+foreign.CA), 0o600); err != nil {
				t.Fatal(err)
			}
			settings := "[http \"" + foreign.URL + "\"]\n\tsslCAInfo = " + ca + "\n"
			if err := os.WriteFile(filepath.Join(c.home, ".gitconfig"), []byte(settings), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := c.run(t)
			if err == nil || !strings.Contains(out, "Updating submodules failed. Retrying...") || !strings.Contains(out, "could not read Username") {
				t.Errorf("got %v; want the submodule to fail for want of a login, twice:\n%s", err, out)
			}
			if got := foreign.Logins(); len(got) > 0 {
				t.Errorf("the foreign server got %q", got)
			}
		})
	}
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte("gitlab-ci-token:"+jobToken))
	if got := f.Logins(); len(got) != 1 || got[0] != want {
		t.Errorf("the job's server got %q, want %q", got, want)
	}
}

// What an earlier job left, killed in the middle or with evil in mind, neither stops this one nor runs in it.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	f := server(t)
	c := newClone(t, f, "group/top", family(f))
	c.takeSubmodules()
	c.good(t)
	owned := filepath.Join(t.TempDir(), "owned")
	evil := "#!/bin/sh\ntouch " + owned + "\n"
	leave := func(name, content string) {
		t.Helper()
		path := filepath.Join(c.frame.ProjectDir, ".git", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	for _, lock := range []string{"index.lock", "shallow.lock", "HEAD.lock", "config.lock", "refs/remotes/origin/main.lock", "modules/sub/index.lock", "modules/sub/config.lock"} {
		leave(lock, "")
	}
	for _, repository := range []string{"", "modules/sub/", "modules/sub/modules/deep/"} {
		leave(repository+"hooks/post-checkout", evil)
		settings, err := os.ReadFile(filepath.Join(c.frame.ProjectDir, ".git", repository, "config"))
		if err != nil {
			t.Fatal(err)
		}
		monitor := filepath.Join(t.TempDir(), "monitor")
		if err := os.WriteFile(monitor, []byte(evil), 0o755); err != nil {
			t.Fatal(err)
		}
		leave(repository+"config", string(settings)+"[core]\n\tfsmonitor = "+monitor+"\n\tsshCommand = "+monitor+"\n")
	}
	c.good(t)
	c.holds(t, "f", "top", "sub/f", "sub", "sub/deep/f", "inner")
	if _, err := os.Stat(owned); err == nil {
		t.Error("what an earlier job left has been run")
	}
	// With clean_git_config = false settings stay; locks go all the same.
	c.sources.CleanConfig = false
	leave("index.lock", "")
	leave("hooks/x", "")
	c.good(t)
	c.holds(t, ".git/hooks/x", "", ".git/index.lock", "-")
}

// Native clone needs a newer git than most images have; with another one the sources come by fetch.
func TestNativeClone(t *testing.T) {
	f := server(t)
	first := f.Commit("group/top", map[string]string{"f": "first"})
	second := f.Commit("group/top", map[string]string{"f": "second"})
	// disguise is this machine's git which says that it is another release: it has all that a clone of a branch takes.
	disguise := func(version string) string {
		dir := t.TempDir()
		script := "#!/bin/sh\nif [ \"$1\" = version ]; then echo git version " + version + "; else exec " + need.Command(t, "git") + " \"$@\"; fi\n"
		if err := os.WriteFile(filepath.Join(dir, "git"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		return dir + ":"
	}
	older, newer := disguise("2.48.1"), disguise("2.49.0")
	for _, tt := range []struct {
		name, path, sha, want string
		depth                 int
		fresh                 bool
	}{
		{name: "older git", path: older, sha: second, want: "second", fresh: true},
		{name: "branch", path: newer, sha: second, want: "second"},
		{name: "the branch has moved on", path: newer, sha: first, want: "first"},
		{name: "shallow", path: newer, sha: second, want: "second", depth: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newClone(t, f, "group/top", tt.sha)
			c.path = tt.path
			c.sources.Strategy, c.sources.NativeClone, c.sources.Depth, c.sources.CloneFlags = StrategyClone, true, tt.depth, []string{"--no-tags", "-c", "clone.extra=yes"}
			out := c.good(t)
			c.holds(t, "f", tt.want)
			if got := strings.Contains(out, "Created fresh repository."); got != tt.fresh {
				t.Errorf("by fetch: %v, want %v:\n%s", got, tt.fresh, out)
			}
			settings, err := os.ReadFile(filepath.Join(c.frame.ProjectDir, ".git", "config"))
			if err != nil || strings.Contains(string(settings), "extra = yes") == tt.fresh {
				t.Errorf("GIT_CLONE_EXTRA_FLAGS did not reach the clone alone: %v\n%s", err, settings)
			}
			shallow := exec.Command("git", "rev-parse", "--is-shallow-repository")
			shallow.Dir = c.frame.ProjectDir
			if got, err := shallow.Output(); err != nil || strings.TrimSpace(string(got)) != fmt.Sprint(tt.depth > 0) {
				t.Errorf("shallow: %s, %v", got, err)
			}
		})
	}
}

// A credential helper, which git tells the token that it has used, forgets it at the stage's end, wherever its setting comes from.
func TestTokenIsForgotten(t *testing.T) {
	t.Parallel()
	f := server(t)
	sha := f.Commit("group/top", map[string]string{"f": "x"})
	ours := func(s *Sources) { s.OwnGit, s.SafeAnywhere = true, true }
	for _, tt := range []struct {
		name, file string // file of settings below the home
		change     func(*Sources)
		hook       bool // a job's hook writes it
	}{
		{name: "of the host", file: ".gitconfig"},
		{name: "in our helper image", file: ".gitconfig", change: ours},
		{name: "in the other file of a user's", file: ".config/git/config", change: ours},
		{name: "of a hook", file: ".gitconfig", change: ours, hook: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newClone(t, f, "group/top", sha)
			if tt.change != nil {
				tt.change(&c.sources)
			}
			store, told, file := filepath.Join(c.home, "store"), filepath.Join(c.home, "told"), filepath.Join(c.home, tt.file)
			spy := "!f(){ [ \"$1\" != store ] || echo x >" + told + "; }; f"
			settings := fmt.Sprintf("[credential]\n\thelper = store --file=%s\n\thelper = %q\n", store, spy)
			if tt.hook {
				c.sources.PreHooks = [][]string{{"printf %s " + Quote(settings) + " >" + Quote(file)}}
			} else if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(settings), 0o600)); err != nil {
				t.Fatal(err)
			}
			c.good(t)
			if data, _ := os.ReadFile(told); len(data) == 0 {
				t.Error("git told no helper: this test shows nothing")
			}
			if data, err := os.ReadFile(store); err != nil || strings.Contains(string(data), jobToken) {
				t.Errorf("the store holds %q, %v", data, err)
			}
		})
	}
}

// Where git has no settings but ours, they are one file, and there is no helper to be told anything.
func TestOwnSettings(t *testing.T) {
	t.Parallel()
	f := server(t)
	c := newClone(t, f, "group/top", f.Commit("group/top", map[string]string{"f": "x"}))
	c.sources.OwnGit, c.sources.SafeAnywhere = true, true
	for range 2 { // another try finds what the first one has written
		c.good(t)
		c.holds(t, "f", "x")
		if data, err := os.ReadFile(filepath.Join(c.home, ".gitconfig")); err != nil || string(data) != "[safe]\n\tdirectory = *\n" {
			t.Fatalf("git's settings are %q, %v", data, err)
		}
	}
}

// A checkout's settings may lie elsewhere, and so may those of its submodules: what an earlier job has arranged that way is not taken either.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	f := server(t)
	top := family(f)
	for name, arrange := range map[string]string{
		"a file that names the repository":       `mv .git ../evil && echo "gitdir: ../evil" >.git`,
		"a link to the repository":               `mv .git ../evil && ln -s ../evil .git`,
		"a repository that names a common one":   `cp -r .git ../evil && echo ../../evil >.git/commondir`,
		"a submodule's that names a common one":  `cp -r .git/modules/sub ../evil && echo ../../../../evil >.git/modules/sub/commondir`,
		"a submodule's that lies elsewhere":      `mv .git/modules/sub ../evil && git config -f ../evil/config core.worktree "$PWD/sub" && echo "gitdir: ../../evil" >sub/.git`,
		"a link in the place of a submodule's":   `mv .git/modules/sub ../evil && git config -f ../evil/config core.worktree "$PWD/sub" && ln -s ../../../evil .git/modules/sub`,
		"a link in the place of the submodules'": `mv .git/modules ../evil && git config -f ../evil/sub/config core.worktree "$PWD/sub" && ln -s ../../evil .git/modules`,
		"a checkout of a repository's":           `git worktree add -q --detach ../tree && mv .git ../evil && mv ../tree/.git .git`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClone(t, f, "group/top", top)
			c.takeSubmodules()
			c.good(t)
			owned, monitor := filepath.Join(t.TempDir(), "owned"), filepath.Join(t.TempDir(), "monitor")
			if err := os.WriteFile(monitor, []byte("#!/bin/sh\ntouch "+owned+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			settings := "[core]\n\tfsmonitor = " + monitor + "\n\tsshCommand = " + monitor + "\n\thooksPath = " + filepath.Dir(monitor) + "\n"
			cmd := exec.Command("sh", "-c", "set -e; cd "+Quote(c.frame.ProjectDir)+"; "+arrange+"; printf %s "+Quote(settings)+" | tee -a $(find ../evil -name config -type f)")
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.home, "GIT_CONFIG_NOSYSTEM=1"}
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v:\n%s", err, out)
			}
			c.good(t)
			c.holds(t, "f", "top", "sub/f", "sub", "sub/deep/f", "inner")
			if _, err := os.Stat(owned); err == nil {
				t.Error("what an earlier job left has been run")
			}
		})
	}
}

// After a fetch git is asked whether the repository is to be tidied up where that may be so, and our helper's git nowhere else.
func TestTidy(t *testing.T) {
	t.Parallel()
	f := server(t)
	const asks = "run_command: git maintenance run --auto"
	sha := f.Commit("group/top", map[string]string{"f": "x"})
	for _, own := range []bool{true, false} {
		c := newClone(t, f, "group/top", sha)
		c.sources.OwnGit = own
		c.frame.Variables = append(c.frame.Variables, coordinator.Variable{Key: "GIT_TRACE", Value: "1"})
		if out := c.good(t); strings.Contains(out, asks) || !strings.Contains(out, "run_command: ") {
			t.Errorf("own git %v: a new repository:\n%s", own, out)
		}
		if out := c.good(t); strings.Contains(out, asks) == own {
			t.Errorf("own git %v: one with little in it:\n%s", own, out)
		}
		for dir, n := range map[string]int{".git/objects/17": 25, ".git/objects/pack": 45} {
			dir = filepath.Join(c.frame.ProjectDir, dir)
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			for i := range n {
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%038x.pack", i)), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if out, _ := c.run(t); !strings.Contains(out, asks) {
				t.Errorf("own git %v: one with much in %s:\n%s", own, dir, out)
			}
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}
	}
}
