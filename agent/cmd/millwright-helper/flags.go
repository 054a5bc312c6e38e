package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"

	"github.com/millwright-ci/millwright/agent/archive"
)

// list is a flag that may be given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, " ") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

func newFlags(name string, c console) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(c.err)
	return fs
}

// parse reads the flags; anything beside them is a mistake.
func parse(fs *flag.FlagSet, args []string) error {
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return exitCode(2) // the flag package has said it
	}
	if fs.NArg() > 0 {
		return usageError{fmt.Errorf("%s: %q is no flag", fs.Name(), fs.Arg(0))}
	}
	return nil
}

// required refuses empty flags; pairs are name and value.
func required(fs *flag.FlagSet, pairs ...string) error {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			return usageError{fmt.Errorf("%s: --%s is missing", fs.Name(), pairs[i])}
		}
	}
	return nil
}

// filesFlags choose files of the working directory.
type filesFlags struct {
	paths, exclude list
	untracked      bool
}

func (f *filesFlags) add(fs *flag.FlagSet) {
	fs.Var(&f.paths, "path", "files and folders to take; may be repeated")
	fs.Var(&f.exclude, "exclude", "files to leave out; may be repeated")
	fs.BoolVar(&f.untracked, "untracked", false, "also take what git does not track")
}

// selection says which files are meant, variables expanded.
func (f *filesFlags) selection(c console) (archive.Selection, error) {
	dir, err := os.Getwd()
	if err != nil {
		return archive.Selection{}, err
	}
	s := archive.Selection{Dir: dir, Untracked: f.untracked}
	for _, p := range f.paths {
		s.Paths = append(s.Paths, expandText(p, c))
	}
	for _, p := range f.exclude {
		s.Exclude = append(s.Exclude, expandText(p, c))
	}
	return s, nil
}

// expandText expands variables of the environment by the rules of a POSIX shell within double quotes: ${NAME:-default} works, running a
// command does not. What cannot be expanded is kept as it is, with a warning.
func expandText(text string, c console) string {
	word, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Document(strings.NewReader(text))
	if err == nil {
		var out string
		if out, err = expand.Document(&expand.Config{Env: expand.ListEnviron(os.Environ()...)}, word); err == nil {
			return out
		}
	}
	c.say("WARNING: %q: cannot be expanded: %v; taken as it is", text, err)
	return text
}
