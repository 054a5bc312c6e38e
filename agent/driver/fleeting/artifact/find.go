package artifact

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// binaryPrefix begins the name of a plug-in that is a program on the PATH.
const binaryPrefix = "fleeting-plugin-"

// ErrNotInstalled means that a name is well-formed and no plug-in of it is there.
var ErrNotInstalled = errors.New("it is not installed")

// Folder is where plug-ins are installed: $FLEETING_PLUGIN_PATH, else fleeting/plugins in ~/.config, on Windows in %APPDATA%.
func Folder() (string, error) {
	if path := os.Getenv("FLEETING_PLUGIN_PATH"); path != "" {
		return path, nil
	}
	if data := os.Getenv("APPDATA"); runtime.GOOS == "windows" && data != "" {
		return filepath.Join(data, "fleeting", "plugins"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("the folder of fleeting plug-ins: %w; set FLEETING_PLUGIN_PATH", err)
	}
	return filepath.Join(home, ".config", "fleeting", "plugins"), nil
}

// program is the name of a plug-in's binary in its folder.
func program() string {
	if runtime.GOOS == "windows" {
		return "plugin.exe"
	}
	return "plugin"
}

// Find returns the binary of a plug-in: a program of that path, fleeting-plugin-NAME on the PATH, or the newest version installed in folder that the name
// allows. errors.Is(err, ErrNotInstalled) when there is none. Nothing is started or fetched.
func Find(plugin, folder string) (string, error) {
	if path, ok, err := local(plugin); ok {
		return path, err
	}
	r, err := parse(plugin)
	if err != nil {
		return "", err
	}
	there, err := installed(filepath.Join(folder, r.folder()))
	if err != nil {
		return "", fmt.Errorf("plugin %q: %w", plugin, err)
	}
	best, ok := r.constraint.best(there)
	if !ok {
		return "", fmt.Errorf("plugin %q: %w in %s%s; run `millwright fleeting install`, or put %sNAME on the PATH and write plugin = \"%sNAME\"",
			plugin, ErrNotInstalled, filepath.Join(folder, r.folder()), others(there), binaryPrefix, binaryPrefix)
	}
	path := filepath.Join(folder, r.folder(), best.folder(), program())
	if err := runnable(path); err != nil {
		return "", fmt.Errorf("plugin %q: %w", plugin, err)
	}
	return path, nil
}

// others names the versions that are there and won't do.
func others(there []version) string {
	if len(there) == 0 {
		return ""
	}
	var names []string
	for _, v := range there {
		names = append(names, v.String())
	}
	return " (there are " + strings.Join(names, ", ") + ")"
}

// local finds a program that is no registry's: ok tells whether the name is of that kind.
func local(plugin string) (path string, ok bool, err error) {
	switch {
	case filepath.IsAbs(plugin), strings.HasPrefix(plugin, "./"), strings.HasPrefix(plugin, "../"):
		if path, err = filepath.Abs(plugin); err == nil {
			err = runnable(path)
		}
		if err != nil {
			err = fmt.Errorf("plugin %q: %w: %w", plugin, ErrNotInstalled, err)
		}
		return path, true, err
	case strings.HasPrefix(plugin, binaryPrefix) && !strings.ContainsAny(plugin, "/:"):
		if path, err = exec.LookPath(plugin); err == nil {
			return path, true, nil
		}
	}
	return "", false, nil
}

func runnable(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular(), runtime.GOOS != "windows" && info.Mode().Perm()&0o111 == 0:
		return fmt.Errorf("%s is no program", path)
	}
	return nil
}

// capitals are letters as v.folder writes them.
var capitals = regexp.MustCompile("![a-z]")

// installed are the versions in a plug-in's folder, oldest first. A folder that is not there has none.
func installed(dir string) ([]version, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var all []version
	for _, e := range entries {
		if v, err := parseVersion(capitals.ReplaceAllStringFunc(e.Name(), func(s string) string { return strings.ToUpper(s[1:]) })); err == nil && e.IsDir() && v.folder() == e.Name() {
			all = append(all, v)
		}
	}
	slices.SortFunc(all, compare)
	return all, nil
}
