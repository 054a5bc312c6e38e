package shell

import (
	"path"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/coordinator"
)

// HelperBinary is the program in the helper image that knows artifacts and caches.
const HelperBinary = "gitlab-runner-helper"

// newHelper begins a script for the helper container: what it makes may be written by whatever user the build container has.
// On a host both have the same user, and others must not write to it. The lines of first run before the variables are set.
func newHelper(f Frame, first ...string) *Script {
	switch {
	case f.Host:
	case f.Owner != "":
		first = append([]string{"umask 0022"}, first...)
	default:
		first = append([]string{"umask 0000"}, first...)
	}
	s := begin(f, first...)
	if !f.Trace {
		s.word = f.LastWord
	}
	return s
}

// handOver gives what a stage made to the build container's user.
func (s *Script) handOver() {
	if s.frame.Owner != "" {
		s.Command("chown", "-RP", s.frame.Owner, s.frame.ProjectDir, s.frame.TempDir)
	}
}

// Prepare is the script of prepare_script: it says where it runs, makes new volumes writable and the temporary directory empty.
func Prepare(f Frame, via string, dirs []string) []byte {
	bare := f
	bare.Variables = nil
	s := newHelper(bare)
	if via == "" {
		s.Line(`printf 'Running on %s...\n' "$(hostname)"`)
	} else {
		s.Linef(`printf 'Running on %%s via %%s...\n' "$(hostname)" %s`, via)
	}
	for _, line := range Preparation(f, dirs) {
		s.Line(line)
	}
	return s.Bytes()
}

// Preparation are the lines by which Prepare makes new volumes writable and the temporary directory empty. They may run again.
func Preparation(f Frame, dirs []string) []string {
	var lines []string
	if len(dirs) > 0 { // chmod is there sooner than a helper, whose program is many times as large
		names := Words(dirs...)
		lines = append(lines, "chmod 0777 "+names+" 2>/dev/null || "+HelperBinary+" cache-init "+names+" >/dev/null 2>&1 || true")
	}
	temp := Quote(f.TempDir)
	lines = append(lines, "if [ -e "+temp+" ] || [ -L "+temp+" ]; then rm -rf "+temp+"; fi")
	if f.Host { // it holds the job's secrets, and other users may be about
		return append(lines, "mkdir -p "+Quote(path.Dir(f.TempDir)), "mkdir -m 0700 "+temp)
	}
	lines = append(lines, "mkdir -p "+Quote(templateDir(f))) // the folder in it is wanted next, for one process
	if f.Init {
		to := Quote(InitFile(f.TempDir))
		lines = append(lines, "cp /usr/bin/millwright-init "+to+" 2>/dev/null || rm -f "+to) // GitLab's helper image has none
	}
	return lines
}

// InitFile is where millwright-init lies for build containers, which see of the helper's files what is in volumes.
func InitFile(tempDir string) string { return path.Join(tempDir, ".millwright-init") }

// Cleanup is the script of cleanup_file_variables: no variable's content and no token outlives the job.
func Cleanup(f Frame, projects []string) []byte {
	bare := f
	bare.Variables = nil
	s := newHelper(bare)
	for _, line := range projects {
		s.Line(line)
	}
	s.Command("rm", "-rf", f.TempDir)
	return s.Bytes()
}

// CleanProject returns the lines by which Cleanup tidies the checkout (FF_ENABLE_JOB_CLEANUP).
func CleanProject(f Frame, strategy string, cleanFlags []string, submodules bool) []string {
	dir := Quote(f.ProjectDir)
	switch strategy {
	case StrategyNone:
		return []string{say("Skipping build directory cleanup step")}
	case StrategyFetch:
		lines := []string{"if [ -d " + dir + "/.git ]; then cd " + dir, "git clean " + Words(cleanFlags...), "git reset --hard"}
		if submodules {
			lines = append(lines, "git submodule foreach --recursive "+Quote("git clean "+Words(cleanFlags...)+" && git reset --hard"))
		}
		return append(lines, "cd /; fi")
	}
	return []string{"rm -rf " + dir}
}

// Download is one dependency whose artifacts the job takes.
type Download struct{ Name, ID, Token string }

