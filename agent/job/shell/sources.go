package shell

import (
	"fmt"
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
	CleanConfig  bool // remove hooks and settings that an earlier job may have left
	SafeDir      bool // tell git, for good, that the checkout may belong to another user
	SafeAnywhere bool // and any submodule too: where git's own settings end with the job
	OwnGit       bool // git is that of our helper image, and all of its settings are known
	UserAgent    string
	Correlation  string // X-Gitaly-Correlation-ID; "" leaves it out
	BundleURI    bool
	Proactive    bool // send the token before it is asked for (FF_USE_GIT_PROACTIVE_AUTH; git 2.46)
	NativeClone  bool // clone in the place of init and fetch (FF_USE_GIT_NATIVE_CLONE; git 2.49)
	CloneFlags   []string
	TLS          TLSFiles
	SkipLFS      bool // GIT_LFS_SKIP_SMUDGE
	// CredentialHelper makes git take the token from CI_JOB_TOKEN instead of a rewritten URL (FF_GIT_URLS_WITHOUT_TOKENS).
	CredentialHelper bool
	Submodules       Submodules
	PreHooks         [][]string // entries of hooks in order, config's first
	PostHooks        [][]string
	First            []string // lines that run before everything else
}

// Rewrite makes git use To, which holds a token, wherever an address begins with From.
type Rewrite struct{ From, To string }

// Server is the scheme and host that the rewrite is for, without a slash at the end.
func (r Rewrite) Server() string { return strings.TrimSuffix(r.From, "/") }

// TLSFiles are the paths of TLS files for the servers of Rewrite; "" where there is none.
type TLSFiles struct{ CA, Cert, Key string }

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
	s := newHelper(f, o.First...)
	switch o.Strategy {
	case StrategyNone:
		s.Notice("Skipping Git repository setup")
		s.Command("mkdir", "-p", f.ProjectDir)
		s.handOver()
		return s.Bytes()
	case StrategyEmpty:
		s.Notice("Skipping Git repository setup and creating an empty build directory")
		s.Command("rm", "-rf", f.ProjectDir)
		s.Command("mkdir", "-p", f.ProjectDir)
		s.handOver()
		return s.Bytes()
	}
	for _, hook := range o.PreHooks {
		s.Entries(hook)
	}
	s.Line("export GIT_TERMINAL_PROMPT=0 GCM_INTERACTIVE=Never")
	s.repository(o)
	s.checkout(o)
	s.submodules(o)
	s.forgetToken(o)
	for _, hook := range o.PostHooks {
		s.Entries(hook)
	}
	s.handOver()
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

// repository makes the checkout's repository, or mends the one that is there, and fetches what the job is about.
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
	template := s.template(o)
	s.extConfig(o)
	switch {
	case o.SafeAnywhere && o.SafeDir:
		s.trustAll()
	case o.SafeDir:
		s.Command("git", "config", "--global", "--add", "safe.directory", f.ProjectDir)
		s.Command("git", "config", "--global", "--add", "safe.directory", f.ProjectDir+"/.git")
	}
	if o.Strategy == StrategyClone {
		s.Command("rm", "-rf", f.ProjectDir)
	}
	s.cleanConfig(o)
	s.Linef("if [ -e %[1]s ] || [ -L %[1]s ]; then millwright_new=; else millwright_new=1; fi", f.ProjectDir)
	if o.Strategy == StrategyClone && o.NativeClone {
		s.Line(atLeastGit(2, 49))
		s.clone(o, template)
		s.Line("else")
		s.initialise(o, template)
		s.fetch(o)
		s.Line("fi")
		return
	}
	s.initialise(o, template)
	s.fetch(o)
}

// trustAll makes git take any checkout, whoever it belongs to. Where git has no settings of a user yet they are written as a file.
func (s *Script) trustAll() {
	s.Line(`if [ -z "${HOME:-}" ] || [ -e "${HOME:-}/.gitconfig" ] || [ -n "${GIT_CONFIG_GLOBAL:-}" ]; then millwright_settings=1; ` +
		Words("git", "config", "--global", "--replace-all", "safe.directory", "*") +
		`; else millwright_settings=; printf '[safe]\n\tdirectory = *\n' >"$HOME/.gitconfig"; fi`)
}

