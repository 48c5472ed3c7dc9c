package harness

import (
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// launcher is the thread that a node's commands fork from: they inherit its
// namespaces. Init is its child, and dies with it.
type launcher struct{ thread *thread }

func (l *launcher) close() { l.thread.close() }

// launch starts a command from the node's launcher, made at the first one.
func (n *Node) launch(f func() error) error {
	if err := n.lab.exists(); err != nil {
		return err
	}
	n.mu.Lock()
	if n.launcher == nil {
		n.launcher = &launcher{newThread(n.enterForCommands)}
	}
	l := n.launcher
	n.mu.Unlock()
	return n.since(l.thread.run(f))
}

// enterForCommands takes the launcher's thread into the node's namespace, into mounts
// that make a small machine of it, and what it forks into a PID namespace.
func (n *Node) enterForCommands() error {
	m := &surroundings{node: n, own: ownFiles(), kept: keptPaths(), shown: shownPaths(), scratch: "/sys"}
	if err := m.enter(); err != nil {
		return err
	}
	if err := m.furnish(); err != nil {
		return err
	}
	i, noProc, err := startInit(n.lab.Name() + "/" + n.name)
	if err != nil {
		return err
	}
	if err := n.lab.commands.keep(n, i); err != nil {
		return err
	}
	if err := unix.Setns(i.pidfd, initNamespaces); err != nil {
		return at(err, "enter the node's PID namespace")
	}
	if noProc != nil {
		m.lacks("they see the machine's processes: %s", procHidden(noProc))
	}
	if err := unix.Sethostname([]byte(hostname(n.name))); err != nil {
		return at(err, "set the hostname")
	}
	return m.finish()
}

// hostname is a node's name as the kernel takes it (HOST_NAME_MAX).
func hostname(name string) string {
	name = dotted(name)
	return name[:min(len(name), 64)]
}

// enter takes the calling thread into a mount namespace of its own. An ordinary user's
// starts from that which holds copies of the machine's files.
func (m *surroundings) enter() error {
	if err := m.node.ground.enter(); err != nil {
		return err
	}
	return m.enterMounts()
}

func (m *surroundings) enterMounts() error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return at(err, "leave the working directory")
	}
	if m.own != nil {
		if err := m.own.enter(); err != nil {
			return err
		}
		m.scratch = ownScratch
	}
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return at(err, "make mount namespace")
	}
	return at(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), "make mounts private")
}

// finish mounts what has to be seen from inside: message queues of the node's own, and
// /sys of its network namespace over the scratch space.
func (m *surroundings) finish() error {
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	if isDir("/dev/mqueue") {
		if err := unix.Mount("mqueue", "/dev/mqueue", "mqueue", flags, ""); err != nil {
			m.lacks("/dev/mqueue is the machine's: %v", err)
		}
	}
	// A tmpfs first: where a container hides parts of /sys the kernel refuses a new
	// one, and nothing is better than the machine's own devices.
	if err := unix.Mount("tmpfs", "/sys", "tmpfs", flags, "mode=755"); err != nil {
		return at(err, "mount /sys")
	}
	err := unix.Mount("sysfs", "/sys", "sysfs", flags, "")
	if err == unix.EPERM { // in a container whose own is read-only, as it must be then
		err = unix.Mount("sysfs", "/sys", "sysfs", flags|unix.MS_RDONLY, "")
	}
	if err == unix.EPERM {
		m.lacks("/sys is empty, for the kernel allows no other where parts of it are hidden")
		err = nil
	}
	return at(err, "mount /sys")
}

// lacks says once a lab what its commands do without.
func (m *surroundings) lacks(format string, args ...any) { m.node.lab.lacks(format, args...) }

func (l *Lab) lacks(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	l.mu.Lock()
	told := slices.Contains(l.lacking, text)
	if !told {
		l.lacking = append(l.lacking, text)
	}
	tb := l.tb
	l.mu.Unlock()
	if !told {
		tb.Logf("the commands of lab %s: %s", l.Name(), text)
	}
}

func isDir(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.IsDir()
}
