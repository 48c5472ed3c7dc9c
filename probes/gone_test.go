package probes_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	"github.com/onsi/gomega"
)

const noMail = `table inet f { chain c { type filter hook input priority 0; tcp dport 25 drop comment "no mail"; }; }`

// visited is a lab to which a guest has come, who was asked and has asked.
func visited(t *testing.T) (lab *harness.Lab, guest *harness.Node) {
	t.Helper()
	g := gomega.NewWithT(t)
	lab = harness.Up(t, office(""))
	g.Expect(lab.Change(func(n *topo.Network) { n.Host("guest", n.Segment("lan")).Nft(noMail) })).To(gomega.Succeed())
	guest, client := lab.Node("guest"), lab.Node("client")
	probes.Serve(t, guest, web, dns)
	g.Expect(client).To(probes.Reach(guest, web, dns))
	g.Expect(guest).To(probes.Reach(client))
	ask(t, client, guest, icmp)
	g.Expect(probes.Connect(t.Context(), guest, client, icmp)).NotTo(gomega.BeNil())
	g.Expect(client).To(probes.BeIsolatedFrom(guest, mail).By("no mail"))
	return lab, guest
}

// What probes keep open at a node goes with it, and not with the lab.
func TestNothingIsKeptOfANodeThatIsGone(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	g := gomega.NewWithT(t)
	lab, guest := visited(t)
	left := socketsIn(t, guest)
	if left() < 6 {
		t.Fatalf("the control: %d sockets were found in the node's namespace", left())
	}
	g.Expect(lab.Change(func(n *topo.Network) { n.Remove(n.Node("guest")) })).To(gomega.Succeed())
	ask(t, lab.Node("client"), lab.Node("server"), icmp) // a watch sees then that it is gone
	g.Expect(lab.Node("client")).To(probes.Reach(lab.Node("server")))
	g.Eventually(left).WithTimeout(10*time.Second).Should(gomega.BeZero(), "sockets in the namespace of a node that is gone")
}

// The rules that a node had are told when it goes, while they can be read.
func TestCoverageOfANodeThatIsGone(t *testing.T) {
	file := covering(t)
	t.Run("", func(t *testing.T) {
		lab, _ := visited(t)
		gomega.NewWithT(t).Expect(lab.Change(func(n *topo.Network) { n.Remove(n.Node("guest")) })).To(gomega.Succeed())
	})
	var got []string
	for _, line := range told(t, file) {
		if strings.Contains(line, " guest ") {
			got = append(got, line)
		}
	}
	gomega.NewWithT(t).Expect(got).To(gomega.Equal([]string{
		"decided office guest inet f c 0 policy accept",
		`decided office guest inet f c 1 tcp dport 25 drop comment "no mail"`,
	}))
}
