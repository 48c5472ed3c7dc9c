package harness

import (
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// launcher is the thread that a node's commands fork from: they inherit its
// network, mount and PID namespaces.
type launcher struct{ thread *thread }

func (l *launcher) close() { l.thread.close() }

// launch starts a command from the node's launcher, made at the first one.
func (n *Node) launch(c *Cmd, command *exec.Cmd) error {
	n.mu.Lock()
	if n.launcher == nil {
		n.launcher = &launcher{newThread(n.enterForCommands)}
	}
	l := n.launcher
	n.mu.Unlock()
	return l.thread.run(func() error {
		return n.lab.jail.start(c, command)
	})
}

// enterForCommands takes the launcher's thread into the node's namespace, a
// mount namespace of its own, and the lab's PID namespace for what it forks.
func (n *Node) enterForCommands() error {
	if err := n.ground.enter(); err != nil {
		return err
	}
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
		return at(err, "make mount namespace")
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return at(err, "make mounts private")
	}
	if err := n.furnish(); err != nil {
		return err
	}
	return n.lab.jail.join()
}

// lockFile is what iptables-legacy locks in place of its /run/xtables.lock,
// which an ordinary user cannot make and root should not leave behind. Any file
// of the node's own tmpfs will do: it is locked, never written.
const lockFile = "/etc/hosts"

// furnish mounts what a program should see of the lab rather than the machine.
// The files lie on a tmpfs that only these mounts hold.
func (n *Node) furnish() error {
	if err := unix.Mount("tmpfs", "/sys", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return at(err, "mount tmpfs")
	}
	for _, file := range []struct{ name, text string }{
		{"hosts", n.hosts()},
		{"resolv.conf", "# This lab has no name server.\n"},
	} {
		target := "/etc/" + file.name
		if _, err := os.Stat(target); err != nil {
			continue // this machine has none, and none may be made here
		}
		source := "/sys/" + file.name
		if err := os.WriteFile(source, []byte(file.text), 0o644); err != nil {
			return at(pathless(err), "write %s", target)
		}
		if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
			return at(err, "mount %s", target)
		}
	}
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	err := unix.Mount("sysfs", "/sys", "sysfs", flags, "")
	if err == unix.EPERM { // in a container whose own is read-only, as it must be then
		err = unix.Mount("sysfs", "/sys", "sysfs", flags|unix.MS_RDONLY, "")
	}
	// Where a container hides parts of /sys the kernel refuses a new one. The
	// empty tmpfs stays then: nothing is better than the machine's own devices.
	if err != nil && err != unix.EPERM {
		return at(err, "mount /sys")
	}
	return nil
}

// hosts is /etc/hosts of the lab: every node by name. A slash in a name becomes
// a dot. Several nodes may have one address; a name finds its own.
func (n *Node) hosts() string {
	var text strings.Builder
	text.WriteString("127.0.0.1 localhost\n::1 localhost\n")
	for _, node := range n.lab.nodes {
		for _, addr := range node.Addrs() {
			fmt.Fprintf(&text, "%s %s\n", addr, strings.ReplaceAll(node.name, "/", "."))
		}
	}
	return text.String()
}
