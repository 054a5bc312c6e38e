package conformance

import (
	"archive/zip"
	"slices"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/job/jobtest"
)

// artifactRows are about what a job leaves, and what it takes of others.
func artifactRows() []row {
	noFile := script([]string{"echo ran"})
	noFile.Dependencies = []coordinator.Dependency{{ID: 1, Name: "lint"}}
	return []row{
		{n: 78, name: "artifacts", payload: archived(script([]string{"mkdir -p out/a out/tmp; echo 1 >out/a/x.txt; echo 2 >out/tmp/y.txt; echo 3 >out/z.md"}),
			coordinator.Artifact{Paths: []string{"out/**/*.txt"}, Exclude: []string{"out/tmp/**"}}), want: []string{"found ", "matching", "excluded "}, check: zipHolds("out/a/x.txt")},
		{n: 79, name: "no artifacts", payload: archived(script([]string{"true"}), coordinator.Artifact{Paths: []string{"nothing"}}), want: []string{"no matching files", "No files to upload", "Job succeeded"}, check: uploads(0)},
		{n: 82, name: "artifacts on failure", payload: archived(script([]string{"echo 1 >good; echo 2 >bad; exit 1"}),
			coordinator.Artifact{Paths: []string{"good"}, When: "on_success"}, coordinator.Artifact{Paths: []string{"bad"}, When: "on_failure"}), reason: scriptFailure, code: 1, check: zipHolds("bad")},
		{n: 88, name: "dependency without artifacts", payload: noFile, want: []string{"\nran\n"}, not: []string{"Downloading artifacts"}},
	}
}

func uploads(n int) func(*testing.T, jobtest.Ended) {
	return func(t *testing.T, e jobtest.Ended) {
		t.Helper()
		jobtest.CheckUploads(t, e, n)
	}
}

// zipHolds checks the only upload's files, directories aside.
func zipHolds(names ...string) func(*testing.T, jobtest.Ended) {
	return func(t *testing.T, e jobtest.Ended) {
		t.Helper()
		if len(e.Coordinator.Artifacts) != 1 {
			t.Fatalf("%d uploads, want 1:\n%s", len(e.Coordinator.Artifacts), e.Trace)
		}
		archive, err := zip.OpenReader(e.Coordinator.Artifacts[0].Path)
		if err != nil {
			t.Fatal(err)
		}
		defer archive.Close()
		var got []string
		for _, f := range archive.File {
			if !strings.HasSuffix(f.Name, "/") {
				got = append(got, f.Name)
			}
		}
		if !slices.Equal(got, names) {
			t.Errorf("the archive holds %v, want %v", got, names)
		}
	}
}
