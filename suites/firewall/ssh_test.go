package firewall_test

import (
	"bufio"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/nstest/nstest/harness"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// serveSSH has a real service at the node's port 22: sshd where it is installed
// and may start, else a listener that greets as one. It returns the greeting.
func serveSSH(node *harness.Node) string {
	GinkgoHelper()
	if startSSHD(node) {
		var greeting string
		Eventually(func() error {
			var err error
			greeting, err = greet(node)
			return err
		}, "10s", "10ms").Should(Succeed())
		return greeting
	}
	listener, err := node.Listen(GinkgoT().Context(), "tcp", netip.AddrPortFrom(netip.Addr{}, 22))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(listener.Close)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("SSH-2.0-listener\r\n"))
			_ = conn.Close()
		}
	}()
	greeting, err := greet(node)
	Expect(err).NotTo(HaveOccurred())
	return greeting
}

// startSSHD starts sshd in the node. It needs a host key, and the directory that
// its package's service makes: where that is missing it would not start.
func startSSHD(node *harness.Node) bool {
	const sshd = "/usr/sbin/sshd"
	for _, path := range []string{sshd, "/run/sshd"} {
		if _, err := os.Stat(path); err != nil {
			return false
		}
	}
	if harness.Rootless() {
		return false // it wants users that the sandbox does not have
	}
	key := filepath.Join(GinkgoT().TempDir(), "key")
	if exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).Run() != nil {
		return false
	}
	return node.Command(sshd, "-D", "-e", "-f", "/dev/null", "-h", key, "-o", "PidFile=none").Start() == nil
}

// greet reads what the node's own port 22 says first.
func greet(node *harness.Node) (string, error) {
	conn, err := node.Dial(GinkgoT().Context(), "tcp", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), 22))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	line, err := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSpace(line), err
}
