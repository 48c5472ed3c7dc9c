package harness

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// layerEtc mounts an /etc that the node reads from the machine and writes for itself.
func (m *surroundings) layerEtc(path string) error {
	lower := m.lower("/etc")
	upper, err := m.overlay(path, "/etc", lower, m.files())
	if err == nil || upper == "" {
		return err
	}
	// No overlayfs for us here: a copy of our own.
	for i := len(lower) - 1; i >= 0; i-- {
		copyTree(lower[i], upper, treeCopy{files: true, owners: m.own == nil})
	}
	if err := writeFiles(upper, m.files()); err != nil {
		return err
	}
	return m.bind("/etc")(upper)
}

// layerVar does so for /var.
func (m *surroundings) layerVar(path string) error {
	lower := m.lower("/var")
	upper, err := m.overlay(path, "/var", lower, nil)
	if err == nil {
		return m.coverUnreadable(path)
	}
	if upper == "" {
		return err
	}
	m.lacks("/var has the machine's directories without their files, for overlayfs cannot be mounted: %v", err)
	for i := len(lower) - 1; i >= 0; i-- {
		copyTree(lower[i], upper, treeCopy{files: lower[i] != "/var" && !m.isCopy(lower[i]), owners: m.own == nil, skip: skipVar})
	}
	return m.bind("/var")(upper)
}

// lower are the directories that a directory of the node's is read from, topmost
// first.
func (m *surroundings) lower(target string) (dirs []string) {
	for _, root := range m.node.roots() {
		if dir := filepath.Join(root, target); isDir(dir) {
			dirs = append(dirs, dir)
		}
	}
	switch {
	case m.own == nil:
		return append(dirs, target)
	case target == "/etc": // the copy has all that is readable
		return append(dirs, ownRoot+"/etc")
	}
	return append(dirs, ownRoot+target, target)
}

func (m *surroundings) isCopy(dir string) bool {
	return m.own != nil && strings.HasPrefix(dir, ownRoot)
}

// overlay mounts the lower directories under a layer of the node's, which has some
// files already. Where the kernel allows it not, the error comes with an empty
// directory in which to build the same.
func (m *surroundings) overlay(path, target string, lower []string, files map[string]string) (upper string, err error) {
	upper, work := filepath.Join(path, "upper"), filepath.Join(path, "work")
	if err := errors.Join(makeDir(upper, 0o755), makeDir(work, 0o755), writeFiles(upper, files)); err != nil {
		return "", err
	}
	options := "lowerdir=" + strings.Join(escaped(lower), ":") + ",upperdir=" + upper + ",workdir=" + work
	if m.own != nil {
		options += ",userxattr" // the only attributes that a user may write
	}
	if err = unix.Mount("overlay", target, "overlay", unix.MS_NOSUID|unix.MS_NODEV, options); err == nil {
		return upper, nil
	}
	empty := filepath.Join(path, "copy")
	if made := makeDir(empty, 0o755); made != nil {
		return "", made
	}
	return empty, err
}

// escaped are paths as overlayfs wants them in a list.
func escaped(paths []string) (all []string) {
	for _, path := range paths {
		all = append(all, strings.NewReplacer(`\`, `\\`, ":", `\:`, ",", `\,`).Replace(path))
	}
	return all
}

// writeFiles writes files into a directory, in place of what is there: a symbolic
// link is not followed.
func writeFiles(dir string, files map[string]string) error {
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// coverUnreadable puts an empty directory over each of /var that the user may not
// read, in which a daemon could otherwise write nothing.
func (m *surroundings) coverUnreadable(path string) error {
	if m.own == nil || len(m.own.unreadable) == 0 {
		return nil
	}
	for i, dir := range m.own.unreadable {
		cover := filepath.Join(path, "cover"+strconv.Itoa(i))
		if err := makeDir(cover, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(cover, dir, "", unix.MS_BIND, ""); err != nil {
			m.lacks("%s cannot be written: %v", dir, err)
		}
	}
	return nil
}

// checkOverlay tries to lay an empty directory over /usr.
func checkOverlay() error {
	m := &surroundings{own: ownFiles(), scratch: "/sys"}
	return once(m.enterMounts, func() error {
		if err := unix.Mount("tmpfs", m.scratch, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
			return err
		}
		path := filepath.Join(m.scratch, "check")
		if err := makeDir(path, 0o755); err != nil {
			return err
		}
		_, err := m.overlay(path, "/usr", []string{"/usr"}, nil)
		if err != nil {
			return missing{"overlayfs cannot be mounted: " + err.Error()}
		}
		return nil
	})
}
