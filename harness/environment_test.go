package harness_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// well is what the fixture says where a lab is as it is anywhere.
const well = `well: said bob, <nil>; "bob 755 755 755 700 1777 ", <nil>; ttl 42; rules <nil>`

func init() {
	fixtures["anywhere"] = func(t *testing.T) {
		network := topo.New("anywhere")
		lan := network.Switch("lan", "10.0.1.0/24")
		network.Host("alice", lan)
		network.Host("bob", lan).Sysctl("net.ipv4.ip_default_ttl", "42")
		lab := harness.Up(t, network)
		bob := lab.Node("bob")
		echo(t, bob, 80)
		said, err := ask(t, lab.Node("alice"), bob.Addr(), 80)
		out, failed := bob.Command("/bin/sh", "-c", `echo $(uname -n) $(stat -c %a /etc /var /run /root /dev/shm) | tr '\n' ' '; echo kept >/run/kept && [ "$(cat /run/kept)" = kept ]`).CombinedOutput()
		var ttl []byte
		if err := bob.Do(func() (err error) {
			ttl, err = os.ReadFile("/proc/sys/net/ipv4/ip_default_ttl")
			return err
		}); err != nil {
			t.Error(err)
		}
		rules := bob.Nft("table inet t { chain c { type filter hook input priority 0; }; }")
		fmt.Printf("\nwell: said %s, %v; %q, %v; ttl %s; rules %v\n", said, err, out, failed, bytes.TrimSpace(ttl), rules)
	}
}

// in has a shell prepare what a command is started in; $0 and $@ are the command.
func in(cmd *exec.Cmd, script string) *exec.Cmd {
	self, _ := os.Executable()
	cmd.Args = append([]string{"/bin/sh", "-c", script + `; exec "$0" "$@"`, self}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	return cmd
}

// only leaves of the environment what the fixture needs, and adds to it.
func only(cmd *exec.Cmd, add ...string) *exec.Cmd {
	var kept []string
	for _, kv := range cmd.Env {
		if strings.HasPrefix(kv, "NSTEST_") {
			kept = append(kept, kv)
		}
	}
	cmd.Env = append(kept, add...)
	return cmd
}

func TestALabIsTheSameInAnyEnvironment(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	dir := t.TempDir()
	link, file, closed := filepath.Join(dir, "link"), filepath.Join(dir, "file"), filepath.Join(dir, "closed")
	if err := os.Symlink("/tmp", link); err != nil {
		t.Fatal(err)
	}
	write(t, file, "")
	if err := os.Mkdir(closed, 0o500); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*exec.Cmd) *exec.Cmd{
		"as it is":           func(c *exec.Cmd) *exec.Cmd { return c },
		"TMPDIR missing":     func(c *exec.Cmd) *exec.Cmd { return only(c, "TMPDIR=/no/such/directory", "PATH=/usr/bin:/bin") },
		"TMPDIR a file":      func(c *exec.Cmd) *exec.Cmd { return only(c, "TMPDIR="+file, "PATH=/usr/bin:/bin") },
		"TMPDIR a link":      func(c *exec.Cmd) *exec.Cmd { return only(c, "TMPDIR="+link, "PATH=/usr/bin:/bin") },
		"TMPDIR read-only":   func(c *exec.Cmd) *exec.Cmd { return only(c, "TMPDIR="+closed, "PATH=/usr/bin:/bin") },
		"TMPDIR relative":    func(c *exec.Cmd) *exec.Cmd { return only(c, "TMPDIR=.", "PATH=/usr/bin:/bin") },
		"no variables":       func(c *exec.Cmd) *exec.Cmd { return only(c) },
		"HOME nowhere":       func(c *exec.Cmd) *exec.Cmd { return only(c, "HOME=/no/such/directory") },
		"another language":   func(c *exec.Cmd) *exec.Cmd { return only(c, "LANG=tr_TR.UTF-8", "LC_ALL=tr_TR.UTF-8", "LANGUAGE=tr") },
		"umask 077":          func(c *exec.Cmd) *exec.Cmd { return in(c, "umask 077") },
		"umask 777":          func(c *exec.Cmd) *exec.Cmd { return in(c, "umask 777") },
		"no input or output": func(c *exec.Cmd) *exec.Cmd { return in(c, "exec <&-") },
	} {
		for who, cmd := range map[string]*exec.Cmd{"same privilege": fixture("anywhere", "-test.v"), "sandbox": unprivileged("anywhere", "-test.v")} {
			t.Run(name+", "+who, func(t *testing.T) {
				t.Parallel()
				out, status := outcome(t, change(cmd))
				if status != 0 || !strings.Contains(out, well) {
					t.Errorf("status %d: %s", status, out)
				}
			})
		}
	}
}

// straits are what a fixture's process gets itself into before it begins, by preparedVar: what
// containers take from their processes.
var straits = map[string]func() error{
	"no raw sockets": func() error {
		return unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_NET_RAW, 0, 0, 0)
	},
	"no namespaces": func() error {
		return forbidNamespaces()
	},
	// These two in a mount namespace, and a PID namespace, of the process's own.
	"sysctls read-only": func() error {
		if err := unix.Mount("/proc/sys", "/proc/sys", "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return err
		}
		const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
		return unix.Mount("", "/proc/sys", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|flags, "")
	},
	"another /proc":    func() error { return nil }, // than that of the process's PID namespace
	"processes hidden": func() error { return unix.Mount("proc", "/proc", "proc", 0, "hidepid=2") },
}

// forbidNamespaces has the kernel refuse new namespaces, as Docker's and Podman's seccomp
// profiles do.
func forbidNamespaces() error {
	const load, equal, set, answer = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K,
		unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	const number, firstArgument = 0, 16 // offsets in struct seccomp_data, little-endian
	const spaces = unix.CLONE_NEWUSER | unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC
	filter := []unix.SockFilter{
		{Code: load, K: number},
		{Code: equal, K: unix.SYS_UNSHARE, Jt: 4},
		{Code: equal, K: unix.SYS_CLONE3, Jt: 4},
		{Code: equal, K: unix.SYS_CLONE, Jf: 4},
		{Code: load, K: firstArgument},
		{Code: set, K: spaces, Jf: 2},
		{Code: answer, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: answer, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
		{Code: answer, K: unix.SECCOMP_RET_ALLOW},
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0)
}

func TestAContainersStraitsAreToldWithWhatHelps(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	for name, want := range map[string]map[string]string{
		"no raw sockets":    {"same privilege": well, "sandbox": well},
		"no namespaces":     {"same privilege": "seccomp=unconfined", "sandbox": "seccomp=unconfined"},
		"sysctls read-only": {"same privilege": "systempaths=unconfined", "sandbox": "systempaths=unconfined"},
		"another /proc":     {"same privilege": well},
		"processes hidden":  {"same privilege": well, "sandbox": well},
	} {
		for who, want := range want {
			t.Run(name+", "+who, func(t *testing.T) {
				t.Parallel()
				cmd := fixture("anywhere", "-test.v")
				if who == "sandbox" {
					cmd = unprivileged("anywhere", "-test.v")
				}
				cmd.Env = append(cmd.Env, preparedVar+"="+name, "NSTEST_SANDBOX=") // also where this runs in one
				cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
				if name == "processes hidden" || name == "another /proc" {
					cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWPID
				}
				out, _ := outcome(t, cmd)
				if !strings.Contains(out, want) || strings.Contains(out, "left behind") {
					t.Errorf("%q is not in:\n%s", want, out)
				}
			})
		}
	}
}
