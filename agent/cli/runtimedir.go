package cli

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
)

// runtimeDir is where the state of running jobs is kept, which holds their tokens and so belongs on a tmpfs: where systemd says
// (RUNTIME_DIRECTORY), else /run/millwright, else that of the user's session (XDG_RUNTIME_DIR), else, with a warning, below the state
// directory.
func runtimeDir(stateDir string, log *slog.Logger) string {
	given, _, _ := strings.Cut(os.Getenv("RUNTIME_DIRECTORY"), ":")
	dirs := []string{given, "/run/millwright"}
	if session := os.Getenv("XDG_RUNTIME_DIR"); session != "" {
		dirs = append(dirs, filepath.Join(session, "millwright"))
	}
	for _, dir := range dirs {
		if filepath.IsAbs(dir) && os.MkdirAll(dir, 0o700) == nil && writable(dir) {
			return dir
		}
	}
	dir := filepath.Join(stateDir, "run")
	log.Warn("The state of running jobs, which holds their tokens, is kept on disk; set RUNTIME_DIRECTORY to a folder on a tmpfs", "folder", dir)
	return dir
}

// writable tells whether a folder can be made in dir.
func writable(dir string) bool {
	probe, err := os.MkdirTemp(dir, ".probe-*")
	return err == nil && os.Remove(probe) == nil
}
