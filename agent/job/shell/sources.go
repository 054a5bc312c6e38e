package shell

import (
	"path"
	"slices"
	"strconv"
	"strings"
)

// The strategies of GIT_STRATEGY.
const (
	StrategyFetch = "fetch"
	StrategyClone = "clone"
	StrategyNone  = "none"
	StrategyEmpty = "empty"
)

// Sources says what get_sources does.
type Sources struct {
	Strategy     string
	URL          string // without credentials: what .git/config holds
	Rewrite      []Rewrite
	ObjectFormat string // sha1 when empty
	SHA, Ref     string
	Refspecs     []string
	Depth        int // 0 = all
	Checkout     bool
	CleanFlags   []string // none: no git clean
	FetchFlags   []string
	CleanConfig  bool // remove locks, hooks and settings that an earlier job may have left
	SafeDir      bool
	UserAgent    string
	Correlation  string // X-Gitaly-Correlation-ID; "" leaves it out
	BundleURI    bool
	TLS          TLSFiles
	SkipLFS      bool // the user set GIT_LFS_SKIP_SMUDGE
	// CredentialHelper makes git take the token from CI_JOB_TOKEN instead of a rewritten URL (FF_GIT_URLS_WITHOUT_TOKENS).
	CredentialHelper bool
	Submodules       Submodules
	PreHooks         [][]string // entries of hooks in order, config's first
	PostHooks        [][]string
}

// Rewrite makes git use To, which holds a token, wherever an address begins with From.
type Rewrite struct{ From, To string }

// TLSFiles are the variables that hold the paths of TLS files for the server; "" where there is none.
type TLSFiles struct {
	Server        string // scheme and host
	CA, Cert, Key string // paths
}

// Submodules says which submodules are taken.
type Submodules struct {
	Strategy   string // none, normal, recursive
	Depth      int
	Paths      []string
	Flags      []string
	ForceHTTPS []Rewrite // GIT_SUBMODULE_FORCE_HTTPS: SSH addresses of the server
}

// On tells whether submodules are wanted.
func (m Submodules) On() bool { return m.Strategy == "normal" || m.Strategy == "recursive" }

// ExtConfig is the file beside the checkout that holds what git may know only while the job runs: the token above all.
func (f Frame) ExtConfig() string { return path.Join(f.TempDir, ".gitlab-runner.ext.conf") }

// GetSources is the script of get_sources.
func GetSources(f Frame, o Sources) []byte {
	s := newHelper(f)
	switch o.Strategy {
	case StrategyNone:
		s.Notice("Skipping Git repository setup")
		s.Command("mkdir", "-p", f.ProjectDir)
		return s.Bytes()
	case StrategyEmpty:
		s.Notice("Skipping Git repository setup and creating an empty build directory")
		s.Command("rm", "-rf", f.ProjectDir)
		s.Command("mkdir", "-p", f.ProjectDir)
		return s.Bytes()
	}
	for _, hook := range o.PreHooks {
		s.Entries(hook)
	}
	s.Line("export GIT_TERMINAL_PROMPT=0 GCM_INTERACTIVE=Never")
	s.repository(o)
	s.fetch(o)
	s.checkout(o)
	s.submodules(o)
	for _, hook := range o.PostHooks {
		s.Entries(hook)
	}
	return s.Bytes()
}

// ClearWorktree is the script of clear_worktree, which runs before another try of get_sources.
func ClearWorktree(f Frame) []byte {
	bare := f
	bare.Variables = nil
	s := newHelper(bare)
	dir := Quote(f.ProjectDir)
	s.Line("rm -rf " + dir + "/* " + dir + "/.[!.]* " + dir + "/..?*")
	return s.Bytes()
}

