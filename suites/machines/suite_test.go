package machines_test

import (
	"os"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

func TestSuite(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Nodes as small machines, and real programs in them")
}

var _ = BeforeEach(func() {
	if other := harness.OtherShard(CurrentSpecReport().FullText()); other != "" {
		Skip(other)
	}
})

// pair is a client and a server on a wire.
func pair() (client, server *harness.Node) {
	GinkgoHelper()
	network := topo.New("pair")
	lan := network.Wire("lan", "10.0.1.0/24", "fd00:1::/64")
	network.Host("client", lan)
	network.Host("server", lan)
	lab := harness.Up(GinkgoTB(), network)
	return lab.Node("client"), lab.Node("server")
}

// sh runs a script in a node, and returns what it says.
func sh(node *harness.Node, script string) string {
	GinkgoHelper()
	out, err := node.Command("sh", "-euc", script).CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), "%s", out)
	return string(out)
}
