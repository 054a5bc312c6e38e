package shell

import (
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
	Key  string
	File string // on the cache directory
}

// RestoreCache is the script of restore_cache. A cache that is not there costs time, never the job.
func RestoreCache(f Frame, timeoutMinutes int, caches []Cache) []byte {
	s := newHelper(f)
	s.Cd(f.ProjectDir)
	s.withHelper("Extracting cache", func() {
		for _, c := range caches {
			if c.Skip != "" {
				s.Notice(c.Skip)
				continue
			}
			for _, a := range c.Archives {
				s.Notice("Checking cache for " + a.Key + "...")
				s.Line("if " + Words(HelperBinary, "cache-extractor", "--file", relative(f.ProjectDir, a.File), "--timeout", strconv.Itoa(timeoutMinutes)) + "; then")
				s.Notice("Successfully extracted cache")
				s.Line("else")
				s.Warning("Failed to extract cache")
			}
			for range c.Archives {
				s.Line("fi")
			}
		}
	})
	return s.Bytes()
}

// SaveCache is the script of archive_cache and archive_cache_on_failure.
func SaveCache(f Frame, timeoutMinutes int, maxUpload int64, caches []Cache) []byte {
	s := newHelper(f)
	s.Cd(f.ProjectDir)
	s.withHelper("Creating cache", func() {
		for _, c := range caches {
			if c.Skip != "" {
				s.Notice(c.Skip)
				continue
			}
			args := []string{HelperBinary, "cache-archiver", "--file", relative(f.ProjectDir, c.Archives[0].File), "--timeout", strconv.Itoa(timeoutMinutes)}
			if maxUpload > 0 {
				args = append(args, "--max-uploaded-archive-size", strconv.FormatInt(maxUpload, 10))
			}
			s.Notice("Creating cache " + c.Key + "...")
			s.Line("if " + Words(files(args, c.Paths, nil, c.Untracked)...) + "; then")
			s.Notice("Created cache")
			s.Line("else")
			s.Warning("Failed to create cache")
			s.Line("fi")
		}
	})
	return s.Bytes()
}
