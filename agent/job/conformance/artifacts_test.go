package conformance

import (
	"archive/zip"
	"bufio"
	"compress/gzip"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/coordinator/embedded"
	"github.com/millwright-ci/millwright/agent/job/jobtest"
)

// artifactRows are about what a job leaves, and what it takes of others.
func artifactRows() []row {
	named := func(j coordinator.Job) coordinator.Job {
		return archived(j, coordinator.Artifact{Name: "${CI_COMMIT_REF_SLUG:-none}", Paths: []string{"README.md"}})
	}
	report := func(kind, format, name string) coordinator.Job {
		return archived(script([]string{"echo 1 >a.xml; echo 2 >b.xml"}), coordinator.Artifact{Type: kind, Format: format, Name: name, Paths: []string{"*.xml"}, When: "always"})
	}
	noFile := script([]string{"echo ran"})
	noFile.Dependencies = []coordinator.Dependency{{ID: 1, Name: "lint"}}
	return []row{
		{n: 78, name: "artifacts", payload: archived(script([]string{"mkdir -p out/a out/tmp; echo 1 >out/a/x.txt; echo 2 >out/tmp/y.txt; echo 3 >out/z.md"}),
			coordinator.Artifact{Paths: []string{"out/**/*.txt"}, Exclude: []string{"out/tmp/**"}}), want: []string{"out/**/*.txt: found 1 matching artifact files and directories", "out/tmp/**: excluded 1 files"}, check: zipHolds("out/a/x.txt")},
		{n: 79, name: "no artifacts", payload: archived(script([]string{"true"}), coordinator.Artifact{Paths: []string{"nothing"}}), want: []string{"WARNING: nothing: no matching files. Ensure that the artifact path is relative to the working directory (/builds/group/project)", "ERROR: No files to upload", "Job succeeded"}, check: uploads(0)},
		{n: 80, name: "outside the project", payload: archived(script([]string{"echo 1 >../x"}), coordinator.Artifact{Paths: []string{"../x"}}), want: []string{"not a subpath of project directory", "Job succeeded"}, check: uploads(0)},
		{n: 81, name: "name", payload: named(with(script([]string{"true"}), "CI_COMMIT_REF_SLUG", "main")), check: uploaded("main.zip")},
		{n: 81, name: "name by default", payload: named(script([]string{"true"})), check: uploaded("none.zip")},
		{n: 82, name: "artifacts on failure", payload: archived(script([]string{"echo 1 >good; echo 2 >bad; exit 1"}),
			coordinator.Artifact{Paths: []string{"good"}, When: "on_success"}, coordinator.Artifact{Paths: []string{"bad"}, When: "on_failure"}), reason: scriptFailure, code: 1, check: zipHolds("bad")},
		{n: 83, name: "report", payload: report("junit", "gzip", "junit.xml"), check: members},
		{n: 84, name: "two files where one fits", payload: report("codequality", "raw", "gl-code-quality-report.json"), want: []string{"a.xml", "ERROR: Job failed: exit code 1"}, reason: scriptFailure, code: 1, check: uploads(0)},
		{n: 85, name: "too large", run: uploadFails(http.StatusRequestEntityTooLarge, 1)},
		{n: 86, name: "store away", run: uploadFails(http.StatusServiceUnavailable, 6)},
		{n: 87, name: "upload elsewhere", run: uploadMoved},
		{n: 88, name: "dependency without artifacts", payload: noFile, want: []string{"\nran\n"}, not: []string{"Downloading artifacts"}},
		{n: 89, name: "dependency is gone", run: dependencyGone},
		{n: 90, name: "dependency in a store", run: dependencyElsewhere},
	}
}

func uploads(n int) func(*testing.T, *jobtest.Bench, jobtest.Ended) {
	return func(t *testing.T, _ *jobtest.Bench, e jobtest.Ended) {
		t.Helper()
		jobtest.CheckUploads(t, e, n)
	}
}

// uploaded wants one upload of that name.
func uploaded(name string) func(*testing.T, *jobtest.Bench, jobtest.Ended) {
	return func(t *testing.T, _ *jobtest.Bench, e jobtest.Ended) {
		t.Helper()
		if only(t, e).Filename != name {
			t.Errorf("uploaded as %s, want %s", e.Coordinator.Artifacts[0].Filename, name)
		}
	}
}

// only is the job's one upload.
func only(t *testing.T, e jobtest.Ended) embedded.ArtifactFile {
	t.Helper()
	if len(e.Coordinator.Artifacts) != 1 {
		t.Fatalf("%d uploads, want 1:\n%s", len(e.Coordinator.Artifacts), e.Trace)
	}
	return e.Coordinator.Artifacts[0]
}

