package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/millwright-ci/millwright/agent/config"
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

// defaultStateDir is where an agent keeps its machines, its owner id and its socket, unless millwright.toml says otherwise.
func defaultStateDir() string { return config.DefaultOperator(defaultConfig()).StateDir }

// stateDirFlag adds --state-dir and, where it is missing, --config. Before the command runs the value is made whole by takeStateDir.
func stateDirFlag(c *cobra.Command) *string {
	if c.Flags().Lookup("config") == nil {
		configFlag(c)
	}
	dir := c.Flags().String("state-dir", "", "where machines, keys and the socket lie (MILLWRIGHT_STATE_DIR; default: state_dir of millwright.toml, else "+
		defaultStateDir()+")")
	c.Flags().Lookup("state-dir").Annotations = map[string][]string{fromOperator: nil}
	return dir
}

// fromOperator marks a --state-dir whose default stands in millwright.toml.
const fromOperator = "millwright.toml"

// takeStateDir gives --state-dir the value of millwright.toml beside --config, where the command line has none: so every command finds
// the state directory of the agent that runs with that configuration. The environment wins over the file.
func takeStateDir(c *cobra.Command) error {
	f := c.Flags().Lookup("state-dir")
	if f == nil || f.Changed && f.Value.String() != "" {
		return nil
	}
	if _, ours := f.Annotations[fromOperator]; !ours {
		return nil
	}
	path, err := c.Flags().GetString("config")
	if err != nil {
		return err
	}
	op, diagnostics, err := config.LoadOperator(path)
	for _, d := range diagnostics { // another directory than the one that is meant would have none of its machines
		if d.Severity == config.SeverityError && d.Section == "" && (d.Key == "" || d.Key == "state_dir") {
			err = errors.Join(err, errors.New(d.String()))
		}
	}
	switch {
	case err == nil:
		return f.Value.Set(op.StateDir)
	case os.Getenv("MILLWRIGHT_STATE_DIR") != "":
		return f.Value.Set(config.DefaultOperator(path).StateDir)
	}
	return fmt.Errorf("the state directory: %w; or name it with --state-dir", err)
}

func configFlag(c *cobra.Command) *string {
	return c.Flags().StringP("config", "c", defaultConfig(), "the configuration file (CONFIG_FILE)")
}

// helperArchive finds the helper image's archive: where MILLWRIGHT_HELPER_DIR says, beside the binary, or in ../share/millwright of
// it. It returns "" when there is none; jobs then need helper_image in config.toml.
func helperArchive(arch string) string {
	return shipped("helper-image-" + arch + ".tar")
}

// shipped finds a file that ships with the binary; "" when it is not there.
func shipped(name string) string {
	for _, dir := range shippedDirs() {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

func shippedDirs() []string {
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
	return dirs
}
