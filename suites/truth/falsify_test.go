package truth_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// known is an office of which the library tells the truth: fw drops what is for
// tcp/80 of site and answers of udp/54, and all else passes. Of udp/53, which is
// signed, site is reached; nobody has tcp/81.
func known(asks ...ask) *world {
	g := &generator{world: &world{v4: true}}
	g.segment("lan", true)
	g.segment("wan", true)
	g.on("pc", false, "lan")
	g.on("site", false, "wan")
	g.on("fw", true, "lan", "wan")
	g.nft("fw", "table inet filter {\nchain forward {\ntype filter hook forward priority 0; policy accept;\ntcp dport 80 counter drop comment \"no web\"\nudp sport 54 counter drop\ntcp dport 22 counter drop\n}\n}\n")
	for _, s := range []service{{network: tcp, port: 80, signed: true}, {network: udp, port: 53, signed: true}, {network: udp, port: 54}} {
		s.node = "site"
		g.services = append(g.services, s)
	}
	g.asks = asks
	return g.world
}

func asked(kind string, port uint16) ask { return ask{from: "pc", to: "site", kind: kind, port: port} }

var (
	dropped    = asked(tcp, 80)
	answers    = asked(udp, 53)
	unanswered = asked(udp, 54)
	refused    = asked(tcp, 81)
)

// falsified is a lie about a question, and the demand that catches it.
type falsified struct {
	about  ask
	caught string
	lie    func(*said)
}

func results(of *[]probes.Result, change func(*probes.Result)) {
	*of = slices.Clone(*of)
	for i := range *of {
		change(&(*of)[i])
	}
}

// causes changes copies: a Result shares its cause with others.
func causes(s *said, change func(*evidence.Cause)) {
	results(&s.watched, func(r *probes.Result) {
		c := *r.Cause
		if c.Rule != nil {
			rule := *c.Rule
			c.Rule = &rule
		}
		change(&c)
		r.Cause = &c
	})
}

var lies = map[string]falsified{
	"isolated, where it is answered":           {answers, "isolated, but what a plain socket sends is delivered", func(s *said) { s.isolated = verdict{asked: true, holds: true} }},
	"isolated, where only the answer dies":     {unanswered, "isolated, but what a plain socket sends is delivered", func(s *said) { s.isolated = verdict{asked: true, holds: true} }},
	"isolated, where nobody listens":           {refused, "isolated, but what a plain socket sends is delivered", func(s *said) { s.isolated = verdict{asked: true, holds: true} }},
	"isolated, where the check itself arrived": {answers, "isolated, but a byte of this very check was delivered", func(s *said) { s.isolated.holds, s.isolated.err = true, nil }},
	"delivered, where it is isolated":          {dropped, "not isolated, as it was delivered, but nothing was", func(s *said) { s.isolated.holds = false }},
	"unanswered, where it is answered":         {answers, "unanswered, but it was not delivered, or answered", func(s *said) { s.unanswered = verdict{asked: true, holds: true, delivered: 1} }},
	"unanswered, where it is isolated":         {dropped, "unanswered, but it was not delivered, or answered", func(s *said) { s.unanswered = verdict{asked: true, holds: true} }},
	"refused, where it is isolated":            {dropped, "refused by the target, but nothing was delivered there", func(s *said) { s.refused = verdict{asked: true, holds: true} }},
	"reached, where it is isolated":            {dropped, "reached, but the target did not answer", func(s *said) { s.reached = verdict{asked: true, holds: true} }},
	"not reached, where it is answered":        {answers, "not reached, but the target answers", func(s *said) { s.reached.holds = false }},
	"a cell that is ok":                        {dropped, "a cell is ok, but the target did not answer", func(s *said) { s.cell = "ok" }},
	"no answer": {answers, "no answer is said to come, but one comes", func(s *said) {
		results(&s.watched, func(r *probes.Result) { r.Outcome = probes.Silent })
	}},
	"no answer, unwatched": {answers, "watched and unwatched differ", func(s *said) {
		results(&s.bare, func(r *probes.Result) { r.Outcome = probes.Silent })
	}},
	"no answer, in an unwatched survey": {dropped, "a watched survey and an unwatched one differ", func(s *said) {
		results(&s.all[0], func(r *probes.Result) { r.Outcome = probes.Answered })
	}},
	"an answer": {dropped, "an answer is said to come, but none comes", func(s *said) {
		results(&s.watched, func(r *probes.Result) { r.Outcome = probes.Answered })
	}},
	"a cause of what is answered": {answers, "a cause is told without need, or none", func(s *said) {
		results(&s.watched, func(r *probes.Result) { r.Cause = &evidence.Cause{Kind: evidence.Drop} })
	}},
	"no cause": {dropped, "a cause is told without need, or none", func(s *said) { results(&s.watched, func(r *probes.Result) { r.Cause = nil }) }},
	"an end that is not understood, once what was named is lifted": {dropped, "what was named is lifted, and the next end is not understood", func(s *said) { s.lost = "it is not known" }},
	"who answered":        {answers, "somebody else answered", func(s *said) { results(&s.watched, func(r *probes.Result) { r.By = "fw" }) }},
	"who answered signed": {answers, "somebody else answered", func(s *said) { results(&s.bare, func(r *probes.Result) { r.By = "fw" }) }},
	"the leg: the request": {unanswered, "the request is said to be stopped by a policy, but it was delivered", func(s *said) {
		causes(s, func(c *evidence.Cause) { c.Leg = evidence.Request })
	}},
	"the leg: the answer": {dropped, "the answer is said to be stopped, but the request was not delivered", func(s *said) {
		causes(s, func(c *evidence.Cause) { c.Leg = evidence.Answer })
	}},
	"the kind of a cause": {dropped, "nobody is said to listen, but nothing was delivered there", func(s *said) {
		causes(s, func(c *evidence.Cause) { c.Kind, c.Node = evidence.NoListener, "site" })
	}},
	"the node of a cause": {dropped, "the counter of the rule that is named did not move", func(s *said) {
		causes(s, func(c *evidence.Cause) { c.Node = "site" })
	}},
	"the rule": {dropped, "the counter of the rule that is named did not move", func(s *said) {
		causes(s, func(c *evidence.Cause) { c.Rule.Handle += 2 })
	}},
	"a counter": {dropped, "the counter of the rule that is named did not move", func(s *said) {
		for id := range s.isolated.counters {
			s.isolated.counters[id] = 0
		}
	}},
}

