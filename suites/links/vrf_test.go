package links_test

import (
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// tenants are two networks with the same addresses, and one router; blue has a segment
// more. What leaks from one to the other is declared by leak.
//
//	red/a  --red/in--  r --red/out--  red/b
//	blue/a --blue/in-- r --blue/out-- blue/b
//	                   +---blue/more- blue/c
func tenants(leak func(r *topo.Node, redIn, blueMore *topo.Segment)) *topo.Network {
	network := topo.New("tenants")
	segments := map[string]*topo.Segment{}
	var at []topo.Attachment
	wire := func(name string, prefixes ...string) *topo.Segment {
		segments[name] = network.Wire(name, prefixes...)
		return segments[name]
	}
	for _, tenant := range []string{"red", "blue"} {
		in, out := wire(tenant+"/in", "10.0.1.0/24", "fd00:1::/64"), wire(tenant+"/out", "10.0.2.0/24", "fd00:2::/64")
		network.Host(tenant+"/a", in)
		network.Host(tenant+"/b", out)
		at = append(at, in.As(tenant+"-in"), out.As(tenant+"-out"))
	}
	more := wire("blue/more", "10.0.3.0/24", "fd00:3::/64")
	network.Host("blue/c", more)
	r := network.Router("r", append(at, more)...)
	r.VRF("red", 10, segments["red/in"], segments["red/out"])
	r.VRF("blue", 20, segments["blue/in"], segments["blue/out"], more)
	leak(r, segments["red/in"], more)
	return network
}

var _ = Describe("a VRF", func() {
	BeforeEach(func() { harness.Require(GinkgoTB(), harness.VRF) })

	It("routes each tenant by its own table", func(ctx SpecContext) {
		lab := up(tenants(func(*topo.Node, *topo.Segment, *topo.Segment) {}))
		for _, tenant := range []string{"red", "blue"} {
			a, b := lab.Node(tenant+"/a"), lab.Node(tenant+"/b")
			passes(a, b, b.Addrs()...)
			probes.Serve(GinkgoTB(), b, probes.TCP(80), probes.UDP(53))
			reaches(ctx, a, b)
		}
	})

	It("keeps one from the other by the end of its table", func(ctx SpecContext) {
		lab := up(tenants(func(*topo.Node, *topo.Segment, *topo.Segment) {}))
		result, err := probes.Watch(ctx, lab.Node("red/a"), lab.Node("blue/c"), probes.ICMP())
		Expect(err).NotTo(HaveOccurred())
		Expect(result.Cause.Kind).To(Equal(evidence.Unreachable), result.String())
		Expect(lab.Node("red/a")).To(probes.BeIsolatedFrom(lab.Node("blue/c"), probes.ICMP(), probes.TCP(80)).At("r").WithContext(ctx))
	})

	It("lets through what leaks on purpose", func(ctx SpecContext) {
		lab := up(tenants(func(r *topo.Node, redIn, blueMore *topo.Segment) {
			r.Route(topo.Route{To: "10.0.3.0/24", Dev: blueMore, Table: 10}, topo.Route{To: "10.0.1.0/24", Dev: redIn, Table: 20, Metric: 1})
			r.Rule(topo.Rule{Priority: 900, In: blueMore, Table: 20})
		}))
		a, c := lab.Node("red/a"), lab.Node("blue/c")
		passes(a, c, c.Addrs()[0])
	})
})
