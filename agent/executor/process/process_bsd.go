//go:build unix && !linux

package process

import (
	"os/exec"
	"strconv"
	"strings"
)

// since is when a process began, as ps says it; "" when there is none.
func since(pid int) string {
	out, err := exec.Command("ps", "-o", "lstart=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// boot is not asked: the time that since gives has a date.
func boot() string { return "" }

// marked finds nobody: the environment of others can't be read here.
func marked(string) []int { return nil }