var _ = Describe("the judge", func() {
	It("has nothing to say against what is true", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.NftTool)
		rounds, err := known(dropped, answers, unanswered, refused).examine(ctx)
		Expect(err).NotTo(HaveOccurred())
		for _, r := range rounds {
			Expect(complaints(r)).To(BeEmpty(), "%s", r.ask)
		}
		Expect(rounds[0].said.isolated.holds).To(BeTrue(), "%v", rounds[0].said.isolated.err)
		Expect(rounds[0].lifted).To(BeTrue())
		Expect(rounds[0].turned).To(BeTrue())
		Expect(rounds[1].said.reached.holds).To(BeTrue(), "%v", rounds[1].said.reached.err)
		Expect(rounds[1].facts[0].by).To(Equal("site"))
		Expect(rounds[2].said.unanswered.holds).To(BeTrue(), "%v", rounds[2].said.unanswered.err)
		Expect(rounds[3].facts[0].arrived).To(Equal(map[string]int{"site": 1}))
	})

	It("catches every lie", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.NftTool)
		rounds, err := known(dropped, answers, unanswered, refused).examine(ctx)
		Expect(err).NotTo(HaveOccurred())
		for name, l := range lies {
			told := *rounds[slices.IndexFunc(rounds, func(r *round) bool { return r.ask == l.about })]
			told.said.isolated.counters = maps.Clone(told.said.isolated.counters)
			l.lie(&told.said)
			Expect(complaints(&told)).To(ContainElement(l.caught), "%s", name)
		}
	})

	It("catches a lie about the node of a cause, which is then lifted", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.NftTool)
		rounds, err := known(dropped).examine(ctx, func(r *round) { causes(&r.said, func(c *evidence.Cause) { c.Node = "site" }) })
		Expect(err).NotTo(HaveOccurred())
		Expect(complaints(rounds[0])).To(ContainElement("what was named is lifted, and nothing turns"))
	})

	It("catches an isolation by a mistake, and one of an address that nobody has", func(ctx SpecContext) {
		w := known(answers, ask{from: "pc", addr: "8.8.8.8", kind: udp, port: 53})
		(&generator{world: w}).mistake("site", "lab.Node(\"site\").Port(\"wan\").Down()", func(node *harness.Node) error { return node.Port("wan").Down() })
		rounds, err := w.examine(ctx, func(r *round) { r.said.isolated = verdict{asked: true, holds: true} })
		Expect(err).NotTo(HaveOccurred())
		Expect(complaints(rounds[0])).To(ConsistOf("isolated by a mistake"))
		Expect(complaints(rounds[1])).To(ConsistOf("an address that nobody has is isolated"))
	})

	It("catches that it is not isolated, where rules alone end it", func(ctx SpecContext) {
		w := known(dropped, answers)
		w.parts[0].feature = "drop rule"
		rounds, err := w.examine(ctx, func(r *round) { r.said.isolated = verdict{asked: true, err: errors.New("it looks like a mistake")} })
		Expect(err).NotTo(HaveOccurred())
		Expect(complaints(rounds[0])).To(ConsistOf("not isolated, but rules alone keep it from being delivered"))
		Expect(complaints(rounds[1])).To(BeEmpty())
	})

	It("makes nothing of an answer that was too late, by this very process or to a plain socket", func(ctx SpecContext) {
		rounds, err := known(answers).examine(ctx)
		Expect(err).NotTo(HaveOccurred())
		r := rounds[0]
		r.said.late = 0 // whatever else this machine does
		results(&r.said.watched, func(r *probes.Result) { r.Outcome, r.Cause = probes.Silent, &evidence.Cause{Kind: evidence.NoAnswer} })
		r.facts[0].took = r.w.within(r.ask)
		Expect(missed(r)).To(ContainElements("no answer is said to come, but one comes", "watched and unwatched differ"))
		r.facts[0].took++
		Expect(missed(r)).To(BeEmpty())
		r.facts[0].took, r.said.late = 0, tooLate+1
		Expect(missed(r)).To(BeEmpty())
		r.said.isolated = verdict{asked: true, holds: true}
		Expect(missed(r)).To(ContainElement("isolated, but what a plain socket sends is delivered"))
	})

	It("takes for no claim what the library leaves open, and counts it", func(ctx SpecContext) {
		rounds, err := known(answers).examine(ctx)
		Expect(err).NotTo(HaveOccurred())
		r := rounds[0]
		r.said.late = 0
		open := evidence.Cause{Kind: evidence.Unknown, Node: "site", Detail: "its responder has not answered: give it more time (Within)"}
		results(&r.said.watched, func(r *probes.Result) { r.Outcome, r.Cause = probes.Silent, &open })
		r.said.reached = verdict{asked: true, err: errors.New("site was not reached: " + open.String())}
		Expect(missed(r)).To(BeEmpty())
		t := newTally()
		t.count(r)
		Expect(t.Verdicts["inconclusive"]).To(Equal(2))

		// The same, where one of them is said to be sure.
		r.said.reached.err = errors.New("site was not reached: it is silent")
		Expect(missed(r)).To(ContainElement("not reached, but the target answers"))
		results(&r.said.surveyed, func(r *probes.Result) { r.Outcome, r.Cause = probes.Silent, &evidence.Cause{Kind: evidence.Drop} })
		Expect(missed(r)).To(ContainElement("no answer is said to come, but one comes"))
		results(&r.said.surveyed, func(r *probes.Result) { r.Outcome, r.Cause = probes.Unsent, &evidence.Cause{Kind: evidence.Unknown} })
		Expect(missed(r)).To(ContainElement("no answer is said to come, but one comes"))
	})

	It("catches what is said about another lab", func(ctx SpecContext) {
		across := answers
		across.across = true
		rounds, err := known(across).examine(ctx)
		Expect(err).NotTo(HaveOccurred())
		for _, v := range []*verdict{&rounds[0].said.isolated, &rounds[0].said.reached} {
			was := *v
			v.holds = true
			Expect(complaints(rounds[0])).To(ContainElement("something is said about a node of another lab"))
			*v = was
		}
	})

	It("catches a check without probes that leaves out what is open", func(ctx SpecContext) {
		open := answers
		open.kind = every
		rounds, err := known(open).examine(ctx, func(r *round) { r.said.isolated = verdict{asked: true, holds: true} })
		Expect(err).NotTo(HaveOccurred())
		Expect(complaints(rounds[0])).To(ConsistOf("isolated, but what a plain socket sends is delivered"))
		Expect(slices.ContainsFunc(rounds[0].facts, func(f fact) bool { return f.sport == 53 && f.arrived["site"] > 0 })).To(BeTrue())
	})

	It("has a lie for every demand", func() {
		var caught []string
		for _, l := range lies {
			caught = append(caught, l.caught)
		}
		caught = append(caught, "something is said about a node of another lab", "isolated by a mistake", "an address that nobody has is isolated", "what was named is lifted, and nothing turns", "it could not be asked",
			"not isolated, but rules alone keep it from being delivered")
		for _, d := range demands {
			Expect(caught).To(ContainElement(d.name))
		}
	})

	DescribeTable("knows that data passes", func(ctx SpecContext, change func(g *generator)) {
		g := &generator{world: known(answers, asked(icmp, 0), asked(udp, 22))}
		g.parts[0].text = ""
		change(g)
		rounds, err := g.examine(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(rounds[0].facts[0].by).To(Equal("site"))
		Expect(rounds[1].facts[0].by).To(Equal("site"))
		Expect(rounds[2].facts[0].arrived).To(Equal(map[string]int{"site": 1}))
	},
		Entry("over a slow link", func(g *generator) { g.relay("site", 5*time.Millisecond) }),
		Entry("by a program that forwards", func(g *generator) {
			g.put(part{node: "fw", source: "fw.NoForward()", declare: func(n *topo.Node, _ string) { n.NoForward() }})
			g.forwarder("fw", "lan", "wan", time.Millisecond)
		}),
	)

	It("makes what it complains about small", func(ctx SpecContext) {
		w := known(answers, dropped)
		g := &generator{world: w}
		g.on("extra", false)
		rounds, err := w.examine(ctx)
		Expect(err).NotTo(HaveOccurred())
		seen := demand{name: "a drop", check: func(r *round) string {
			if r.said.isolated.holds {
				return "isolated"
			}
			return ""
		}}
		small, why := w.shrink(ctx, rounds[1], seen, "")
		Expect(why).To(Equal("isolated"))
		Expect(small.String()).To(Equal(`network := topo.New("truth-0")
lan := network.Wire("lan", "10.0.1.0/24")
wan := network.Wire("wan", "10.0.2.0/24")
pc := network.Host("pc", lan.NoAddress().At("10.0.1.1"))
site := network.Host("site", wan.NoAddress().At("10.0.2.1"))
fw := network.Router("fw", lan.NoAddress().At("10.0.1.2"), wan.NoAddress().At("10.0.2.2"))
fw.Nft(` + "`" + `table inet filter {
chain forward {
type filter hook forward priority 0; policy accept;
tcp dport 80 counter drop comment "no web"
}
}
` + "`" + `)
lab := harness.Up(t, network)
// asked: pc -> site tcp/80
`))
	})

	It("makes the same network of the same seed", func() {
		for seed := range uint64(50) {
			Expect(newWorld(seed).String()).To(Equal(newWorld(seed).String()))
		}
	})

	It("uses every row of every family", func() {
		met := map[string]bool{}
		for seed := range uint64(10000) {
			for _, name := range newWorld(seed).features() {
				met[name] = true
			}
		}
		for _, f := range append(families, mistakes) {
			for _, r := range f.rows {
				if r.name == "nobody listens" || r.name == "typo as target" {
					continue // they take something away, or ask
				}
				Expect(met).To(HaveKey(r.name), fmt.Sprintf("family %s", f.name))
			}
		}
	})
})

// missed are the demands that a round does not meet, unless nothing follows from that.
func missed(r *round) (names []string) {
	for _, d := range demands {
		if d.check(r) != "" && !d.moot(r) {
			names = append(names, d.name)
		}
	}
	return names
}

// complaints are the demands that a round does not meet.
func complaints(r *round) (names []string) {
	for _, d := range demands {
		if d.check(r) != "" {
			names = append(names, d.name)
		}
	}
	return names
}
