package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// surroundings are what makes a small machine of a node while its launcher's thread enters
// it: mounts that hold what its commands see and write. All of them lie on one tmpfs
// that nothing but the node's mount namespace holds.
type surroundings struct {
	node    *Node
	own     *ownCopies // an ordinary user's copies of the machine's files; nil for root
	kept    []string   // directories that stay the machine's wherever they are
	shown   []string   // and those that may be read
	scratch string     // where the tmpfs is
}

// lockFile is what iptables-legacy locks in place of its /run/xtables.lock. Any file
// of the node's own will do: it is locked, never written.
const lockFile = "/etc/hosts"

// furnish mounts it all but what needs the node's PID namespace.
func (m *surroundings) furnish() error {
	kept := m.openKept()
	defer closeTrees(kept)
	if err := unix.Mount("tmpfs", m.scratch, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return at(err, "mount tmpfs")
	}
	// First, while a root directory may be read wherever it is.
	if err := m.layerRoots(); err != nil {
		return err
	}
	for _, dir := range []struct {
		name  string
		mode  os.FileMode
		mount string
		fill  func(string) error
	}{
		{"etc", 0o755, "/etc", m.layerEtc},
		{"var", 0o755, "/var", m.layerVar},
		{"run", 0o755, "/run", m.fillRun},
		{"root", 0o700, "/root", m.bind("/root")},
		{"shm", 0o777 | os.ModeSticky, "/dev/shm", m.bind("/dev/shm")},
	} {
		if !isDir(dir.mount) {
			continue // this machine has none: /dev/shm may be a link into /run
		}
		path := filepath.Join(m.scratch, dir.name)
		if err := makeDir(path, dir.mode); err != nil {
			return err
		}
		if err := dir.fill(path); err != nil {
			return at(err, "mount %s", dir.mount)
		}
	}
	m.terminals()
	return m.putBack(kept)
}

// bind mounts a directory of the scratch space.
func (m *surroundings) bind(target string) func(string) error {
	return func(path string) error { return unix.Mount(path, target, "", unix.MS_BIND, "") }
}

// makeDir makes a directory with just that mode, whatever the umask.
func makeDir(path string, mode os.FileMode) error {
	if err := os.Mkdir(path, 0o700); err != nil {
		return err
	}
	return os.Chmod(path, mode)
}

// fillRun makes a /run as it is after a start: what daemons expect there, and the
// lab's namespaces under their nodes' names.
func (m *surroundings) fillRun(path string) error {
	for _, dir := range []struct {
		name string
		mode os.FileMode
	}{{"lock", 0o777 | os.ModeSticky}, {"netns", 0o755}, {"shm", 0o777 | os.ModeSticky}, {"sshd", 0o755}, {"user", 0o755}} {
		if err := makeDir(filepath.Join(path, dir.name), dir.mode); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(path, "utmp"), nil, 0o664); err != nil {
		return err
	}
	if err := m.bind("/run")(path); err != nil {
		return err
	}
	for _, node := range m.named() {
		if err := node.ground.mountAt("/run/netns/" + dotted(node.name)); err != nil {
			return at(err, "namespace of %s", node.name)
		}
	}
	return nil
}

// maxNamed is how many namespaces a node of a lab has at /run/netns: with more, only
// its own, since each node that runs commands mounts them all.
const maxNamed = 256

func (m *surroundings) named() []*Node {
	if len(m.node.lab.now().nodes) > maxNamed {
		return []*Node{m.node}
	}
	return m.node.lab.now().nodes
}

// mountAt mounts the namespace at a path, as ip netns does.
func (n *namespace) mountAt(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	_ = file.Close()
	n.mu.RLock()
	defer n.mu.RUnlock()
	if n.fd < 0 {
		return errDown
	}
	tree, err := unix.OpenTree(n.fd, "", unix.AT_EMPTY_PATH|unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	return unix.MoveMount(tree, "", unix.AT_FDCWD, path, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

// terminals gives the node pseudo terminals of its own, and takes the machine's log
// out of reach.
func (m *surroundings) terminals() {
	if isDir("/dev/pts") {
		const flags, options = unix.MS_NOSUID | unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620"
		err := unix.Mount("devpts", "/dev/pts", "devpts", flags, options+",gid=5")
		if err == unix.EINVAL { // nobody is group 5 where one user is all there is
			err = unix.Mount("devpts", "/dev/pts", "devpts", flags, options)
		}
		if err != nil {
			m.lacks("/dev/pts is the machine's: %v", err)
		}
	}
	if info, err := os.Lstat("/dev/log"); err == nil && info.Mode()&os.ModeSocket != 0 {
		if err := unix.Mount("/dev/null", "/dev/log", "", unix.MS_BIND, ""); err != nil {
			m.lacks("/dev/log is the machine's: %v", err)
		}
	}
}

// files are what /etc of a node has of the lab rather than of the machine.
func (m *surroundings) files() map[string]string {
	return map[string]string{
		"hosts":       m.node.hosts(),
		"hostname":    hostname(m.node.name) + "\n",
		"resolv.conf": "# This lab has no name server.\n",
	}
}

// hosts is /etc/hosts of the lab: every node by name. A slash in a name becomes
// a dot. Several nodes may have one address; a name finds its own.
func (n *Node) hosts() string {
	now := n.lab.now()
	return hostsOf(now.nodes, n.lab.Plan())
}

func hostsOf(nodes []*Node, plan *topo.Plan) string {
	var text strings.Builder
	text.WriteString("127.0.0.1 localhost\n::1 localhost\n")
	for _, node := range nodes {
		planned, has := plan.Node(node.name)
		if !has {
			planned = node.plan
		}
		for _, addr := range addrsIn(planned) {
			fmt.Fprintf(&text, "%s %s\n", addr, dotted(node.name))
		}
	}
	return text.String()
}

// dotted is a node's name where a slash may not be.
func dotted(name string) string { return strings.ReplaceAll(name, "/", ".") }
