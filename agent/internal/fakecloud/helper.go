package fakecloud

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"runtime"
)

// HelperImage is the archive of a helper image for this architecture with nothing but its name in it: an engine of Jobs loads it like a real one,
// and nothing runs there.
func HelperImage() ([]byte, error) {
	var b bytes.Buffer
	archive := tar.NewWriter(&b)
	manifest := `[{"Config":"c.json","RepoTags":["millwright/helper:` + runtime.GOARCH + `"]}]`
	err := archive.WriteHeader(&tar.Header{Name: "manifest.json", Mode: 0o600, Size: int64(len(manifest))})
	if err == nil {
		_, err = io.WriteString(archive, manifest)
	}
	return b.Bytes(), errors.Join(err, archive.Close())
}