// repository makes or mends the checkout's repository and its settings.
func (s *Script) repository(o Sources) {
	f := s.frame
	if o.Correlation != "" {
		s.Notice("Gitaly correlation ID: " + o.Correlation)
	}
	if o.Depth > 0 {
		s.Notice("Fetching changes with git depth set to " + strconv.Itoa(o.Depth) + "...")
	} else {
		s.Notice("Fetching changes...")
	}
	template := path.Join(f.TempDir, "git-template")
	s.Command("mkdir", "-p", template)
	settings := path.Join(template, "config")
	for _, kv := range [][2]string{
		{"init.defaultBranch", "none"}, {"fetch.recurseSubmodules", "false"},
		{"credential.interactive", "never"}, {"gc.autoDetach", "false"},
	} {
		s.Command("git", "config", "-f", settings, kv[0], kv[1])
	}
	for _, kv := range [][2]string{{"sslCAInfo", o.TLS.CA}, {"sslCert", o.TLS.Cert}, {"sslKey", o.TLS.Key}} {
		if kv[1] != "" {
			s.Command("git", "config", "-f", settings, "http."+o.TLS.Server+"."+kv[0], kv[1])
		}
	}
	if o.Strategy == StrategyClone {
		s.Command("rm", "-rf", f.ProjectDir)
	}
	if o.CleanConfig {
		s.cleanConfig(f.ProjectDir)
	}
	init := []string{"git", "init", "--quiet", f.ProjectDir, "--template", template}
	if o.ObjectFormat != "" && o.ObjectFormat != "sha1" {
		init = append(init, "--object-format", o.ObjectFormat)
	}
	s.Line("if [ ! -d " + Quote(f.ProjectDir+"/.git") + " ]; then millwright_fresh=1; else millwright_fresh=; fi")
	s.Command(init...)
	s.Cd(f.ProjectDir)
	if o.SafeDir {
		s.Command("git", "config", "--global", "--add", "safe.directory", f.ProjectDir)
		s.Command("git", "config", "--global", "--add", "safe.directory", f.ProjectDir+"/.git")
	}
	s.Linef("if git remote add origin %s >/dev/null 2>&1; then", o.URL)
	s.Line(`if [ -n "$millwright_fresh" ]; then ` + notice("Created fresh repository.") + "; fi")
	s.Linef("else git remote set-url origin %s; fi", o.URL)
	s.extConfig(o)
}

// cleanConfig removes what an earlier job, perhaps of a malicious fork, may have left in the repository: locks of a killed git,
// hooks, and settings that name programs. git init writes the settings anew.
func (s *Script) cleanConfig(dir string) {
	git := Quote(dir + "/.git")
	for _, lock := range []string{"index.lock", "shallow.lock", "HEAD.lock", "config.lock", "hooks", "config"} {
		s.Command("rm", "-rf", dir+"/.git/"+lock)
	}
	s.Line("if [ -d " + git + "/refs ]; then find " + git + "/refs -name '*.lock' -type f -exec rm -f {} +; fi")
	s.Line("if [ -d " + git + "/modules ]; then find " + git + "/modules -name '*.lock' -type f -exec rm -f {} +;" +
		" find " + git + "/modules -name hooks -type d -prune -exec rm -rf {} +; fi")
}

// extConfig writes the settings that must not stay in .git/config, and makes the checkout include them.
func (s *Script) extConfig(o Sources) {
	ext := s.frame.ExtConfig()
	s.Command("rm", "-f", ext)
	set := func(key, value string) { s.Command("git", "config", "-f", ext, "--add", key, value) }
	if o.CredentialHelper {
		set("credential.helper", "")
		set("credential.helper", `!f(){ test "$1" = get && echo username=gitlab-ci-token && echo "password=$CI_JOB_TOKEN"; }; f`)
	} else {
		for _, r := range o.Rewrite {
			set("url."+r.To+".insteadOf", r.From)
		}
	}
	for _, r := range o.Submodules.ForceHTTPS {
		set("url."+r.To+".insteadOf", r.From)
	}
	if o.Correlation != "" {
		set("http.extraHeader", "X-Gitaly-Correlation-ID: "+o.Correlation)
	}
	if o.BundleURI {
		set("transfer.bundleURI", "true")
	}
	s.Command("git", "config", "--replace-all", "include.path", ext)
}

