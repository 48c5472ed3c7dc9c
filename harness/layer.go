package harness

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Layer lays the files of a root directory over the machine's, for the commands of
// the node alone: those of a package that is Unpacked (its PackageRoot), or what a
// test has put together. It is called before the node's first command; the last
// directory laid is topmost. The directory is not written to, what a program writes
// is the node's. Its etc, var, usr, opt and srv are laid, and its lib, bin and sbin
// where the machine's are links into /usr.
func (n *Node) Layer(root string) error {
	n = n.here()
	return at(n.layer(root), "node %s: layer %s", n.name, root)
}

func (n *Node) layer(root string) error {
	if err := n.lab.exists(); err != nil {
		return err
	}
	info, err := os.Stat(root)
	if err != nil {
		return pathless(err)
	}
	if !info.IsDir() {
		return unix.ENOTDIR
	}
	if root, err = filepath.Abs(root); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.launcher != nil {
		return errors.New("the node has run a command already: layers come before the first")
	}
	n.layers = slices.Insert(n.layers, 0, root)
	return nil
}

// roots are the root directories laid over the machine's, topmost first.
func (n *Node) roots() []string { return n.layers }

// laid are the directories of a root directory that are laid over the machine's,
// besides /etc and /var. The last three may be links into /usr, where a package's own
// are to be found then.
var laid = []string{"/usr", "/opt", "/srv", "/lib", "/bin", "/sbin"}

// layerRoots lays what is neither in /etc nor in /var.
func (m *surroundings) layerRoots() error {
	if len(m.node.roots()) == 0 {
		return nil
	}
	// The machine's /usr, for what is laid over a part of it.
	usr := filepath.Join(m.scratch, "usr")
	if err := makeDir(usr, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("/usr", usr, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return at(err, "mount /usr")
	}
	for _, dir := range laid {
		if err := m.lay(dir, usr); err != nil {
			return err
		}
	}
	return nil
}

// lay lays one directory of each root over the machine's.
func (m *surroundings) lay(dir, usr string) error {
	target, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil // this machine has none
	}
	below := target
	if rest, ok := strings.CutPrefix(target, "/usr/"); ok {
		below = filepath.Join(usr, rest)
	}
	var lower []string
	for _, root := range m.node.roots() {
		if isDir(root + dir) {
			lower = append(lower, root+dir)
		}
		if target != dir && isDir(root+target) {
			lower = append(lower, root+target)
		}
	}
	if len(lower) == 0 {
		return nil
	}
	path := filepath.Join(m.scratch, "over"+strings.ReplaceAll(target, "/", "."))
	if err := makeDir(path, 0o755); err != nil {
		return err
	}
	if _, err := m.overlay(path, target, append(lower, below), nil); err != nil {
		return at(missing{fmt.Sprintf("overlayfs cannot be mounted here: %v", err)}, "layer over %s", target)
	}
	return nil
}