func templateDir(f Frame) string { return path.Join(f.TempDir, "git-template") }

// template makes the folder that new repositories are made from, with the settings that every checkout gets. It is written as a file, since
// each call of git costs more than all of its lines.
func (s *Script) template(o Sources) string {
	dir := templateDir(s.frame)
	settings := []setting{
		{"init.defaultBranch", "none"}, {"fetch.recurseSubmodules", "false"},
		{"credential.interactive", "never"}, {"gc.autoDetach", "false"},
	}
	if s.anew(o) {
		settings = append(settings, setting{"remote.origin.url", o.URL}, setting{"remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"},
			setting{"include.path", s.frame.ExtConfig()})
	}
	s.Linef("[ -d %[1]s ] || mkdir -p %[1]s", dir)
	s.writeSettings(path.Join(dir, "config"), settings)
	return dir
}

// anew tells whether git init finds no settings in the checkout and so takes all of the template's.
func (s *Script) anew(o Sources) bool { return o.CleanConfig && !o.NativeClone }

// initialise makes the repository and its remote; both may be there already.
func (s *Script) initialise(o Sources, template string) {
	dir := s.frame.ProjectDir
	init := []string{"git", "init", "--quiet", dir, "--template", template}
	if o.ObjectFormat != "" && o.ObjectFormat != "sha1" {
		init = append(init, "--object-format", o.ObjectFormat)
	}
	fresh := `if [ -n "$millwright_fresh" ]; then ` + notice("Created fresh repository.") + "; fi"
	s.Line("if [ ! -d " + Quote(dir+"/.git") + " ]; then millwright_fresh=1; else millwright_fresh=; fi")
	s.Command(init...)
	s.Cd(dir)
	if s.anew(o) {
		s.Line(fresh)
		return
	}
	s.Linef("if git remote add origin %s >/dev/null 2>&1; then", o.URL)
	s.Line(fresh)
	s.Linef("else git remote set-url origin %s; fi", o.URL)
	s.include()
}

// atLeastGit is an if whose branch is for that version of git and later ones.
func atLeastGit(major, minor int) string {
	return `millwright_git=$(git version); millwright_git=${millwright_git#git version }; millwright_minor=${millwright_git#*.}; ` +
		fmt.Sprintf(`if [ "${millwright_git%%%%.*}" -gt %d ] || { [ "${millwright_git%%%%.*}" -eq %d ] && [ "${millwright_minor%%%%.*}" -ge %d ]; }; then`, major, major, minor)
}

// clone makes the repository in one go. The job's commit need not be what its branch points to by now; it is fetched then.
func (s *Script) clone(o Sources, template string) {
	args := []string{"git", "-c", "include.path=" + s.frame.ExtConfig()}
	if o.UserAgent != "" {
		args = append(args, "-c", "http.userAgent="+o.UserAgent)
	}
	args = append(args, "clone", "--no-checkout", "--template", template)
	if strings.HasPrefix(o.Ref, "refs/") {
		args = append(args, "--revision", o.Ref)
	} else {
		args = append(args, "--branch", o.Ref)
	}
	if o.Depth > 0 {
		args = append(args, "--depth", strconv.Itoa(o.Depth))
	}
	s.Command(slices.Concat(args, o.CloneFlags, []string{o.URL, s.frame.ProjectDir})...)
	s.Cd(s.frame.ProjectDir)
	s.include()
	s.Linef("if ! git cat-file -e %s 2>/dev/null; then", o.SHA+"^{commit}")
	s.fetch(o)
	s.Line("fi")
}

