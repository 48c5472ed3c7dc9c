package harness

import (
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	// sandboxVar steers the sandbox: "off" runs the tests where they are, which is
	// for debuggers. Main sets it to "inside" for the process within.
	sandboxVar = "NSTEST_SANDBOX"
	inside     = "inside"
)

// Main runs a package's tests where they may make namespaces, and checks at the
// end that they left nothing behind. It is all that TestMain does:
//
//	func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
//
// With privilege (CAP_SYS_ADMIN, CAP_NET_ADMIN and CAP_NET_RAW) the tests run where they are.
// Without, this test binary runs once more in a user and mount namespace of its
// own, with the same arguments, streams and working directory, and Main returns
// its exit status; 128+n when signal n ended it. Nothing in there has any power
// over the machine's network, though it still shares the machine's loopback. The
// user is root in there, and nobody else is, unless newuidmap(1) and /etc/subuid
// allow more users: see Users. Where user namespaces are forbidden, Main says
// what forbids them and how to allow them, and returns 1.
func Main(m interface{ Run() int }) int {
	if !privileged() && os.Getenv(sandboxVar) == "" {
		return sandbox()
	}
	if Rootless() && !privileged() {
		fmt.Fprintln(os.Stderr, "nstest:", forbidden(nil, readMachine()))
		return 1
	}
	if _, err := theShard(); err != nil {
		fmt.Fprintln(os.Stderr, "nstest:", err)
		return 1
	}
	before := takeStock()
	status := m.Run()
	writeEnd(os.Stderr)
	if left := before.left(); left != "" {
		fmt.Fprintf(os.Stderr, "nstest: the tests left behind:\n%s", left)
		if status == 0 {
			status = 1
		}
	}
	return status
}

// Rootless says whether the tests run in Main's sandbox: as root of a user
// namespace, and as an ordinary user of the machine.
func Rootless() bool { return os.Getenv(sandboxVar) == inside }

// privileged says whether this process may make and configure network namespaces, and look
// into their packets.
var privileged = sync.OnceValue(func() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if unix.Capget(&header, &data[0]) != nil {
		return false
	}
	const need = 1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_RAW
	return data[0].Effective&need == need
})

// noPrivilege is what to do where namespaces may not be made.
func noPrivilege() string {
	if Rootless() {
		return forbidden(nil, readMachine())
	}
	return "network namespaces need privilege: let the package's TestMain enter the sandbox" +
		" (func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }), or run the tests as root"
}

// ends are what is written when the tests have ended.
var ends struct {
	sync.Mutex
	writers []func(io.Writer) error
}

// OnEnd registers f to write to the standard error when Main's tests have ended, on
// success too: what was counted over all of them.
func OnEnd(f func(io.Writer) error) {
	ends.Lock()
	defer ends.Unlock()
	ends.writers = append(ends.writers, f)
}

func writeEnd(w io.Writer) {
	ends.Lock()
	defer ends.Unlock()
	for _, f := range ends.writers {
		if err := f(w); err != nil {
			fmt.Fprintln(w, "nstest:", err)
		}
	}
}
