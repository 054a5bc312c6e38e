package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/millwright-ci/millwright/agent/archive"
)

// cacheFlags say where a cache archive lies: always on the machine, and in a remote store if there is a URL.
type cacheFlags struct {
	file    string
	url     string
	headers list
	timeout int
}

func (f *cacheFlags) add(fs *flag.FlagSet) {
	fs.StringVar(&f.file, "file", "", "the cache archive on this machine")
	fs.StringVar(&f.url, "url", "", "the cache archive in a remote store, pre-signed")
	fs.Var(&f.headers, "header", "\"Name: value\" to send to the store; may be repeated")
	fs.IntVar(&f.timeout, "timeout", 10, "limit for the transfer in minutes")
}

// archiveCache packs files into the local archive, unless none of them is newer than it, and sends it to the store.
func archiveCache(ctx context.Context, args []string, c console) error {
	var where cacheFlags
	var what filesFlags
	var limit int64
	var check string
	fl := newFlags("cache-archiver", c)
	where.add(fl)
	what.add(fl)
	fl.Int64Var(&limit, "max-uploaded-archive-size", 0, "keep larger archives on this machine only; bytes, 0 is no limit")
	fl.StringVar(&check, "check-url", os.Getenv("CACHE_CHECK_URL"), "where to ask (HEAD) whether the store still has an archive that is up to date; pre-signed")
	if err := parse(fl, args); err != nil {
		return err
	}
	if err := required(fl, "file", where.file); err != nil {
		return err
	}
	format, err := archive.ParseFormat(os.Getenv("CACHE_COMPRESSION_FORMAT"), archive.Zip)
	if err != nil || format == archive.Gzip || format == archive.Raw {
		return fmt.Errorf("CACHE_COMPRESSION_FORMAT %q is unknown; use zip, zipzstd or tarzstd", os.Getenv("CACHE_COMPRESSION_FORMAT"))
	}
	s, err := what.selection(c)
	if err != nil {
		return err
	}
	files, err := archive.Find(ctx, s, c.say)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		c.say("No files to cache.")
		return nil
	}
	if upToDate(where.file, files) {
		c.say("Archive is up to date!")
		if where.url == "" || check == "" || !where.gone(ctx, check) {
			return nil
		}
		c.say("The store does not have it any more.")
		return where.upload(ctx, c, limit)
	}
	if err := replace(where.file, func(f *os.File) error {
		return archive.Write(ctx, f, s.Dir, files, format, archive.Level(os.Getenv("CACHE_COMPRESSION_LEVEL")), c.say)
	}); err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	if metadata := os.Getenv("CACHE_METADATA"); metadata != "" {
		if err := replace(filepath.Join(filepath.Dir(where.file), "metadata.json"), func(f *os.File) error {
			_, err := f.WriteString(metadata)
			return err
		}); err != nil {
			return fmt.Errorf("cache: %w", err)
		}
	}
	if where.url == "" {
		c.say("No URL provided, cache will not be uploaded to shared cache server. Cache will be stored only locally.")
		return nil
	}
	return where.upload(ctx, c, limit)
}

// upload sends the archive to the store unless it is larger than limit.
func (f *cacheFlags) upload(ctx context.Context, c console, limit int64) error {
	info, err := os.Stat(f.file)
	if err != nil {
		return err
	}
	if limit > 0 && info.Size() > limit {
		c.say("WARNING: Cache archive has %d bytes, more than the %d that are allowed; it is stored only locally.", info.Size(), limit)
		return nil
	}
	return f.send(ctx, c)
}

// upToDate tells whether no file is newer than the archive.
func upToDate(path string, files []archive.File) bool {
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	for _, f := range files {
		if f.Info.ModTime().After(info.ModTime()) {
			return false
		}
	}
	return true
}

// replace writes a file beside path and renames it, so that a reader sees the old content or the new one. The time of the file is
// when the writing began: what changes meanwhile is newer.
func replace(path string, write func(*os.File) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	began := time.Now()
	f, err := os.CreateTemp(filepath.Dir(path), ".part-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone when it has been renamed
	if err := errors.Join(write(f), f.Close()); err != nil {
		return err
	}
	if err := os.Chtimes(f.Name(), began, began); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// extractCache fetches the archive if the store has a newer one, and unpacks it into the working directory. A cache that is not there
// is exit code 1: whoever calls goes on to the next key.
func extractCache(ctx context.Context, args []string, c console) error {
	var where cacheFlags
	fl := newFlags("cache-extractor", c)
	where.add(fl)
	if err := parse(fl, args); err != nil {
		return err
	}
	if err := required(fl, "file", where.file); err != nil {
		return err
	}
	if where.url == "" {
		c.say("No URL provided, cache will not be downloaded from shared cache server. Instead a local version of cache will be extracted.")
	} else if err := where.fetch(ctx, c); err != nil {
		return err
	}
	f, err := os.Open(where.file)
	if errors.Is(err, fs.ErrNotExist) {
		c.say("WARNING: Cache file does not exist")
		return exitCode(1)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	if whole, _ := strconv.ParseBool(os.Getenv("FF_CLEAN_UP_FAILED_CACHE_EXTRACT")); whole {
		if err := archive.ExtractWhole(ctx, f, dir, archive.Limits{}, c.say); err != nil {
			return fmt.Errorf("cache: %w; what had been unpacked by then was removed", err)
		}
		return nil
	}
	if err := archive.Extract(ctx, f, dir, archive.Limits{}, c.say); err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	return nil
}