// cleanConfig removes what an earlier job, perhaps of a malicious fork, may have left in the repository: locks of a killed git and,
// unless the configuration wants them kept, hooks and settings that name programs. git init and git submodule write the settings anew.
// They may lie elsewhere, by a link or by the name of another repository: then the checkout is made anew, or a submodule's repository parted
// from them. Source: gitrepository-layout(5), commondir.
func (s *Script) cleanConfig(o Sources) {
	git := s.frame.ProjectDir + "/.git"
	files := []string{"rm", "-rf"}
	for _, name := range []string{"index.lock", "shallow.lock", "HEAD.lock", "config.lock"} {
		files = append(files, git+"/"+name)
	}
	if o.CleanConfig {
		files = append(files, git+"/hooks", git+"/config", git+"/config.worktree")
		s.Linef("if [ -L %[1]s ] || { [ -e %[1]s ] && [ ! -d %[1]s ]; } || [ -e %[2]s ] || [ -L %[2]s ]; then rm -rf %[3]s; fi", git, git+"/commondir", s.frame.ProjectDir)
	}
	s.Line("if [ -e " + Quote(git) + " ]; then " + Words(files...) + "; fi")
	s.Linef("if [ -d %s ]; then find %s -name '*.lock' -type f -exec rm -f {} +; fi", git+"/refs", git+"/refs")
	modules := git + "/modules"
	if o.CleanConfig {
		s.Linef("if [ -L %[1]s ]; then rm -f %[1]s; fi", modules)
	}
	s.Linef("if [ -d %[1]s ]; then find %[1]s -name '*.lock' -type f -exec rm -f {} +", modules)
	if o.CleanConfig {
		s.Linef("find %[1]s -type l -exec rm -f {} +", modules)
		s.Linef("find %[1]s -name hooks -type d -prune -exec rm -rf {} +", modules)
		// A submodule's settings are known by what lies beside them; a branch may be called config.
		s.Linef(`find %s \( -name config -o -name commondir \) -type f -exec sh -c %s sh {} +`, modules, `for f; do if [ -f "${f%/*}/HEAD" ]; then rm -f "$f"; fi; done`)
	}
	s.Line("fi")
}

// ownRepositories removes submodules, below the checkout that the script is in, whose repository is another than one below the checkout's own,
// which cleanConfig has seen. git makes them anew. What is in no submodule is left alone.
func (s *Script) ownRepositories() {
	const check = `top=$1; shift; unset CDPATH; for f; do real=; if [ -f "$f" ] && [ ! -L "$f" ]; then IFS= read -r line <"$f" || :; ` +
		`real=$(cd -- "${f%/*}" && cd -- "${line#gitdir: }" && pwd -P) || real=; fi; ` +
		`case "$real" in "$top"/.git/modules/?*) ;; *) rm -rf "${f%/*}" ;; esac; done`
	s.Linef(`if [ -z "$millwright_new" ]; then millwright_top=$(pwd -P); git -c core.quotePath=false ls-files --stage | while IFS= read -r millwright_entry; do`+
		` case "$millwright_entry" in '160000 '*) find "./${millwright_entry#*	}" -name .git -prune -exec sh -c %s sh "$millwright_top" {} + 2>/dev/null || true ;; esac; done; fi`, check)
}

