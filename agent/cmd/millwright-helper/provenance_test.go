package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestProvenance(t *testing.T) {
	type statement struct {
		Type          string `json:"_type"`
		PredicateType string `json:"predicateType"`
		Subject       []struct {
			Name   string            `json:"name"`
			Digest map[string]string `json:"digest"`
		} `json:"subject"`
		Predicate json.RawMessage `json:"predicate"`
	}
	for schema, want := range map[string]struct{ kind, holds string }{
		"v1":   {"https://slsa.dev/provenance/v1", `"entryPoint":"build"`},
		"v0.2": {"https://slsa.dev/provenance/v0.2", `"buildStartedOn":"2026-01-02T03:04:05Z"`},
		"v9":   {"https://slsa.dev/provenance/v1", `"startedOn":"2026-01-02T03:04:05Z"`},
	} {
		t.Run(schema, func(t *testing.T) {
			var got received
			s := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
				got = receive(t, r)
				w.WriteHeader(http.StatusCreated)
			})
			code, out := helper(t, project(t, "out/a.txt"), uploadArgs(s.URL, "--path", "out", "--name", "mine", "--artifact-format", "zip", "--generate-artifacts-metadata",
				"--runner-id", "7", "--runner-name", "a runner", "--executor-name", "docker", "--repo-url", "https://user:geheim@gitlab.example.com/g/p", "--repo-digest", "abc",
				"--job-name", "build", "--started-at", "2026-01-02T03:04:05Z", "--metadata-parameter", "CI", "--schema-version", schema)...)
			if code != 0 || strings.Contains(out, "is not known") != (schema == "v9") {
				t.Fatalf("exit code %d: %s", code, out)
			}
			zr, err := zip.NewReader(bytes.NewReader(got.content), int64(len(got.content)))
			if err != nil {
				t.Fatal(err)
			}
			f, err := zr.Open("mine-metadata.json")
			if err != nil {
				t.Fatal(err)
			}
			data, err := io.ReadAll(f)
			if err != nil {
				t.Fatal(err)
			}
			var st statement
			if err := json.Unmarshal(data, &st); err != nil {
				t.Fatal(err)
			}
			var predicate bytes.Buffer
			if err := json.Compact(&predicate, st.Predicate); err != nil {
				t.Fatal(err)
			}
			const sum = "ee5cf72a7ef1eae3ee5a8f3d4f1ee4b0a4eb8bd1d4f7ebcbbb2c2a6e1d4c51f1"
			switch text := predicate.String(); {
			case st.Type != "https://in-toto.io/Statement/v0.1" || st.PredicateType != want.kind:
				t.Errorf("types %s, %s", st.Type, st.PredicateType)
			case len(st.Subject) != 1 || st.Subject[0].Name != "out/a.txt" || len(st.Subject[0].Digest["sha256"]) != len(sum):
				t.Errorf("subjects %v", st.Subject)
			case !strings.Contains(text, want.holds) || !strings.Contains(text, `"CI":""`) || !strings.Contains(text, `https://gitlab.example.com/g/p/-/runners/7`) || strings.Contains(text, "geheim"):
				t.Errorf("predicate %s", text)
			}
		})
	}
}
