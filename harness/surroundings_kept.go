package harness

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// hidden are the directories in whose place a node has its own.
var hidden = []string{"/etc", "/var", "/run", "/root", "/dev/shm"}

// keptPaths are the directories that a test and its commands share, and hand files
// over in, where a node's own directories would hide them: the test's working
// directory with all of its module, the temporary and the artifacts' directory, and
// the cache of this library.
func keptPaths() []string {
	wanted := []string{os.TempDir(), os.Getenv(artifactsVar)}
	if dir, err := os.Getwd(); err == nil {
		wanted = append(wanted, moduleOf(dir))
	}
	if cache, err := os.UserCacheDir(); err == nil {
		wanted = append(wanted, filepath.Join(cache, "nstest"))
	}
	if program, err := os.Executable(); err == nil {
		wanted = append(wanted, filepath.Dir(program))
	}
	return outermost(wanted)
}

// shownPaths are the directories that the node may read where its own would hide
// them: those that PATH lists, and below /root what is installed with them.
func shownPaths() (shown []string) {
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if rest, ok := strings.CutPrefix(filepath.Clean(dir), "/root/"); ok {
			first, _, _ := strings.Cut(rest, "/")
			dir = "/root/" + first
		}
		shown = append(shown, dir)
	}
	return outermost(shown)
}

// outermost are those of some directories that are hidden, as they are written and
// without symbolic links, but for those within others.
func outermost(dirs []string) (outer []string) {
	var all []string
	for _, dir := range dirs {
		if real, err := filepath.EvalSymlinks(dir); err == nil && filepath.IsAbs(dir) && isDir(real) {
			all = append(all, filepath.Clean(dir), real)
		}
	}
	slices.Sort(all) // a directory before what is in it
	for _, dir := range all {
		if below(dir, hidden) && !below(dir, outer) {
			outer = append(outer, dir)
		}
	}
	return outer
}

// below says whether a path is one of some directories, or in one.
func below(path string, dirs []string) bool {
	return slices.ContainsFunc(dirs, func(dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") })
}

// moduleOf is the directory with the go.mod that a directory belongs to; else the
// directory.
func moduleOf(dir string) string {
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
			return at
		}
		if at == "/" || at == "." {
			return dir
		}
	}
}

// tree is a mount that was taken hold of before its place was hidden.
type tree struct {
	path     string
	fd       int
	readOnly bool
}

// openKept takes hold of the kept directories, and of the shown ones before them.
func (m *surroundings) openKept() (trees []tree) {
	for i, path := range append(slices.Clone(m.shown), m.kept...) {
		fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
		if err != nil {
			m.lacks("%s is not in reach: %v", path, err)
			continue
		}
		trees = append(trees, tree{path, fd, i < len(m.shown)})
	}
	return trees
}

func closeTrees(trees []tree) {
	for _, t := range trees {
		_ = unix.Close(t.fd)
	}
}

// putBack mounts them where they were.
func (m *surroundings) putBack(trees []tree) error {
	for _, t := range trees {
		if err := os.MkdirAll(t.path, 0o755); err != nil {
			return at(pathless(err), "keep %s", t.path)
		}
		if err := unix.MoveMount(t.fd, "", unix.AT_FDCWD, t.path, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return at(err, "keep %s", t.path)
		}
		if t.readOnly {
			if err := unix.Mount("", t.path, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
				m.lacks("%s can be written: %v", t.path, err)
			}
		}
	}
	return nil
}