// extConfig writes the settings that must not stay in .git/config. git's children, which fetch submodules, get the file by include.
func (s *Script) extConfig(o Sources) {
	var list []setting
	set := func(key, value string) { list = append(list, setting{key, value}) }
	for _, r := range o.Rewrite {
		if o.CredentialHelper { // for this server alone: no other one shall get the token
			set("credential."+r.Server()+".helper", "")
			set("credential."+r.Server()+".helper", `!f(){ test "$1" = get && echo username=gitlab-ci-token && echo "password=$CI_JOB_TOKEN"; }; f`)
		} else {
			set("url."+r.To+".insteadOf", r.From)
		}
		if o.Proactive {
			set("http."+r.Server()+".proactiveAuth", "basic")
		}
		for _, kv := range [][2]string{{"sslCAInfo", o.TLS.CA}, {"sslCert", o.TLS.Cert}, {"sslKey", o.TLS.Key}} {
			if kv[1] != "" {
				set("http."+r.Server()+"."+kv[0], kv[1])
			}
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
	s.writeSettings(s.frame.ExtConfig(), list)
}

// include makes the checkout's settings name the file of extConfig.
func (s *Script) include() {
	s.Command("git", "config", "--replace-all", "include.path", s.frame.ExtConfig())
}

// forgetToken tells credential helpers that git may have told the token to. Where git has no settings but ours there are none.
func (s *Script) forgetToken(o Sources) {
	if len(o.Rewrite) == 0 {
		return
	}
	if o.OwnGit && o.SafeAnywhere && o.SafeDir && s.anew(o) {
		s.Line(`if [ -n "$millwright_settings" ] || [ -e /etc/gitconfig ] || [ -e "${XDG_CONFIG_HOME:-$HOME/.config}/git/config" ] ||` +
			` [ -n "${GIT_CONFIG_SYSTEM:-}${GIT_CONFIG_COUNT:-}${GIT_CONFIG_PARAMETERS:-}${GIT_CONFIG:-}" ]; then`)
		defer s.Line("fi")
	}
	for _, r := range o.Rewrite {
		s.Linef(`printf 'url=%%s\nusername=gitlab-ci-token\n\n' %s | git credential reject >/dev/null 2>&1 || true`, r.Server())
	}
}

// tidy settles that a repository is far from what git tidies up without being told: it asks a process for that after each fetch, which costs as
// much as a small fetch. It counts as that process would, below 27 loose objects in one folder and 50 packs, with room for what comes.
// Source: git-gc(1), gc.auto and gc.autoPackLimit.
const tidy = `set -- .git/objects/17/*; if [ "$#" -lt 20 ]; then set -- .git/objects/pack/*.pack; if [ "$#" -lt 40 ]; then millwright_tidy=1; fi; fi; set --`

func (s *Script) fetch(o Sources) {
	var args []string
	if o.UserAgent != "" {
		args = append(args, "-c", "http.userAgent="+o.UserAgent)
	}
	args = append(args, "fetch", "origin", "--no-recurse-submodules")
	args = append(args, o.Refspecs...)
	s.Line("millwright_tidy=$millwright_new") // a repository that is being made has nothing to tidy up yet
	if o.OwnGit && s.anew(o) {                // no settings say otherwise
		s.Line(tidy)
	}
	fetch := func(more ...string) string {
		return "git ${millwright_tidy:+-c maintenance.auto=false} " + Words(slices.Concat(args, more, o.FetchFlags)...)
	}
	if o.Depth > 0 {
		s.Line(fetch("--depth", strconv.Itoa(o.Depth)))
		return
	}
	s.Line("if [ -f .git/shallow ]; then " + fetch("--unshallow") + "; else " + fetch() + "; fi")
}

// lfsPull names LFS's filters itself: a helper image may have the program and not its settings.
const lfsPull = "git -c 'filter.lfs.clean=git-lfs clean -- %f' -c 'filter.lfs.smudge=git-lfs smudge -- %f'" +
	" -c 'filter.lfs.process=git-lfs filter-process' -c filter.lfs.required=true lfs pull"

// lfsNeeded tells whether the checkout may hold pointers of LFS. git itself finds out in a small repository sooner than git-lfs, which takes
// as long as all the rest of a small job's sources; in one that has large packs, or settings for LFS, git-lfs looks by itself.
// Source: git-lfs, docs/spec.md, and the older names of the specification in its lfs/pointer.go.
const lfsNeeded = `{ [ -f .lfsconfig ] || [ -n "$(find .git/objects -type f -size +8192k 2>/dev/null)" ] ||` +
	` { millwright_found=0; git grep -q -a --cached -e '^version https://git-lfs' -e '^version https://hawser' -e '^version http://git-media' || millwright_found=$?;` +
	` [ "$millwright_found" -ne 1 ]; }; }`

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
	if len(o.CleanFlags) > 0 { // nothing is to be cleaned in a folder that was not there
		s.Line(`if [ -z "$millwright_new" ]; then ` + Words(append([]string{"git", "clean"}, o.CleanFlags...)...) + "; fi")
	}
	if !o.SkipLFS {
		s.Line("if " + lfsNeeded + " && git lfs version >/dev/null 2>&1; then " + lfsPull + "; fi")
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
	if o.CleanConfig {
		s.ownRepositories()
	}
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
