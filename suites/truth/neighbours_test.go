package truth_test

import (
	"context"
	"net"
	"slices"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
)

// acquaintance is what the kernels of a lab know of their neighbours when a try is made.
// Where rules end what finds them, the same question arrives or does not by who has spoken
// before: a kernel learns its neighbour by the neighbour's own question, and later forgets it.
type acquaintance string

const (
	asTheyCame acquaintance = ""
	acquainted acquaintance = "once all had spoken with each other"
	strangers  acquaintance = "once no neighbour was known"
)

// otherwise are plain tries made once more, where the library heard what nobody heard here, or
// the other way round. It may have found the neighbours in another state; and a kernel with
// much to do loses now and then what it has to say itself, echo replies and errors.
func (o *oracle) otherwise(ctx context.Context, r *round) (facts []fact, err error) {
	for _, f := range r.facts {
		here := f.arrived[r.to] > 0 || f.answered
		differs := func(res probes.Result) bool {
			return res.Addr == f.to && (arrives(res) != here || (res.Outcome == probes.Answered) != f.answered)
		}
		if !f.plain() || !slices.ContainsFunc(slices.Concat(r.said.bare, r.said.watched, r.said.surveyed), differs) {
			continue
		}
		t := f.try
		t.neighbours = acquainted
		change := o.acquaint
		if here {
			t.neighbours, change = strangers, o.estrange
		}
		if err := change(); err != nil {
			return nil, err
		}
		facts = append(facts, o.ask(ctx, t))
	}
	return facts, nil
}

// arrives says whether a request arrived, by what the library says of it.
func arrives(r probes.Result) bool {
	c := r.Cause
	return r.Outcome == probes.Answered || r.Outcome == probes.Refused || c != nil && (c.Leg == evidence.Answer || c.Kind == evidence.NoListener)
}

// acquaint has every node know its neighbours as if these had asked it just now. To have
// them ask is not enough: one that has been asked does not.
func (o *oracle) acquaint() error {
	all, err := endsOf(o.lab)
	if err != nil {
		return err
	}
	for _, here := range all {
		for _, there := range all {
			if here.node == there.node || here.segment != there.segment {
				continue
			}
			for _, addr := range there.addrs {
				n := netlink.Neigh{LinkIndex: here.link.Attrs().Index, State: netlink.NUD_STALE, IP: addr.IP, HardwareAddr: there.link.Attrs().HardwareAddr}
				_ = here.node.Netlink().NeighSet(&n) // where it has no address of the family there is no matter either
			}
		}
	}
	return nil
}

// end is a node's on a segment.
type end struct {
	node    *harness.Node
	segment string
	link    netlink.Link
	addrs   []netlink.Addr
}

// endsOf are all of a lab. What a bridge or a program in a node joins is one segment.
func endsOf(lab *harness.Lab) (ends []end, err error) {
	for _, node := range lab.Nodes() {
		links, err := node.Netlink().LinkList()
		if err != nil {
			return nil, err
		}
		for _, link := range links {
			addrs, err := node.Netlink().AddrList(link, netlink.FAMILY_ALL)
			if err != nil {
				return nil, err
			}
			e := end{node, near(link.Attrs().Name), link, addrs}
			if slices.ContainsFunc(lab.Nodes(), func(n *harness.Node) bool { return n.Name() == "br" }) {
				e.segment = "all"
			}
			if link.Attrs().Flags&net.FlagLoopback == 0 {
				ends = append(ends, e)
			}
		}
	}
	return ends, nil
}

// estrange has every node forget what it has learned of its neighbours.
func (o *oracle) estrange() error {
	for _, node := range o.lab.Nodes() {
		for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
			all, err := node.Netlink().NeighList(0, family)
			if err != nil {
				return err
			}
			for _, n := range all {
				if n.State&(netlink.NUD_PERMANENT|netlink.NUD_NOARP) == 0 {
					_ = node.Netlink().NeighDel(&n) // it may be gone by itself
				}
			}
		}
	}
	return nil
}

// deaf is a switch with pc and site, where pc hears no neighbour's answer to its question,
// but their own questions, and site drops what is for tcp/80.
func deaf(asks ...ask) *world {
	g := &generator{world: &world{v6: true}}
	g.segment("lan", false)
	g.on("pc", false, "lan")
	g.on("site", false, "lan")
	g.nft("pc", "table netdev deaf {\nchain in {\ntype filter hook ingress device \"lan\" priority 0; policy accept;\nicmpv6 type nd-neighbor-advert drop\n}\n}\n")
	g.nft("site", "table inet filter {\nchain input {\ntype filter hook input priority 0; policy accept;\ntcp dport 80 counter drop\n}\n}\n")
	g.asks = asks
	return g.world
}

var _ = Describe("where rules end what finds neighbours, the judge", func() {
	const arrived, stopped = "nobody is said to listen, but nothing was delivered there", "the request is said to be stopped by a policy, but it was delivered"
	refusal := func(r *round) {
		results(&r.said.watched, func(r *probes.Result) {
			r.Outcome, r.Cause = probes.Refused, &evidence.Cause{Kind: evidence.NoListener, Leg: evidence.Request, Node: "site"}
		})
	}
	silence := func(r *round) {
		results(&r.said.watched, func(r *probes.Result) {
			r.Outcome, r.Cause = probes.Silent, &evidence.Cause{Kind: evidence.Drop, Policy: true, Leg: evidence.Request, Node: "pc"}
		})
	}
	examined := func(ctx context.Context, about ask, change func(*round), w *world) *round {
		harness.Require(GinkgoTB(), harness.NftTool, harness.IPv6)
		rounds, err := w.examine(ctx, func(r *round) {
			if r.ask == about {
				r.said.bare = slices.Clone(r.said.watched)
				change(r)
			}
		})
		Expect(err).NotTo(HaveOccurred())
		return rounds[slices.IndexFunc(rounds, func(r *round) bool { return r.ask == about })]
	}
	greeting := ask{from: "site", to: "pc", kind: icmp}

	It("believes that what found its neighbour known arrived", func(ctx SpecContext) {
		r := examined(ctx, refused, refusal, deaf(refused))
		Expect(r.facts[0].arrived).To(BeEmpty())
		Expect(complaints(r)).NotTo(ContainElement(arrived))
	})

	It("believes that what found no neighbour known was stopped", func(ctx SpecContext) {
		r := examined(ctx, refused, silence, deaf(greeting, refused))
		Expect(r.facts[0].arrived).To(HaveKey("site"))
		Expect(complaints(r)).NotTo(ContainElement(stopped))
	})

	It("catches what is true in neither state", func(ctx SpecContext) {
		Expect(complaints(examined(ctx, dropped, refusal, deaf(dropped)))).To(ContainElement(arrived))
		w := deaf(refused)
		w.parts = slices.DeleteFunc(w.parts, func(p part) bool { return p.node == "pc" })
		Expect(complaints(examined(ctx, refused, silence, w))).To(ContainElement(stopped))
	})
})
