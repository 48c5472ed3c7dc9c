package policy

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
	"slices"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/rules"
	"github.com/nstest/nstest/probes/internal/watch"
)

// Cover tries every rule and every chain policy of a node, in a twin of the lab, and says what became of each:
// see Report. It changes nothing in the lab. What it says was met, the kernel's trace has shown; that a rule is
// shadowed or unreachable it says only where every expression that this rests on is modelled exactly.
//
// Rules of the families ip, ip6 and inet at the hooks prerouting, input, forward, output and postrouting are
// tried, those of iptables-nft among them. What stands elsewhere (bridge, netdev, arp, ingress), and rules of
// iptables-legacy, are not.
//
// The error is that of harness.Lab.Twin where there is none, that the lab has no such node, that a socket could
// not be opened, or the context's.
func Cover(ctx context.Context, lab *harness.Lab, node string) (Report, error) {
	r := Report{Node: node}
	if lab != nil {
		r.Lab = lab.Name()
	}
	fresh := func(f func(*harness.Node) error) error { return withTwin(ctx, lab, node, f) }
	err := fresh(func(twin *harness.Node) error {
		c, err := openCover(twin)
		if err != nil {
			return err
		}
		defer c.kernel.close()
		c.fresh = fresh
		if err = c.run(ctx); err == nil {
			err = c.miss(ctx)
		}
		c.answer()
		r.Rules, r.Packets = c.report(), c.sent
		return err
	})
	if err != nil {
		return r, fmt.Errorf("cover: node %s: %w", node, err)
	}
	return r, nil
}

var (
	errNoLab     = errors.New("the lab is nil: pass what harness.Up returns")
	errNoContext = errors.New("the context is nil: pass t.Context(), a SpecContext, or context.Background()")
)

// withTwin calls f with the node of a twin.
func withTwin(ctx context.Context, lab *harness.Lab, name string, f func(*harness.Node) error) error {
	switch {
	case ctx == nil:
		return errNoContext
	case lab == nil:
		return errNoLab
	}
	if nodeOf(lab, name) == nil {
		return fmt.Errorf("lab %s has no such node", lab.Name())
	}
	twin, err := lab.Twin()
	if err != nil {
		return err
	}
	defer twin.Down()
	return f(nodeOf(twin, name))
}

func nodeOf(lab *harness.Lab, name string) *harness.Node {
	for _, n := range lab.Nodes() {
		if n.Name() == name {
			return n
		}
	}
	return nil
}

// cover is a node's rules while they are tried.
type cover struct {
	kernel  *kernel
	set     *inspect.Ruleset
	state   *inspect.State
	worlds  [2]*world // of IPv4 and IPv6
	entries []*entry
	byPlace map[place]*entry
	passed  []passed
	sent    int
	rand    *rand.Rand
	keys    *keys // when two are compared
	owners  map[netip.Addr]string
	book    *rules.Chains            // when it was asked for
	same    map[*inspect.Rule]*entry // which each rule is at the node whose twin this one is of
	fresh   maker                    // of twins that no packet has met; nil where none is to be asked
	// remembers says that a rule does: see rules.Remembers.
	remembers bool
	draws     bool // so that chance decides
}

// entry is a rule or a policy.
type entry struct {
	rule     Rule
	chain    *inspect.Chain
	of       *inspect.Rule // nil for a policy
	searches []*search
	over     []*search // that found nothing more
	met      string    // what the kernel did instead with what was tried
	chance   *proposal // that was tried last, of which it was not known whether it meets it
	limited  *proposal // which a limit treats otherwise when it has let burst packets through
	burst    int
	rate     string // the limit of which so many packets are not sent, or what else decided of what was tried
}

func (e *entry) done() bool { return e.rule.Fate != NotModelled || e.rule.Why != "" }

func openCover(node *harness.Node) (*cover, error) {
	c, err := readCover(node)
	if err == nil {
		c.model(node, false)
	}
	return c, err
}

// model is what the node's rules say, and a list of them. Tracked says that the kernel may track connections whatever they ask for.
func (c *cover) model(node *harness.Node, tracked bool) {
	var others []netip.Addr
	for _, n := range node.Lab().Nodes() {
		if n != node {
			others = append(others, n.Addrs()...)
		}
	}
	for i := range c.worlds {
		c.worlds[i] = newWorld(newModel(c.set, c.state, i == 1, tracked), c.state, c.kernel, others)
	}
	c.list(watch.RuleTexts(node))
}

// readCover reads a node of a twin, and makes it ready to be asked.
func readCover(node *harness.Node) (*cover, error) {
	c := &cover{byPlace: map[place]*entry{}, rand: rand.New(rand.NewPCG(1, 2))}
	ns := inspect.Namespace{Handle: node.Netlink(), Do: node.Do}
	var err error
	if c.state, err = ns.Read(node.Name()); err != nil {
		return nil, err
	}
	if err = ns.Fill(c.state, inspect.Want{Sysctls: sysctls(c.state.Links)}); err != nil {
		return nil, err
	}
	if c.set, err = watch.ReadRules(node); err != nil {
		return nil, err
	}
	if c.kernel, err = openKernel(node, c.state.Links); err != nil {
		return nil, err
	}
	return c, nil
}

