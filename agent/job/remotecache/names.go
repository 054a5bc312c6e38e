package remotecache

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"mime"
	"path"
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/agent/config"
)

// Hash is the name of a key with FF_HASH_CACHE_KEYS: its SHA-256, in 64 hex digits.
func Hash(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// Name is the name of a cache's object: [Path/][runner/SHORT TOKEN/]project/ID/KEY. Shared drops the runner. A hashed key lies in a folder
// of its first two digits, so that a store which spreads objects by prefix spreads them. The error is a key that leads out of the project.
// Source: GitLab Runner, what its cache package names objects; the documentation shows cache.zip behind it, which is not so.
func Name(c *config.Cache, token config.Secret, project int64, key string, hashed bool) (string, error) {
	base := path.Join(c.Path, "project", strconv.FormatInt(project, 10))
	if !c.Shared {
		base = path.Join(c.Path, "runner", config.ShortToken(token), "project", strconv.FormatInt(project, 10))
	}
	base = strings.TrimPrefix(base, "/")
	if hashed {
		sum := Hash(key)
		return path.Join(base, sum[:2], sum), nil
	}
	name := path.Join(base, key)
	if key == "" || !strings.HasPrefix(name, base+"/") {
		return "", fmt.Errorf("the cache key %q leads out of the project's folder in the store", key)
	}
	return name, nil
}

// maxMetadata bounds the readable key in a header: stores take 2 KB of metadata in all.
const maxMetadata = 1024

// metadata is a key as a header may hold it.
func metadata(key string) string {
	if len(key) > maxMetadata {
		key = strings.ToValidUTF8(key[:maxMetadata], "")
	}
	return mime.QEncoding.Encode("utf-8", key)
}

// escape writes an object's name into a URL: all but letters, digits, -._~ and the slashes is escaped, as signatures want it.
func escape(name string) string {
	var b strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~/", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