// zipHolds checks the only upload's files, directories aside.
func zipHolds(names ...string) func(*testing.T, *jobtest.Bench, jobtest.Ended) {
	return func(t *testing.T, _ *jobtest.Bench, e jobtest.Ended) {
		t.Helper()
		archive, err := zip.OpenReader(only(t, e).Path)
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

// members wants one upload of two gzip members.
func members(t *testing.T, _ *jobtest.Bench, e jobtest.Ended) {
	t.Helper()
	a := only(t, e)
	if a.Filename != "junit.xml.gz" || a.Type != "junit" || a.Format != "gzip" {
		t.Errorf("uploaded %+v", a)
	}
	file, err := os.Open(a.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	in := bufio.NewReader(file) // so that a member's reader takes no more than the member
	r, err := gzip.NewReader(in)
	var got []string
	for ; err == nil; err = r.Reset(in) {
		r.Multistream(false)
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r.Name+"="+strings.TrimSpace(string(content)))
	}
	if err != io.EOF || !slices.Equal(got, []string{"a.xml=1", "b.xml=2"}) {
		t.Errorf("the members are %v, %v", got, err)
	}
}

// uploadFails has the coordinator refuse uploads for ever.
func uploadFails(status, tries int) func(*testing.T, *jobtest.Bench) {
	return func(t *testing.T, b *jobtest.Bench) {
		b.Server.AddFault(embedded.Fault{Endpoint: embedded.EndpointUpload, Status: status, Times: -1, Header: http.Header{"Retry-After": {"1"}}}) // so that the wait stays the same
		e := b.Run(t, t.Context(), archived(script([]string{"true"}), coordinator.Artifact{Paths: []string{"README.md"}}), nil)
		jobtest.CheckTrace(t, e, []string{"Uploading artifacts for successful job", "ERROR: Job failed: exit code 1"}, nil)
		jobtest.CheckEnd(t, e, scriptFailure, 1)
		if n := len(b.Calls(http.MethodPost, "/artifacts")); n != tries {
			t.Errorf("%d tries, want %d", n, tries)
		}
	}
}

// uploadMoved has the coordinator send an upload to another address of its own.
func uploadMoved(t *testing.T, b *jobtest.Bench) {
	var there atomic.Int32
	other := b.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		there.Add(1)
		b.Server.Handler().ServeHTTP(w, r)
	}))
	b.Server.AddFault(embedded.Fault{Endpoint: embedded.EndpointUpload, Status: http.StatusTemporaryRedirect, Header: http.Header{"Location": {other + "/somewhere"}}})
	e := b.Run(t, t.Context(), archived(script([]string{"true"}), coordinator.Artifact{Paths: []string{"README.md"}}), nil)
	jobtest.CheckEnd(t, e, "", 0)
	jobtest.CheckUploads(t, e, 1)
	if n := len(b.Calls(http.MethodPost, "/artifacts")); n != 1 || there.Load() != 1 {
		t.Errorf("%d uploads to the first address and %d to the other, want one each", n, there.Load())
	}
}

// dependency runs a job that makes out/f, and returns the payload of one that takes and prints it.
func dependency(t *testing.T, b *jobtest.Bench) coordinator.Job {
	t.Helper()
	maker := b.Run(t, t.Context(), archived(script([]string{"mkdir out; echo made >out/f"}), coordinator.Artifact{Paths: []string{"out"}}), nil)
	a := only(t, maker)
	taker := with(script([]string{"cat out/f"}), "GIT_STRATEGY", "clone")
	d := coordinator.Dependency{ID: maker.Coordinator.ID, Name: "maker"}
	d.ArtifactsFile = &struct {
		Filename string `json:"filename"`
		Size     int64  `json:"size"`
	}{a.Filename, a.Size}
	taker.Dependencies = []coordinator.Dependency{d}
	return taker
}

func dependencyGone(t *testing.T, b *jobtest.Bench) {
	taker := dependency(t, b)
	b.Server.Fail(embedded.EndpointDownload, http.StatusNotFound, -1)
	e := b.Run(t, t.Context(), taker, nil)
	jobtest.CheckTrace(t, e, []string{"Downloading artifacts for maker", "ERROR: Job failed: exit code 1"}, []string{"cat out/f", "Retrying"})
	jobtest.CheckEnd(t, e, scriptFailure, 1)
	if n := len(b.Calls(http.MethodGet, "/artifacts")); n != 1 {
		t.Errorf("%d tries, want one", n)
	}
}

// dependencyElsewhere has the coordinator redirect to a store, which complains if it gets the job's token.
func dependencyElsewhere(t *testing.T, b *jobtest.Bench) {
	b = b.Site.Bench(t, func(o *embedded.Options) { o.DirectDownload = true })
	b.Foreign = !b.OwnHelper() // GitLab's sends the token to the store
	e := b.Run(t, t.Context(), dependency(t, b), nil)
	jobtest.CheckTrace(t, e, []string{"Downloading artifacts for maker", "\nmade\n", "Job succeeded"}, nil)
	if got := statuses(b.Calls(http.MethodGet, "/artifacts")); !slices.Equal(got, []int{http.StatusFound}) {
		t.Errorf("the coordinator answered %v", got)
	}
}
