package provision

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
)

// dockerdPlace stands for the engine's path, which the machine knows.
const dockerdPlace = "@DOCKERD@"

// firstBootMark is a file in the folder of a machine that sets itself up.
const firstBootMark = "first-boot"

// FirstBoot returns a script for sh by which m, which is about to be made, does at its first boot what the host would do over SSH: install the
// engine where there is none, and start it with certificates that are made here. It is "" for a machine that can't have one: others log in to it
// with keys that are not ours. Options are checked.
//
// Nobody knows the machine's address yet, so its engine's certificate has its name only.
// The script holds the engine's private key. Whoever reads the machine's user data, as every process on most clouds can, reads that key; it is
// good for being this machine's engine, and for nothing else.
func (p *Provisioner) FirstBoot(ctx context.Context, m fleet.Machine) (string, error) {
	if _, foreign := p.loginOf(m); foreign {
		return "", nil
	}
	script, err := p.firstBoot(ctx, m)
	if err != nil {
		return "", fmt.Errorf("machine %s: first boot: %w", m.Name, err)
	}
	return script, nil
}

func (p *Provisioner) firstBoot(ctx context.Context, m fleet.Machine) (string, error) {
	opts, err := parseEngineOptions(m.Driver, m.Options)
	if err != nil {
		return "", err
	}
	m.Instance.Address = ""
	ca, server, err := p.machineCerts(ctx, m, opts.sans)
	if err != nil {
		return "", err
	}
	r := &run{p: p, m: m}
	daemon, err := opts.daemonJSON(nil, r.enginePort())
	if err != nil {
		return "", err
	}
	files := opts.engineFiles(ca, server, daemon, dockerdPlace)
	stamp := script{files: files}.stamp()
	left := ""
	if !m.ExpiresAt.IsZero() {
		left = strconv.Itoa(int(max(time.Until(m.ExpiresAt), time.Second).Seconds()))
	}
	for _, name := range []string{"first-boot", "install", "engine", "end"} {
		body, err := scripts.ReadFile("scripts/" + name + ".sh")
		if err != nil {
			return "", err
		}
		files = append(files, file{name: name + ".sh", data: body})
	}
	files = append(files, managerFile, envFile(map[string]string{
		"FIRST_BOOT": "yes", "URL": opts.installURL, "HOWS": installers(), "PORT": r.enginePort(), "STAMP": stamp, "LEFT": left, "NAME": m.Name,
	}))
	packed, err := selfExtracting(files)
	if err != nil {
		return "", err
	}
	return packed, writeFile(filepath.Join(p.store.machine(m.Name), firstBootMark), nil, 0o600)
}

// installers are the words by which first-boot.sh finds out how to install an engine.
func installers() string {
	var words []string
	for _, s := range systems {
		for _, id := range s.ids {
			if s.install != "" {
				words = append(words, id+"="+s.install)
			}
		}
	}
	return strings.Join(words, " ")
}

// selfExtracting packs files into a script that runs first-boot.sh among them. Clouds take 16 KB of user data, so it is packed tightly.
func selfExtracting(files []file) (string, error) {
	archive, err := tarOfFiles(files)
	if err != nil {
		return "", err
	}
	var buf bytes.Buffer
	w, err := gzip.NewWriterLevel(&buf, gzip.BestCompression)
	if err != nil {
		return "", err
	}
	if _, err := w.Write(archive); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("#!/bin/sh\n# Millwright: makes a Docker engine of this machine.\n" +
		"umask 077\nd=$(mktemp -d) || exit 1\ntrap 'rm -rf \"$d\"' EXIT\nbase64 -d >\"$d/files\" <<'MILLWRIGHT'\n")
	text := base64.StdEncoding.EncodeToString(buf.Bytes())
	for len(text) > 0 {
		n := min(len(text), 120)
		b.WriteString(text[:n] + "\n")
		text = text[n:]
	}
	b.WriteString("MILLWRIGHT\ngzip -dc <\"$d/files\" | tar -xf - -C \"$d\" && cd \"$d\" && sh ./first-boot.sh\n")
	return b.String(), nil
}

// bootsItself waits for a machine that does all at its first boot; done is false for all others, and for one that did not do it in time, to which
// the agent logs in. A machine with GPUs is logged in to as well: somebody must ask them.
func (r *run) bootsItself(ctx context.Context) (done bool, err error) {
	mark := filepath.Join(r.p.store.machine(r.m.Name), firstBootMark)
	if r.foreign || r.hasGPUs() || !exists(mark) {
		return false, unmark(mark)
	}
	err = r.step(ctx, PhaseEngine, func(ctx context.Context) error {
		limit := r.p.opts.FirstBootTimeout
		ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no engine within %s", limit))
		defer cancel()
		return r.waitEngine(ctx)
	})
	switch {
	case err == nil:
		return true, r.step(ctx, PhaseImage, r.image)
	case ctx.Err() != nil:
		return false, err
	}
	r.log.Warn("the first boot made no engine of the machine; logging in to do it", "error", err)
	return false, unmark(mark)
}

// unmark takes the mark of a machine away that sets itself up.
func unmark(mark string) error {
	if err := os.Remove(mark); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
