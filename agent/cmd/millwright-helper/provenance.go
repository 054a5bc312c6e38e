package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"runtime"
	"time"

	"github.com/millwright-ci/millwright/agent/archive"
)

// provenance says how artifacts came to be, in a file beside them: an in-toto statement with a SLSA predicate.
// Source: GitLab Runner documentation, "Artifact provenance metadata"; slsa.dev/spec/v1.0/provenance.
type provenance struct {
	wanted                             bool
	runnerID, runnerName, executor     string
	repoURL, commit, job, began, ended string
	parameters                         list // names of variables; their values are nobody's business
	schema                             string
}

func (p *provenance) add(fs *flag.FlagSet) {
	fs.BoolVar(&p.wanted, "generate-artifacts-metadata", false, "add a file that says how the artifacts came to be")
	fs.StringVar(&p.runnerID, "runner-id", "", "the runner's id, for that file")
	fs.StringVar(&p.runnerName, "runner-name", "", "the runner's name")
	fs.StringVar(&p.executor, "executor-name", "", "the runner's executor")
	fs.StringVar(&p.repoURL, "repo-url", "", "the repository's address")
	fs.StringVar(&p.commit, "repo-digest", "", "the commit")
	fs.StringVar(&p.job, "job-name", "", "the job's name")
	fs.StringVar(&p.began, "started-at", "", "when the job began, by RFC 3339")
	fs.StringVar(&p.ended, "ended-at", "", "when it ended, by RFC 3339; now, if not given")
	fs.Var(&p.parameters, "metadata-parameter", "the name of a variable of the job; may be repeated")
	fs.StringVar(&p.schema, "schema-version", "v1", "of SLSA's provenance: v1 or v0.2")
}

// statement is an in-toto statement of version 0.1.
type statement struct {
	Type          string    `json:"_type"`
	PredicateType string    `json:"predicateType"`
	Subject       []subject `json:"subject"`
	Predicate     any       `json:"predicate"`
}

type subject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"`
}

// object is a JSON object; encoding/json sorts its keys.
type object map[string]any

// buildType names what the parameters mean.
const buildType = "https://gitlab.com/gitlab-org/gitlab-runner/-/blob/main/PROVENANCE.md"

// file writes the statement for files of dir to name, in dir, and returns it as one more file. A file of that name is the job's own:
// it is replaced with a warning.
func (p *provenance) file(ctx context.Context, c console, dir, name, jobID string, files []archive.File) (archive.File, error) {
	s := statement{Type: "https://in-toto.io/Statement/v0.1", Subject: []subject{}}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return archive.File{}, err
	}
	defer root.Close()
	for _, f := range files {
		if !f.Info.Mode().IsRegular() || f.Path == name {
			continue
		}
		sum, err := digest(ctx, root, f.Path)
		if err != nil {
			return archive.File{}, fmt.Errorf("metadata: %s: %w", f.Path, err)
		}
		s.Subject = append(s.Subject, subject{f.Path, map[string]string{"sha256": sum}})
	}
	if s.PredicateType, s.Predicate = p.v1(jobID); p.schema == "v0.2" {
		s.PredicateType, s.Predicate = p.v02(jobID)
	} else if p.schema != "v1" {
		c.say("WARNING: SLSA_PROVENANCE_SCHEMA_VERSION %q is not known; use v1 or v0.2. Taking v1.", p.schema)
	}
	data, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return archive.File{}, err
	}
	if err := root.Remove(name); err == nil {
		c.say("WARNING: %s: replaced by the artifacts' metadata", name)
	}
	if err := root.WriteFile(name, append(data, '\n'), 0o644); err != nil {
		return archive.File{}, fmt.Errorf("metadata: %w", err)
	}
	info, err := root.Lstat(name)
	return archive.File{Path: name, Info: info}, err
}

// digest is the SHA-256 of a file, in hex.
func digest(ctx context.Context, root *os.Root, name string) (string, error) {
	f, err := root.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	buf := make([]byte, 1<<20)
	for {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		n, err := f.Read(buf)
		h.Write(buf[:n])
		if err == io.EOF {
			return hex.EncodeToString(h.Sum(nil)), nil
		}
		if err != nil {
			return "", err
		}
	}
}

func (p *provenance) names() object {
	names := object{}
	for _, n := range p.parameters {
		names[n] = ""
	}
	return names
}

// builder is the page of the runner.
func (p *provenance) builder() string { return p.source() + "/-/runners/" + p.runnerID }

// source is the repository's address without what may be a secret in it.
func (p *provenance) source() string {
	u, err := url.Parse(p.repoURL)
	if err != nil {
		return ""
	}
	u.User = nil
	return u.String()
}

func (p *provenance) end() string { return cmp.Or(p.ended, time.Now().UTC().Format(time.RFC3339)) }

func (p *provenance) v1(jobID string) (kind string, predicate any) {
	return "https://slsa.dev/provenance/v1", object{
		"buildDefinition": object{
			"buildType":            buildType,
			"externalParameters":   object{"source": p.source(), "entryPoint": p.job, "variables": p.names()},
			"internalParameters":   object{"name": p.runnerName, "executor": p.executor, "architecture": runtime.GOARCH, "job": jobID},
			"resolvedDependencies": []object{{"uri": p.source(), "digest": object{"sha256": p.commit}}},
		},
		"runDetails": object{
			"builder":  object{"id": p.builder(), "version": object{"gitlab-runner": revision}},
			"metadata": object{"invocationID": jobID, "startedOn": p.began, "finishedOn": p.end()},
		},
	}
}

func (p *provenance) v02(jobID string) (kind string, predicate any) {
	return "https://slsa.dev/provenance/v0.2", object{
		"buildType": buildType,
		"builder":   object{"id": p.builder()},
		"invocation": object{
			"configSource": object{"uri": p.source(), "digest": object{"sha256": p.commit}, "entryPoint": p.job},
			"environment":  object{"name": p.runnerName, "executor": p.executor, "architecture": runtime.GOARCH, "job": object{"id": jobID}},
			"parameters":   p.names(),
		},
		"metadata": object{
			"buildStartedOn": p.began, "buildFinishedOn": p.end(), "reproducible": false,
			"completeness": object{"parameters": true, "environment": true, "materials": false},
		},
		"materials": []any{},
	}
}
