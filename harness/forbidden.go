package harness

import (
	"fmt"
	"os"
	"strings"
)

// machine is what decides whether user namespaces may be had.
type machine map[string]string

// gates are the settings that forbid user namespaces to ordinary users, the
// value that does, and what allows them again.
var gates = []struct{ file, forbids, allow string }{
	{"/proc/sys/kernel/unprivileged_userns_clone", "0", "sudo sysctl -w kernel.unprivileged_userns_clone=1"},
	{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"},
	{"/proc/sys/user/max_user_namespaces", "0", "sudo sysctl -w user.max_user_namespaces=10000"},
	{"/proc/sys/user/max_mnt_namespaces", "0", "sudo sysctl -w user.max_mnt_namespaces=10000"},
}

func readMachine() machine {
	m := machine{}
	for _, gate := range gates {
		if text, err := os.ReadFile(gate.file); err == nil {
			m[gate.file] = strings.TrimSpace(string(text))
		}
	}
	return m
}

// bySeccomp is what forbids namespaces where no setting does, and what to do about it.
const bySeccomp = "a container's seccomp profile may forbid them (docker run --security-opt seccomp=unconfined, or --privileged)"

// forbidden says why the sandbox cannot be entered, and the command that allows it.
func forbidden(err error, m machine) string {
	text := "enter the sandbox"
	if err != nil {
		text += ": " + pathless(err).Error()
	}
	for _, gate := range gates {
		if m[gate.file] == gate.forbids {
			name := strings.ReplaceAll(strings.TrimPrefix(gate.file, "/proc/sys/"), "/", ".")
			return fmt.Sprintf("%s: user namespaces are forbidden by %s=%s; allow them: %s, or run the tests as root", text, name, gate.forbids, gate.allow)
		}
	}
	return text + ": user namespaces are not to be had here; " + bySeccomp + "; or run the tests as root"
}
