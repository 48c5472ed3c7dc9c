package firewall_test

import (
	"bufio"
	"bytes"
	"context"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/nstest/nstest/harness"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// serveSSH has a real service at the node's port 22: sshd where it is installed,
// else a listener that greets as one. It returns the greeting.
func serveSSH(node *harness.Node) (greeting string) {
	GinkgoHelper()
	self := netip.MustParseAddr("127.0.0.1")
	if said := startSSHD(node); said != nil {
		Eventually(func() error {
			var err error
			greeting, err = greet(node, self)
			return err
		}, "10s").Should(Succeed(), "sshd says: %s", said)
		return greeting
	}
	listener, err := node.Listen(context.Background(), "tcp", netip.AddrPortFrom(netip.Addr{}, 22))
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
	Expect(greet(node, self)).To(Equal("SSH-2.0-listener"))
	return "SSH-2.0-listener"
}

// startSSHD starts sshd in the node, and returns what it says; nil where there is
// none. It wants a directory that its package's service makes: the command gets
// one of its own, on a mount that only this node's commands see.
func startSSHD(node *harness.Node) *bytes.Buffer {
	GinkgoHelper()
	const sshd = "/usr/sbin/sshd"
	if _, err := os.Stat(sshd); err != nil {
		return nil
	}
	key := filepath.Join(GinkgoT().TempDir(), "key")
	out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), "%s", out)
	// Without -n, mount would first make a /run/mount for itself on the machine.
	const script = `mount -n -t tmpfs -o mode=755 tmpfs /run && mkdir /run/sshd && exec "$0" "$@"`
	cmd := node.Command("sh", "-c", script, sshd, "-D", "-e", "-f", "/dev/null", "-h", key, "-o", "PidFile=none")
	said := new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = said, said
	Expect(cmd.Start()).To(Succeed())
	return said
}

// greet is what port 22 of an address says first.
func greet(node *harness.Node, addr netip.Addr) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := node.Dial(ctx, "tcp", netip.AddrPortFrom(addr, 22))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	line, err := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSpace(line), err
}
