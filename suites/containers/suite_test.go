// Package containers asks about networks as those who run containers make them: what CNI's plugins
// and LXC made, attached as a lab, and namespaces behind the rules that Docker and Podman document.
// The judge is plain sockets.
package containers_test

import (
	"context"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

func TestSuite(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Networks of containers")
}

var _ = BeforeEach(func() {
	if other := harness.OtherShard(CurrentSpecReport().FullText()); other != "" {
		Skip(other)
	}
})

var (
	icmp = probes.ICMP()
	ssh  = probes.TCP(22)
)

// stays is how long nothing must come, and comes how long what is to come may take.
const (
	stays = 200 * time.Millisecond
	comes = 10 * time.Second
)

// connects says whether a plain connection is made: the judge.
func connects(from *harness.Node, to netip.Addr, port uint16, within time.Duration) bool {
	GinkgoHelper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	conn, err := from.Dial(ctx, "tcp", netip.AddrPortFrom(to, port))
	if err != nil {
		return false
	}
	return conn.Close() == nil
}

// sh runs a script in a node, and returns what it says.
func sh(node *harness.Node, script string) string {
	GinkgoHelper()
	out, err := node.Command("sh", "-euc", script).CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), "%s", out)
	return string(out)
}

// installed has packages' files in a node.
func installed(node *harness.Node, packages ...string) {
	GinkgoHelper()
	for _, name := range packages {
		root, err := harness.PackageRoot(name)
		Expect(err).NotTo(HaveOccurred())
		Expect(node.Layer(root)).To(Succeed())
	}
}
