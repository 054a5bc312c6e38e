// Command run makes one smallest machine in the account whose credentials the environment has, runs a job on it, removes it, and fails if anything
// is left: see docs/cloud-trial.md.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/millwright-ci/millwright/agent/internal/cloudtrial"
	"github.com/millwright-ci/millwright/hostfuncs/credentials"
)

func main() {
	check := flag.Bool("check", false, "only tell whether the settings are there")
	dir := flag.String("dir", filepath.Join(".cache", "cloud-trial"), "where configuration and state lie; the next trial goes on with them")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: run [flags] google|amazonec2")
		flag.PrintDefaults()
	}
	flag.Parse()
	if err := trial(flag.Arg(0), *dir, *check); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func trial(driver, dir string, check bool) error {
	settings := cloudtrial.Settings{}
	for _, name := range cloudtrial.Names {
		settings[name] = os.Getenv(name)
	}
	store := credentials.NewStore(credentials.Options{})
	defer store.Close()
	t, err := settings.Trial(driver, store)
	if err != nil || check {
		return err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	t.Dir, t.Out = filepath.Join(dir, driver), os.Stdout
	if err := os.MkdirAll(t.Dir, 0o700); err != nil {
		return err
	}
	t.HelperArchive = func(arch string) string { return filepath.Join("bin", "helper-image-"+arch+".tar") }
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return t.Run(ctx)
}