// list makes an entry of each rule and policy.
func (c *cover) list(text func(*inspect.Rule) string) {
	for _, t := range c.set.Tables {
		for _, ch := range t.Chains {
			for _, r := range ch.Rules {
				said := text(r)
				if said == "" {
					said = fmt.Sprintf("rule %d", r.Position)
				}
				c.add(&entry{rule: Rule{Position: r.Position, Text: said, Comment: r.Comment}, chain: ch, of: r})
			}
			if ch.Hook != "" {
				said := "policy accept"
				if ch.Drops {
					said = "policy drop"
				}
				c.add(&entry{rule: Rule{Text: said}, chain: ch})
			}
		}
	}
}

func (c *cover) add(e *entry) {
	t := e.chain.Table
	e.rule.Family, e.rule.Table, e.rule.Chain = t.Family, t.Name, e.chain.Name
	c.entries, c.byPlace[placeOf(e.chain, e.of)] = append(c.entries, e), e
	if e.of != nil && (!c.remembers || !c.draws) {
		m, remembers := rules.Remembers(e.of)
		c.remembers, c.draws = c.remembers || remembers, c.draws || draws(m)
	}
	c.prepare(e)
}

// placeOf is where a rule stands, or with none a chain's policy.
func placeOf(chain *inspect.Chain, rule *inspect.Rule) place {
	at := place{chain.Table.Family, chain.Table.Name, chain.Name, 0}
	if rule != nil {
		at.handle = rule.Handle
	}
	return at
}

// prepare settles what can be said without a packet, or begins to look for one.
func (c *cover) prepare(e *entry) {
	t := e.chain.Table
	switch {
	case t.Family != "ip" && t.Family != "ip6" && t.Family != "inet":
		e.rule.Why = "rules of family " + t.Family + " are not tried"
		return
	case t.Dormant():
		e.settle(Needs, "a table that is not dormant")
		return
	}
	based, elsewhere, random := false, "", e.rule.rand()
	for _, w := range c.worlds {
		ch := w.chains[e.chain]
		if ch == nil {
			continue
		}
		for _, base := range w.bases(ch) {
			if based = true; !w.tries(base.of) {
				elsewhere = base.of.Hook
				continue
			}
			e.searches = append(e.searches, w.newSearch(w.goal(base, ch, e.of), w.reachOf(base.of), random).likeMarked())
		}
	}
	switch {
	case !based:
		e.settle(Unreferenced, "no hook leads to the chain "+e.chain.Name)
	case len(e.searches) == 0:
		e.rule.Why = "the hook " + elsewhere + " is not tried"
	}
}

// rand is a rule's own, so that two kernels are asked about the same packets, whatever they say of other rules.
func (r *Rule) rand() *rand.Rand {
	h := fnv.New64a()
	fmt.Fprint(h, r.Family, " ", r.Table, " ", r.Chain, " ", r.Position)
	return rand.New(rand.NewPCG(h.Sum64(), 2))
}

func (e *entry) settle(f Fate, why string) { e.rule.Fate, e.rule.Why = f, why }

// goal is what is looked for of a rule, or of a chain's policy.
func (m *model) goal(base, in *chain, rule *inspect.Rule) goal {
	return goal{base, in.line(rule)}
}

func (c *cover) report() (rules []Rule) {
	for _, e := range c.entries {
		e.rule.Witness = c.named(e.rule.Witness)
		rules = append(rules, e.rule)
	}
	return rules
}

// named are packets with the nodes that have their ends.
func (c *cover) named(packets []Packet) []Packet {
	named := slices.Clone(packets)
	for i := range named {
		p := &named[i]
		if c.isNear(p) {
			p.From = c.owner(p.Source.Addr())
		}
		p.To = c.owner(p.Destination.Addr())
	}
	return named
}

// worldOf is the one of a packet's family.
func (c *cover) worldOf(p *Packet) *world { return c.worlds[family(p.Source.Addr().Is6())] }

// isNear says whether a packet is sent by the node, or comes in where its source is to come from.
func (c *cover) isNear(p *Packet) bool {
	return p.In == "" || c.worldOf(p).to(c.state.LinkNamed(p.In).Index).has(addrNumber(p.Source.Addr()))
}

// owner is the node that has an address; "" where none has, or several.
func (c *cover) owner(addr netip.Addr) string {
	if c.owners == nil {
		c.owners = map[netip.Addr]string{}
		for _, n := range c.kernel.node.Lab().Nodes() {
			for _, a := range n.Addrs() {
				if _, had := c.owners[a]; had {
					c.owners[a] = ""
					continue
				}
				c.owners[a] = n.Name()
			}
		}
	}
	return c.owners[addr]
}
