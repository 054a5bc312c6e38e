package cli

import (
	"os"
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"
)

// defaultConfig is where config.toml lies, as for gitlab-runner.
func defaultConfig() string {
	if path := os.Getenv("CONFIG_FILE"); path != "" {
		return path
	}
	if runtime.GOOS == "windows" {
		return "config.toml"
	}
	if os.Geteuid() == 0 {
		return "/etc/gitlab-runner/config.toml"
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".gitlab-runner", "config.toml")
	}
	return "config.toml"
}

// defaultStateDir is where an agent keeps its machines, its owner id and its socket.
func defaultStateDir() string {
	if dir := os.Getenv("MILLWRIGHT_STATE_DIR"); dir != "" {
		return dir
	}
	if runtime.GOOS != "windows" && os.Geteuid() == 0 {
		return "/var/lib/millwright"
	}
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "millwright")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "millwright-state"
	}
	return filepath.Join(home, ".local", "state", "millwright")
}

func stateDirFlag(c *cobra.Command) *string {
	return c.Flags().String("state-dir", defaultStateDir(), "where machines, keys and the socket lie (MILLWRIGHT_STATE_DIR)")
}

func configFlag(c *cobra.Command) *string {
	return c.Flags().StringP("config", "c", defaultConfig(), "the configuration file (CONFIG_FILE)")
}

// helperArchive finds the helper image's archive: where MILLWRIGHT_HELPER_DIR says, beside the binary, or in ../share/millwright of
// it. It returns "" when there is none; jobs then need helper_image in config.toml.
func helperArchive(arch string) string {
	name := "helper-image-" + arch + ".tar"
	var dirs []string
	if dir := os.Getenv("MILLWRIGHT_HELPER_DIR"); dir != "" {
		dirs = append(dirs, dir)
	}
	if exe, err := os.Executable(); err == nil {
		if real, err := filepath.EvalSymlinks(exe); err == nil {
			exe = real
		}
		dirs = append(dirs, filepath.Dir(exe), filepath.Join(filepath.Dir(exe), "..", "share", "millwright"))
	}
	for _, dir := range dirs {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}
