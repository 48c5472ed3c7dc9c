package harness

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// sysctlPath turns a key in dots into its file. A part with dots of its own
// (an interface "eth0.5") is written with slashes instead, as sysctl(8) has it.
// Only net. belongs to a network namespace: anything else would be the machine's.
func sysctlPath(key string) (string, error) {
	file := key
	if !strings.Contains(key, "/") {
		file = strings.ReplaceAll(key, ".", "/")
	}
	if !strings.HasPrefix(file, "net/") || strings.Contains(file, "..") {
		return "", fmt.Errorf("sysctl %q does not belong to a network namespace: only net.* does", key)
	}
	return "/proc/sys/" + file, nil
}

func readSysctl(key string) (string, error) {
	path, err := sysctlPath(key)
	if err != nil {
		return "", err
	}
	value, err := os.ReadFile(path)
	if err != nil {
		return "", at(pathless(err), "read sysctl %s", key)
	}
	return strings.TrimSpace(string(value)), nil
}

func writeSysctl(key, value string) error {
	path, err := sysctlPath(key)
	if err != nil {
		return err
	}
	// Not WriteFile: it would try to create what this kernel lacks.
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, unix.EROFS) {
		err = fmt.Errorf("%w: %s", unix.EROFS, sysctlsReadOnly)
	}
	if err != nil {
		return at(pathless(err), "set sysctl %s=%s", key, value)
	}
	defer file.Close()
	if _, err := file.WriteString(value); err != nil {
		return at(pathless(err), "set sysctl %s=%s", key, value)
	}
	return nil
}

// sysctlsReadOnly is what to do about a container's /proc/sys, which others own.
const sysctlsReadOnly = "this container's /proc/sys is read-only: let it be written (docker or podman run --security-opt systempaths=unconfined;" +
	" Kubernetes: securityContext.procMount: Unmasked; systemd-nspawn: SYSTEMD_NSPAWN_API_VFS_WRITABLE=yes)"

// pathless takes the path out of an os error: our own path says more.
func pathless(err error) error {
	if e, ok := err.(*os.PathError); ok {
		return e.Err
	}
	return err
}

// Sysctl reads a kernel parameter of the node's namespace. The key has dots
// (net.ipv4.ip_forward), or slashes where a part has dots of its own. Only net.*
// belongs to a network namespace; any other key is an error.
func (n *Node) Sysctl(key string) (value string, err error) {
	err = n.Do(func() error {
		value, err = readSysctl(key)
		return err
	})
	return value, at(err, "node %s", n.Name())
}

// SetSysctl sets a kernel parameter of the node's namespace; the key is as in
// Sysctl.
func (n *Node) SetSysctl(key, value string) error {
	set := func(n *Node) error { return n.Do(func() error { return writeSysctl(key, value) }) }
	err := n.did(set(n), set)
	n.changed(err, func(c *Changes) { c.set(key, value) })
	return err
}