func (s *Script) fetch(o Sources) {
	args := []string{"git"}
	if o.UserAgent != "" {
		args = append(args, "-c", "http.userAgent="+o.UserAgent)
	}
	args = append(args, "fetch", "origin", "--no-recurse-submodules")
	args = append(args, o.Refspecs...)
	if o.Depth > 0 {
		s.Command(slices.Concat(args, []string{"--depth", strconv.Itoa(o.Depth)}, o.FetchFlags)...)
		return
	}
	s.Line("if [ -f .git/shallow ]; then " + Words(slices.Concat(args, []string{"--unshallow"}, o.FetchFlags)...) + "; else " +
		Words(slices.Concat(args, o.FetchFlags)...) + "; fi")
}

// lfsPull names LFS's filters itself: a helper image may have the program and not its settings.
const lfsPull = "git -c 'filter.lfs.clean=git-lfs clean -- %f' -c 'filter.lfs.smudge=git-lfs smudge -- %f'" +
	" -c 'filter.lfs.process=git-lfs filter-process' -c filter.lfs.required=true lfs pull"

func (s *Script) checkout(o Sources) {
	if !o.Checkout {
		s.Notice("Skipping Git checkout")
		return
	}
	ref := ""
	if o.Ref != "" {
		ref = " (ref is " + o.Ref + ")"
	}
	s.Notice("Checking out " + o.SHA[:min(8, len(o.SHA))] + " as detached HEAD" + ref + "...")
	// LFS files come in one go afterwards, not one by one while git checks out.
	s.Line("GIT_LFS_SKIP_SMUDGE=1 " + Words("git", "-c", "submodule.recurse=false", "checkout", "-f", "-q", o.SHA))
	if len(o.CleanFlags) > 0 {
		s.Command(append([]string{"git", "clean"}, o.CleanFlags...)...)
	}
	if !o.SkipLFS {
		s.Line("if git lfs version >/dev/null 2>&1; then " + lfsPull + "; fi")
	}
}

func (s *Script) submodules(o Sources) {
	m := o.Submodules
	if !o.Checkout {
		return
	}
	if !m.On() {
		s.Notice("Skipping Git submodules setup")
		return
	}
	text, recursive := "Updating/initializing submodules", []string(nil)
	if m.Strategy == "recursive" {
		text, recursive = text+" recursively", []string{"--recursive"}
	}
	update := slices.Concat([]string{"git", "-c", "include.path=" + s.frame.ExtConfig(), "submodule", "update", "--init"}, recursive)
	if m.Depth > 0 {
		text += " with git depth set to " + strconv.Itoa(m.Depth)
		update = append(update, "--depth", strconv.Itoa(m.Depth))
	}
	s.Notice(text + "...")
	update = append(update, m.Flags...)
	if len(m.Paths) > 0 {
		update = append(append(update, "--"), m.Paths...)
	}
	sync := Words(slices.Concat([]string{"git", "submodule", "sync"}, recursive)...)
	// The smudge of LFS files waits, and the settings with the token reach git's children by the environment.
	run := "GIT_LFS_SKIP_SMUDGE=1 " + Words(update...)
	s.Command("git", "submodule", "init")
	s.Line(sync)
	each := Words(slices.Concat([]string{"git", "submodule", "foreach"}, recursive)...) + " "
	clean := each + Quote(Words(append([]string{"git", "clean"}, o.CleanFlags...)...))
	reset := each + Quote("git reset --hard")
	if len(o.CleanFlags) > 0 {
		s.Line(clean)
	}
	s.Line(reset)
	s.Line("if ! " + run + "; then")
	s.Warning("Updating submodules failed. Retrying...")
	s.Line(sync)
	s.Line(run)
	s.Line("fi")
	if len(o.CleanFlags) > 0 {
		s.Line(clean)
	}
	s.Notice("Configuring submodules to use parent git credentials...")
	s.Line(each + Quote(Words("git", "config", "--replace-all", "include.path", s.frame.ExtConfig())))
	if !o.SkipLFS {
		s.Line("if git lfs version >/dev/null 2>&1; then")
		s.Notice("Pulling LFS files...")
		s.Line(each + Quote(lfsPull))
		s.Line("fi")
	}
}

// Fields splits a variable such as GIT_CLEAN_FLAGS into words; none means no flags at all.
func Fields(value, fallback string) []string {
	if value == "" {
		value = fallback
	}
	if value == "none" {
		return nil
	}
	return strings.Fields(value)
}
