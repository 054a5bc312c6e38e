package main

import (
	"context"
	"errors"
	"os"
)

// initCache makes folders, a new volume's most often, writable for every user.
func initCache(_ context.Context, args []string, c console) error {
	fs := newFlags("cache-init", c)
	if err := fs.Parse(args); err != nil {
		return exitCode(2)
	}
	if fs.NArg() == 0 {
		return usageError{errors.New("cache-init: name at least one folder")}
	}
	var all error
	for _, dir := range fs.Args() {
		all = errors.Join(all, os.Chmod(dir, 0o777))
	}
	return all
}
