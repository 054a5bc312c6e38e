package shell

import (
	"encoding/json"
	"strconv"
)

// Cache is one cache with its keys settled.
type Cache struct {
	Key       string    // as it is shown
	Archives  []Archive // to restore from, best first; the first one is what is saved to
	Paths     []string
	Untracked bool
	Skip      string // why nothing is done, as a line for the user; "" when something is
}

// Archive is a cache archive of a key.
type Archive struct {
	Key string
	Place
	Other Place // to read from when it is not in Place; a File of "" is none
}

// Place is where an archive lies: on the cache directory, and in a remote store if there is one.
type Place struct {
	File   string
	Object string // its name in the store; "" for none

	// The addresses in the store, each good for one kind of request; "" for none. Whoever has one may use it.
	Download, Check, Upload string
	UploadHeader            []string // "Name: value"
	UploadParts             string   // how the helper uploads in parts, as its CACHE_UPLOAD_PARTS wants it; "" for one request alone
}

// Transfer says how archives come and go.
type Transfer struct {
	Minutes   int    // for one archive
	MaxUpload int64  // bytes; 0 is no limit
	Problem   string // why the store can't be used, as a line for the user; "" when it can, or there is none
}

// RestoreCache is the script of restore_cache. A cache that is not there costs time, never the job.
func RestoreCache(f Frame, t Transfer, caches []Cache) []byte {
	s := newHelper(hidden(f, caches))
	s.Cd(f.ProjectDir)
	s.withHelper("Extracting cache", func() {
		s.problem(t)
		for _, c := range caches {
			if c.Skip != "" {
				s.Notice(c.Skip)
				continue
			}
			for _, a := range c.Archives {
				s.Notice("Checking cache for " + a.Key + "...")
				command := extract(f, t, a.Place)
				switch other := a.Other; {
				case other.Download != "":
					command += " || " + extract(f, t, other)
				case other.File != "": // looked for in silence: most jobs have none
					command += " || { [ -f " + Quote(relative(f.ProjectDir, other.File)) + " ] && " + extract(f, t, other) + "; }"
				}
				s.Line("if " + command + "; then")
				s.Notice("Successfully extracted cache")
				s.Line("else")
				s.Warning("Failed to extract cache")
			}
			for range c.Archives {
				s.Line("fi")
			}
		}
	})
	s.handOver()
	return s.Bytes()
}

func extract(f Frame, t Transfer, p Place) string {
	args := []string{HelperBinary, "cache-extractor", "--file", relative(f.ProjectDir, p.File), "--timeout", strconv.Itoa(t.Minutes)}
	return Words(flag(args, "--url", p.Download)...)
}

// SaveCache is the script of archive_cache and archive_cache_on_failure.
func SaveCache(f Frame, t Transfer, caches []Cache) []byte {
	s := newHelper(hidden(f, caches))
	s.Cd(f.ProjectDir)
	s.withHelper("Creating cache", func() {
		s.problem(t)
		for _, c := range caches {
			if c.Skip != "" {
				s.Notice(c.Skip)
				continue
			}
			s.Notice("Creating cache " + c.Key + "...")
			s.Line("if " + archive(f, t, c) + "; then")
			s.Notice("Created cache")
			s.Line("else")
			s.Warning("Failed to create cache")
			s.Line("fi")
		}
	})
	return s.Bytes()
}

func archive(f Frame, t Transfer, c Cache) string {
	to := c.Archives[0]
	args := []string{HelperBinary, "cache-archiver", "--file", relative(f.ProjectDir, to.File), "--timeout", strconv.Itoa(t.Minutes)}
	if t.MaxUpload > 0 {
		args = append(args, "--max-uploaded-archive-size", strconv.FormatInt(t.MaxUpload, 10))
	}
	args = flag(args, "--url", to.Upload)
	for _, h := range to.UploadHeader {
		args = append(args, "--header", h)
	}
	metadata, err := json.Marshal(map[string]string{"cachekey": to.Key})
	if err != nil { // a string always can be
		metadata = nil
	}
	// In the environment, since a helper image from before, or another's, ends at a flag that it does not know.
	env := "CACHE_METADATA=" + Quote(string(metadata))
	if to.Check != "" {
		env += " CACHE_CHECK_URL=" + Quote(to.Check)
	}
	if to.UploadParts != "" {
		env += " CACHE_UPLOAD_PARTS=" + Quote(to.UploadParts)
	}
	return env + " " + Words(files(args, c.Paths, nil, c.Untracked)...)
}

// problem says why the local archives are all there is.
func (s *Script) problem(t Transfer) {
	if t.Problem != "" {
		s.Warning("WARNING: " + t.Problem)
	}
}

// hidden is the frame of a script that holds addresses of a store: it does not show its commands, whatever the job wishes.
func hidden(f Frame, caches []Cache) Frame {
	for _, c := range caches {
		for _, a := range c.Archives {
			if a.Download+a.Other.Download+a.Upload+a.Check != "" {
				f.Trace = false
			}
		}
	}
	return f
}
