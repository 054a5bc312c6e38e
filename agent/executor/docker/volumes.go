package docker

import (
	"path"
	"strings"

	"github.com/docker/docker/api/types/mount"

	"github.com/millwright-ci/millwright/agent/executor"
)

// volumes are what every container of the job shares.
type volumes struct {
	binds     []string      // host:dest or name:dest, as configured
	mounts    []mount.Mount // cache volumes and the builds volume; the engine makes them with the first container
	fresh     []string      // destinations that must be made writable for every user
	temporary []string      // names of volumes that end with the job
}

// volumes turns the configured list and the builds directory into binds and mounts. Volumes are not created here: the engine
// does that with the first container that mounts them, which saves a round trip and a container for each.
func (e *Executor) volumes() (volumes, error) {
	var v volumes
	taken := map[string]bool{}
	for _, entry := range e.o.Config.Volumes {
		source, dest, bind, err := e.parseVolume(entry)
		if err != nil {
			return v, err
		}
		if taken[dest] {
			return v, executor.Errorf(executor.Configuration, "config.toml: runners.docker.volumes: two entries for %s; keep one", dest)
		}
		taken[dest] = true
		if source != "" {
			v.binds = append(v.binds, bind)
			continue
		}
		e.addCache(&v, dest, !e.o.Config.DisableCache)
	}
	if !coveredBy(e.o.BuildsDir, taken) {
		e.addCache(&v, e.o.BuildsDir, e.o.KeepBuilds && !e.o.Config.DisableCache)
	}
	return v, nil
}

// parseVolume reads [source:]destination[:mode]. Only the destination is expanded.
func (e *Executor) parseVolume(entry string) (source, dest, bind string, err error) {
	parts := strings.SplitN(entry, ":", 3)
	if len(parts) == 1 {
		dest = parts[0]
	} else {
		source, dest = parts[0], parts[1]
	}
	dest = e.o.Expand(dest)
	if !path.IsAbs(dest) {
		dest = path.Join(e.o.ProjectDir, dest)
	}
	if dest = path.Clean(dest); dest == "/" {
		return "", "", "", executor.Errorf(executor.Configuration,
			"config.toml: runners.docker.volumes: %q: the root directory can't be a volume; name a folder", entry)
	}
	bind = source + ":" + dest
	if len(parts) == 3 {
		bind += ":" + parts[2]
	}
	return source, dest, bind, nil
}

// addCache adds a cache volume, or a temporary one where nothing is to be kept.
func (e *Executor) addCache(v *volumes, dest string, keep bool) {
	stem, name := e.o.Name.cacheStem(), cacheName(dest, e.o.Protected)
	v.fresh = append(v.fresh, dest)
	if keep && e.o.Config.CacheDir != "" {
		v.binds = append(v.binds, path.Join(e.o.Config.CacheDir, stem, name)+":"+dest)
		return
	}
	volume, labels := stem+"-cache-"+name, e.o.Name.labels("cache", e.own)
	if !keep {
		labels[temporaryLabel] = "true"
		volume = e.base + "-" + name[:8]
		v.temporary = append(v.temporary, volume)
	}
	// An engine puts into an empty volume what the first container's image has at its place. The build container is made before the sources are
	// there, which belong to the job alone.
	sources := dest == e.o.BuildsDir
	m := mount.Mount{Type: mount.TypeVolume, Source: volume, Target: dest, VolumeOptions: &mount.VolumeOptions{Labels: labels, NoCopy: sources}}
	if e.o.Config.VolumeDriver != "" {
		m.VolumeOptions.DriverConfig = &mount.Driver{Name: e.o.Config.VolumeDriver, Options: e.o.Config.VolumeDriverOps}
	}
	v.mounts = append(v.mounts, m)
}

// coveredBy tells whether dir or one of its parents is a destination.
func coveredBy(dir string, destinations map[string]bool) bool {
	for ; dir != "/" && dir != "."; dir = path.Dir(dir) {
		if destinations[dir] {
			return true
		}
	}
	return false
}
