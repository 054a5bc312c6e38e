package docker

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/docker/docker/api/types/system"
)

// isHere tells whether an engine's files are those of this host, as far as it says so.
func (e *Executor) isHere(info system.Info) bool {
	name, err := os.Hostname()
	return err == nil && name == info.Name && e.o.Dial == nil && strings.HasPrefix(e.api.DaemonHost(), "unix://")
}

// emptyHere empties a directory of the helper container where the engine keeps it, and returns an error when that is not for this process to
// do. It costs the engine nothing. What links in the volume lead to is left alone.
func (e *Executor) emptyHere(ctx context.Context, dir string) error {
	name, rest := e.volumeOf(dir)
	if !e.here || name == "" || rest == "" {
		return errors.ErrUnsupported
	}
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	v, err := e.api.VolumeInspect(call, name)
	if err != nil {
		return err
	}
	if v.Driver != "local" || len(v.Options) > 0 { // it may be mounted only while a container runs
		return errors.ErrUnsupported
	}
	volume, err := os.OpenRoot(v.Mountpoint)
	if err != nil {
		return err
	}
	defer volume.Close()
	if at, err := volume.Lstat(rest); err != nil || !at.IsDir() { // each job makes it: where it is not, this is something else
		return errors.ErrUnsupported
	}
	return empty(volume, rest)
}

func empty(volume *os.Root, dir string) error {
	inside, err := volume.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer inside.Close()
	entries, err := fs.ReadDir(inside.FS(), ".")
	for _, entry := range entries {
		err = errors.Join(err, inside.RemoveAll(entry.Name()))
	}
	return errors.Join(err, inside.Chmod(".", 0o777))
}

// volumeOf finds the volume of the engine's that holds a directory of the containers, and the directory's path in it; "" when something else
// may hold it.
func (e *Executor) volumeOf(dir string) (name, rest string) {
	if len(e.o.Config.VolumesFrom) > 0 || len(e.o.Config.Tmpfs) > 0 {
		return "", ""
	}
	targets := map[string]string{}
	for _, bind := range e.vols.binds {
		targets[strings.Split(bind, ":")[1]] = ""
	}
	for _, m := range e.vols.mounts {
		targets[m.Target] = m.Source
	}
	for above := dir; above != "/" && above != "."; above = path.Dir(above) {
		if name, ok := targets[above]; ok {
			return name, strings.TrimPrefix(dir[len(above):], "/")
		}
	}
	return "", ""
}
