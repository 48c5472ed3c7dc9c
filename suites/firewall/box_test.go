package firewall_test

import (
	"net/netip"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// soon is when a responder has long had its turn, however busy the machine.
const soon = 25 * time.Second

var (
	ssh  = probes.TCP(22).Within(soon)
	web  = probes.TCP(80).Within(soon)
	mail = probes.TCP(25).Within(soon)
	dns  = probes.UDP(53).Within(soon)
)

// office is a firewall box and who is around it. The box's management interface
// is in its default namespace, "box"; its service interfaces are in the
// firewall's, "fw". The management network and the lan have the same addresses,
// on purpose.
//
//	admin --mgmt-- box        desk --lan-- fw --wan-- inet
type office struct{ admin, box, fw, desk, inet *harness.Node }

func up(rules string) office {
	GinkgoHelper()
	if rules != "" {
		harness.Require(GinkgoTB(), harness.NftTool)
	}
	return newOffice(GinkgoTB(), rules)
}

func newOffice(tb harness.TB, rules string) office {
	network := topo.New("office")
	mgmt := network.Switch("mgmt", "10.0.1.0/24", "fd00:1::/64")
	lan := network.Switch("lan", "10.0.1.0/24", "fd00:1::/64")
	wan := network.Switch("wan", "198.51.100.0/24", "fd00:2::/64")
	network.Host("box", mgmt.At("10.0.1.1", "fd00:1::1"))
	network.Host("admin", mgmt)
	fw := network.Router("fw", lan.At("10.0.1.1", "fd00:1::1"), wan)
	network.Host("desk", lan)
	network.Host("inet", wan)
	if rules != "" {
		fw.Nft(rules)
	}
	lab := harness.Up(tb, network)
	return office{lab.Node("admin"), lab.Node("box"), lab.Node("fw"), lab.Node("desk"), lab.Node("inet")}
}

// both are the addresses that the box and the firewall have.
var both = []netip.Addr{netip.MustParseAddr("10.0.1.1"), netip.MustParseAddr("fd00:1::1")}

// ask is one address's result; both are families of one target.
func ask(ctx SpecContext, from *harness.Node, to probes.Target, p probes.Probe) []probes.Result {
	GinkgoHelper()
	result, err := probes.Ask(ctx, from, to, p)
	Expect(err).NotTo(HaveOccurred())
	if len(result.Each) > 0 {
		return result.Each
	}
	return []probes.Result{result}
}

func outcome(o probes.Outcome) OmegaMatcher { return HaveEach(HaveField("Outcome", o)) }

func answeredBy(name string) OmegaMatcher {
	return HaveEach(And(HaveField("Outcome", probes.Answered), HaveField("By", name)))
}
