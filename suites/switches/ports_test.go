package switches_test

import (
	"context"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var all = []probes.Probe{probes.ICMP(), probes.TCP(80), probes.UDP(53)}

// served has every node of a lab serve what is asked for.
func served(network *topo.Network) *harness.Lab {
	GinkgoHelper()
	lab := up(network)
	for _, node := range lab.Nodes() {
		probes.Serve(GinkgoTB(), node, probes.TCP(80), probes.UDP(53))
	}
	return lab
}

// office is three hosts on a switch, whose ports are as a test declares them.
type office struct{ pc, site, other *harness.Node }

func officeOf(declare func(lan *topo.Segment) (pc, site, other topo.Attachment)) office {
	GinkgoHelper()
	network := topo.New("office")
	lan := network.Switch("lan", "10.0.1.0/24", "fd00:1::/64")
	pc, site, other := declare(lan)
	network.Host("pc", pc)
	network.Host("site", site)
	network.Host("other", other)
	lab := served(network)
	return office{lab.Node("pc"), lab.Node("site"), lab.Node("other")}
}

func plain(lan *topo.Segment) (pc, site, other topo.Attachment) { return lan, lan, lan }

// reaches asks by every probe, both ways, with as much patience as the judge has.
func reaches(ctx context.Context, one, other *harness.Node) {
	GinkgoHelper()
	for _, probe := range all {
		Expect(one).To(probes.Reach(other, probe.Within(comes)).WithContext(ctx))
		Expect(other).To(probes.Reach(one, probe.Within(comes)).WithContext(ctx))
	}
}

// briefly asks for less than a second.
func briefly(asked ...probes.Probe) (brief []probes.Probe) {
	for _, probe := range asked {
		brief = append(brief, probe.Within(300*time.Millisecond))
	}
	return brief
}

// apart has a check hold that names a kind at a node's port, and matters.
func apart(ctx context.Context, from, to *harness.Node, at string, kind evidence.Kind, asked ...probes.Probe) {
	GinkgoHelper()
	Expect(from).To(probes.BeIsolatedFrom(to, briefly(asked...)...).At(at).Because(kind).WithContext(ctx))
	Expect(from).To(probes.MustMatter(probes.BeIsolatedFrom(to, probes.TCP(80))).At(at).Because(kind).WithContext(ctx))
}

var _ = Describe("a switch's isolated ports", func() {
	isolated := func(lan *topo.Segment) (pc, site, other topo.Attachment) { return lan.Isolated(), lan.Isolated(), lan }

	It("keep apart those who never met, and from nobody else", func(ctx SpecContext) {
		o := officeOf(isolated)
		apart(ctx, o.pc, o.site, "pc", evidence.PortIsolated, all...)
		apart(ctx, o.site, o.pc, "site", evidence.PortIsolated, all...)
		keeps(o.pc, o.site)
		keeps(o.site, o.pc)
		passes(o.pc, o.other)
		passes(o.other, o.site)
		reaches(ctx, o.pc, o.other)
		reaches(ctx, o.site, o.other)
	})

	It("are a matrix", func(ctx SpecContext) {
		o := officeOf(isolated)
		Expect(probes.WatchSurvey(ctx, o.pc.Lab(), probes.ICMP())).To(probes.MatchMatrix(`
			       pc             site         other
			pc     .              isolated@pc  ok
			site   isolated@site  .            ok
			other  ok             ok           .
		`))
	})

	It("keep apart those who know each other, from when they are isolated", func(ctx SpecContext) {
		o := officeOf(plain)
		passes(o.pc, o.site)
		reaches(ctx, o.pc, o.site)
		Expect(o.pc.Port("lan").SetIsolated(true)).To(Succeed())
		passes(o.pc, o.site)
		Expect(o.site.Port("lan").SetIsolated(true)).To(Succeed())
		apart(ctx, o.pc, o.site, "pc", evidence.PortIsolated, all...)
		keeps(o.pc, o.site)
		same(o.pc.Lab())

		By("letting them talk, as the control")
		Expect(o.pc.Port("lan").SetIsolated(false)).To(Succeed())
		reaches(ctx, o.pc, o.site)
		passes(o.pc, o.site)
		same(o.pc.Lab())
	})

	It("come up again as they were", func(ctx SpecContext) {
		o := officeOf(isolated)
		Expect(o.pc.Port("lan").Down()).To(Succeed())
		Expect(o.pc.Port("lan").Up()).To(Succeed())
		passes(o.pc, o.other)
		apart(ctx, o.pc, o.site, "pc", evidence.PortIsolated, all...)
		keeps(o.pc, o.site)
	})
})

var _ = Describe("a switch's locked port", func() {
	BeforeEach(func() { harness.Require(GinkgoTB(), harness.Kernel(5, 18)) })

	It("takes frames from those alone who have an entry there", func(ctx SpecContext) {
		o := officeOf(func(lan *topo.Segment) (pc, site, other topo.Attachment) {
			return lan.Locked(), lan, lan.Locked().Static()
		})
		apart(ctx, o.pc, o.site, "pc", evidence.PortLocked, all...)
		apart(ctx, o.pc, o.other, "pc", evidence.PortLocked, all...)
		keeps(o.pc, o.site)
		passes(o.other, o.site)
		passes(o.site, o.other)
		reaches(ctx, o.other, o.site)
	})

	It("isolates nobody from who is behind it, whose MAC somebody may know", func(ctx SpecContext) {
		o := officeOf(func(lan *topo.Segment) (pc, site, other topo.Attachment) { return lan.Locked(), lan, lan })
		keeps(o.site, o.pc)
		Expect(framed(o.site, o.pc, comes)).To(BeTrue())
		holds, err := probes.BeIsolatedFrom(o.pc, probes.UDP(53)).WithContext(ctx).Match(o.site)
		Expect(holds).To(BeFalse())
		Expect(err).To(MatchError(And(ContainSubstring("port pc of switch lan is locked, and keeps its answers"), ContainSubstring("it arrives"))))
	})

	It("keeps the answers of who is asked by a MAC that is known", func(ctx SpecContext) {
		o := officeOf(plain)
		passes(o.site, o.pc)
		Expect(o.pc.Port("lan").SetLocked(true)).To(Succeed())
		Expect(o.site).To(probes.BeUnansweredBy(o.pc, all...).At("pc").Because(evidence.PortLocked).WithContext(ctx))
	})

	It("is locked and opened while the lab runs", func(ctx SpecContext) {
		o := officeOf(plain)
		reaches(ctx, o.pc, o.site)
		Expect(o.pc.Port("lan").SetLocked(true)).To(Succeed())
		apart(ctx, o.pc, o.site, "pc", evidence.PortLocked, all...)
		keeps(o.pc, o.site)
		same(o.pc.Lab())

		By("giving it an entry, as the control")
		Expect(o.pc.Port("lan").SetStatic(macOf(o.pc))).To(Succeed())
		reaches(ctx, o.pc, o.site)
		passes(o.pc, o.site)
		same(o.pc.Lab())

		By("taking the entry away, and opening it")
		Expect(o.pc.Port("lan").SetStatic()).To(Succeed())
		keeps(o.pc, o.site)
		Expect(o.pc.Port("lan").SetLocked(false)).To(Succeed())
		passes(o.pc, o.site)
		same(o.pc.Lab())
	})
})

var _ = Describe("a switch's port with flooding off", func() {
	It("gets nothing that is for it, where the switch learns nothing there", func(ctx SpecContext) {
		o := officeOf(func(lan *topo.Segment) (pc, site, other topo.Attachment) { return lan, lan.NoFlood().NoLearning(), lan })
		apart(ctx, o.pc, o.site, "site", evidence.NotFlooded, probes.TCP(80))
		keeps(o.pc, o.site)
		Expect(framed(o.pc, o.site, stays)).To(BeFalse())
		passes(o.pc, o.other)
		holds, err := probes.BeIsolatedFrom(o.site, briefly(probes.UDP(53))...).WithContext(ctx).Match(o.pc)
		Expect(holds).To(BeFalse())
		Expect(err).To(MatchError(ContainSubstring("site let in what was sent to all on the link")), "broadcasts come through")

		By("giving it an entry, as the control")
		Expect(o.site.Port("lan").SetStatic(macOf(o.site))).To(Succeed())
		passes(o.pc, o.site)
		reaches(ctx, o.pc, o.site)
		same(o.pc.Lab())
	})

	It("gets no answers, and isolates who is behind it from nobody", func(ctx SpecContext) {
		o := officeOf(func(lan *topo.Segment) (pc, site, other topo.Attachment) { return lan.NoFlood().NoLearning(), lan, lan })
		keeps(o.pc, o.site)
		Expect(framed(o.pc, o.site, comes)).To(BeTrue())
		holds, err := probes.BeIsolatedFrom(o.site, probes.UDP(53)).WithContext(ctx).Match(o.pc)
		Expect(holds).To(BeFalse())
		Expect(err).To(MatchError(And(ContainSubstring("port pc of switch lan has flooding off, and no entry for the MAC that answers go to"), ContainSubstring("it arrives"))))
	})

	It("gets what is for it, once the switch has heard of it", func(ctx SpecContext) {
		o := officeOf(func(lan *topo.Segment) (pc, site, other topo.Attachment) {
			return lan, lan.NoFlood(), lan.NoFlood().Static()
		})
		passes(o.pc, o.other)
		passes(o.pc, o.site)
		reaches(ctx, o.pc, o.site)
		reaches(ctx, o.pc, o.other)
	})

	It("is turned on and off while the lab runs", func(ctx SpecContext) {
		o := officeOf(plain)
		reaches(ctx, o.pc, o.site)
		Expect(o.site.Port("lan").SetLearning(false)).To(Succeed())
		passes(o.pc, o.site)
		Expect(o.site.Port("lan").SetFlood(false)).To(Succeed())
		apart(ctx, o.pc, o.site, "site", evidence.NotFlooded, probes.TCP(80))
		keeps(o.pc, o.site)
		same(o.pc.Lab())

		By("flooding there, as the control")
		Expect(o.site.Port("lan").SetFlood(true)).To(Succeed())
		passes(o.pc, o.site)
		reaches(ctx, o.pc, o.site)
		same(o.pc.Lab())
	})
})

var _ = Describe("what a switch learns", func() {
	It("is who is where: others do not hear it", func() {
		o := officeOf(plain)
		passes(o.pc, o.site)
		passes(o.site, o.pc)
		Expect(overhears(o.other, o.pc, o.site, stays)).To(BeFalse())
	})

	It("is nothing at a port with learning off: all hear what is for it", func(ctx SpecContext) {
		o := officeOf(func(lan *topo.Segment) (pc, site, other topo.Attachment) { return lan, lan.NoLearning(), lan })
		passes(o.pc, o.site)
		Expect(overhears(o.other, o.pc, o.site, comes)).To(BeTrue())
		reaches(ctx, o.pc, o.site)
	})

	It("is not what an entry says that stays: one at another port is named", func(ctx SpecContext) {
		o := officeOf(plain)
		passes(o.pc, o.site)
		Expect(o.other.Port("lan").SetStatic(macOf(o.site))).To(Succeed())
		keeps(o.pc, o.site)
		Expect(overhears(o.other, o.pc, o.site, comes)).To(BeTrue())
		holds, err := probes.BeIsolatedFrom(o.site, probes.UDP(53)).WithContext(ctx).Match(o.pc)
		Expect(holds).To(BeFalse())
		Expect(err).To(MatchError(ContainSubstring("switch lan has an entry by which the MAC is behind port other")))
		same(o.pc.Lab())

		By("taking it away, as the control")
		Expect(o.other.Port("lan").SetStatic()).To(Succeed())
		passes(o.pc, o.site)
	})
})

var _ = Describe("a port that is on no switch", func() {
	It("says so", func() {
		network := topo.New("wired")
		wire := network.Wire("wire", "10.0.1.0/24")
		network.Host("a", wire)
		network.Host("b", wire)
		lab := up(network)
		Expect(lab.Node("a").Port("wire").SetIsolated(true)).To(MatchError("node a: port wire: it is on no switch: make its segment one"))
		Expect(lab.Node("a").Port("wire").SetStatic([]byte{2, 0, 1})).To(MatchError(ContainSubstring("give six bytes")))
		Expect(lab.Node("a").Port("wire").Switch()).To(Equal(topo.SwitchPort{}))
	})
})
