package harness

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// ownCopies is a mount namespace with copies of the machine's files that belong to
// the user: to an ordinary user's sandbox the machine's own files are nobody's, and a
// layer over them could not be written. It is made once a process.
type ownCopies struct {
	mounts, root int      // the mount namespace, and its root directory
	unreadable   []string // directories of /var that stay empty
}

// ownRoot is where the copies are in that namespace; below it is a node's scratch space.
const (
	ownRoot    = "/sys"
	ownScratch = ownRoot + "/node"
)

// ownFiles are the copies; nil where the machine's files need none, or none can be
// made.
var ownFiles = sync.OnceValue(func() *ownCopies {
	if !inUserNamespace() {
		return nil
	}
	var copies *ownCopies
	err := once(func() error { return unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS) }, func() (err error) {
		copies, err = makeCopies()
		return err
	})
	if err != nil {
		return nil
	}
	return copies
})

// inUserNamespace says whether this process's users are not all those of the machine.
var inUserNamespace = sync.OnceValue(func() bool {
	fields := strings.Fields(slurp("/proc/self/uid_map"))
	return len(fields) != 3 || fields[0] != "0" || fields[1] != "0" || fields[2] != "4294967295"
})

// makeCopies makes them in the calling thread's mount namespace.
func makeCopies() (*ownCopies, error) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return nil, err
	}
	if err := unix.Mount("tmpfs", ownRoot, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return nil, err
	}
	for _, name := range []string{"etc", "var", "node"} {
		if err := makeDir(filepath.Join(ownRoot, name), 0o755); err != nil {
			return nil, err
		}
	}
	own := &ownCopies{}
	copyTree("/etc", ownRoot+"/etc", treeCopy{files: true})
	own.unreadable = copyTree("/var", ownRoot+"/var", treeCopy{skip: skipVar})
	if err := writeShadow(ownRoot + "/etc"); err != nil {
		return nil, err
	}
	var err error
	if own.mounts, err = unix.Open("/proc/thread-self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return nil, err
	}
	own.root, err = unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	return own, err
}

// enter takes the calling thread there. The root directory is what it was: setns
// would undo a chroot.
func (o *ownCopies) enter() error {
	err := unix.Setns(o.mounts, unix.CLONE_NEWNS)
	if err == nil {
		err = unix.Fchdir(o.root)
	}
	if err == nil {
		err = unix.Chroot(".")
	}
	return at(err, "enter the mount namespace of copies")
}

// writeShadow makes a shadow file for the users of a passwd file, none of whom has a
// password: the machine's own is unreadable, and PAM refuses who is not in it.
func writeShadow(etc string) error {
	passwd, err := os.ReadFile(filepath.Join(etc, "passwd"))
	if err != nil {
		return nil // no users, no shadow
	}
	var text strings.Builder
	for line := range strings.Lines(string(passwd)) {
		if name, _, ok := strings.Cut(line, ":"); ok {
			text.WriteString(name + ":*:19000:0:99999:7:::\n")
		}
	}
	path := filepath.Join(etc, "shadow")
	_ = os.Remove(path)
	return os.WriteFile(path, []byte(text.String()), 0o640)
}

// treeCopy is what copyTree copies besides directories.
type treeCopy struct {
	files, owners bool
	skip          func(path string) bool // directories
}

// maxCopied is how large a file of /etc may be to be copied: hwdb.bin is 10 MB.
const maxCopied = 1 << 20

// skipVar says which directories of /var a node does without a place of its own in:
// they are large, and hold what package managers and container engines have there.
func skipVar(path string) bool {
	switch path {
	case "/var/cache", "/var/tmp", "/var/lib/dpkg", "/var/lib/apt", "/var/lib/docker", "/var/lib/containerd", "/var/lib/containers",
		"/var/lib/snapd", "/var/lib/flatpak", "/var/lib/lxc", "/var/lib/libvirt", "/var/lib/kubelet", "/var/log/journal":
		return true
	}
	return strings.Count(path, "/") > 5
}

// copyTree copies what it may of a directory, and returns the directories that may
// not be read: those are made, and stay empty.
func copyTree(from, to string, what treeCopy) (unreadable []string) {
	_ = filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			unreadable = append(unreadable, path) // its entry was made before
			return nil
		}
		if path == from {
			return nil
		}
		target := to + strings.TrimPrefix(path, from)
		if entry.IsDir() && what.skip != nil && what.skip(path) {
			return fs.SkipDir
		}
		copyEntry(path, target, entry, what)
		return nil
	})
	return unreadable
}

func copyEntry(path, target string, entry fs.DirEntry, what treeCopy) {
	var stat unix.Stat_t
	if unix.Lstat(path, &stat) != nil {
		return // it has gone
	}
	switch entry.Type() {
	case fs.ModeDir:
		if err := unix.Mkdir(target, 0o700); err == nil || err == unix.EEXIST {
			_ = unix.Chmod(target, stat.Mode&0o1777|0o700) // the owner is us, who must get in
		}
	case fs.ModeSymlink:
		if link, err := os.Readlink(path); err == nil {
			_ = unix.Unlink(target)
			_ = unix.Symlink(link, target)
		}
	default:
		if !entry.Type().IsRegular() || !what.files || stat.Size > maxCopied {
			return
		}
		copyFile(path, target, int(stat.Size), stat.Mode&0o777)
	}
	if what.owners {
		_ = unix.Lchown(target, int(stat.Uid), int(stat.Gid))
	}
}

// copyFile copies a small file if it can be read. Thousands are copied: os.ReadFile,
// which offers each to the runtime's poller, would take twice the time.
func copyFile(path, target string, size int, mode uint32) {
	from, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(from)
	_ = unix.Unlink(target)
	to, err := unix.Open(target, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return
	}
	defer unix.Close(to)
	text := make([]byte, size)
	n, err := unix.Read(from, text)
	if err == nil && n > 0 {
		_, _ = unix.Write(to, text[:n])
	}
	_ = unix.Fchmod(to, mode)
}