// DownloadArtifacts is the script of download_artifacts.
func DownloadArtifacts(f Frame, url string, downloads []Download) []byte {
	s := newHelper(f)
	s.Cd(f.ProjectDir)
	s.withHelper("Artifacts downloading", func() {
		for _, d := range downloads {
			s.Notice("Downloading artifacts for " + d.Name + " (" + d.ID + ")...")
			s.Command(HelperBinary, "artifacts-downloader", "--url", url, "--token", d.Token, "--id", d.ID)
		}
	})
	s.handOver()
	return s.Bytes()
}

// Upload says where artifacts go.
type Upload struct {
	URL, Token, ID        string
	Timeout               time.Duration // of one upload
	ResponseHeaderTimeout time.Duration
	Provenance            []string // flags that make the archive hold how it came to be; nil for none
}

// UploadArtifacts is the script of upload_artifacts_on_success and its twin. The first upload that fails ends it.
func UploadArtifacts(f Frame, to Upload, artifacts []coordinator.Artifact) []byte {
	s := newHelper(f)
	s.Cd(f.ProjectDir)
	s.withHelper("Uploading artifacts", func() {
		for _, a := range artifacts {
			args := []string{HelperBinary, "artifacts-uploader", "--url", to.URL, "--token", to.Token, "--id", to.ID}
			args = limit(args, "--timeout", to.Timeout, ownTimeout)
			args = limit(args, "--response-header-timeout", to.ResponseHeaderTimeout, ownResponseHeaderTimeout)
			args = files(args, a.Paths, a.Exclude, a.Untracked)
			args = flag(args, "--name", a.Name)
			args = flag(args, "--expire-in", a.ExpireIn)
			args = flag(args, "--artifact-format", a.Format)
			args = flag(args, "--artifact-type", a.Type)
			if a.Format == "" || a.Format == "zip" {
				args = append(args, to.Provenance...)
			}
			s.Notice("Uploading artifacts...")
			s.Command(args...)
		}
	})
	return s.Bytes()
}

// The limits of uploads that helpers keep by themselves, ours and GitLab's.
const (
	ownTimeout               = time.Hour
	ownResponseHeaderTimeout = 10 * time.Minute
)

// limit adds a flag for a limit that is another than the helper's own: GitLab's helper 17.5 ends at flags that it does not know.
func limit(args []string, name string, d, own time.Duration) []string {
	if d == own {
		return args
	}
	return append(args, name, d.String())
}

// flag adds a flag that has a value.
func flag(args []string, name, value string) []string {
	if value == "" {
		return args
	}
	return append(args, name, value)
}

func files(args, paths, exclude []string, untracked bool) []string {
	for _, p := range paths {
		args = append(args, "--path", p)
	}
	for _, p := range exclude {
		args = append(args, "--exclude", p)
	}
	if untracked {
		args = append(args, "--untracked")
	}
	return args
}

// withHelper adds lines that need the helper binary. A helper image without it costs these lines, not the job.
func (s *Script) withHelper(what string, lines func()) {
	s.findHelper()
	s.Line("if " + HelperBinary + " --version >/dev/null 2>&1; then")
	lines()
	s.Line("else")
	s.Warning("Missing " + HelperBinary + ". " + what + " is disabled.")
	s.Line("fi")
}

// findHelper makes the helper binary's name mean something on a host: the agent's own, or a gitlab-runner that is installed there, which
// knows the same commands.
func (s *Script) findHelper() {
	f := s.frame
	switch {
	case !f.Host:
	case f.HelperDir != "":
		s.Line("export PATH=" + Quote(f.HelperDir) + `:"$PATH"`)
	default:
		bin := path.Join(f.TempDir, "bin")
		s.Line("if ! command -v " + HelperBinary + " >/dev/null 2>&1; then for millwright_name in millwright-helper gitlab-runner; do" +
			` if millwright_found="$(command -v "$millwright_name" 2>/dev/null)"; then ` + Words("mkdir", "-p", bin) +
			`; ln -sf "$millwright_found" ` + Quote(path.Join(bin, HelperBinary)) + "; export PATH=" + Quote(bin) + `:"$PATH"; break; fi; done; fi`)
	}
}

// relative is a path seen from the project's directory, as the helper wants its cache files.
func relative(projectDir, file string) string {
	dir := strings.Split(strings.Trim(path.Clean(projectDir), "/"), "/")
	parts := strings.Split(strings.Trim(path.Clean(file), "/"), "/")
	same := 0
	for same < len(dir) && same < len(parts) && dir[same] == parts[same] {
		same++
	}
	return strings.Repeat("../", len(dir)-same) + strings.Join(parts[same:], "/")
}
