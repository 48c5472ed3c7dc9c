package probes

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/verdict"
	"github.com/nstest/nstest/probes/internal/wire"
	"github.com/nstest/nstest/topo"
)

// Claims are what came of WhoHas.
type Claims struct {
	// From and Interface are who asked, and where; Addr is the address that was asked for.
	From, Interface string
	Addr            netip.Addr
	// Answers are all that came to the asker's interface, in the order in which they came.
	Answers []Claim
	// Unheard are the nodes on the link that have the address, or answered, and of whom no answer
	// came.
	Unheard []Unheard
}

// Claim is somebody who says that the address is his.
type Claim struct {
	// Node was seen to send the answer; "" where none of the lab was.
	Node string
	// MAC is the one that the answer told: 02:00:00:00:00:07.
	MAC string
	// After is the time from the question to the answer.
	After time.Duration
	// Stopped is the rule of the asker's own that dropped the answer afterwards; nil where none did.
	Stopped *evidence.Rule
}

// Unheard is a node that was not heard, and why.
type Unheard struct {
	Node string
	// At is where the question or the answer ended, and Rule is what ended it; nil where none did.
	At   string
	Rule *evidence.Rule
	// Why says it in words.
	Why string
}

// Nodes are those that answered, each once; "" of one that is none of the lab's.
func (c Claims) Nodes() (nodes []string) {
	for _, a := range c.Answers {
		if !slices.Contains(nodes, a.Node) {
			nodes = append(nodes, a.Node)
		}
	}
	return nodes
}

// String is a line for the question and one for each who has the address.
func (c Claims) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s asks at %s who has %s", c.From, c.Interface, c.Addr)
	for _, a := range c.Answers {
		who := a.Node
		if who == "" {
			who = "somebody"
		}
		fmt.Fprintf(&text, "\n  %s has it, at %s (after %s)", who, a.MAC, a.After.Round(time.Microsecond))
		if a.Stopped != nil {
			fmt.Fprintf(&text, "; the answer was dropped at %s by %s", c.From, a.Stopped)
		}
	}
	for _, u := range c.Unheard {
		fmt.Fprintf(&text, "\n  %s has it, and was not heard: %s", u.Node, u.Why)
	}
	if len(c.Answers)+len(c.Unheard) == 0 {
		text.WriteString("\n  nobody")
	}
	return text.String()
}

// GomegaString keeps Gomega from printing what rules are made of.
func (c Claims) GomegaString() string { return c.String() }

// conclude tells who was heard and who was not.
func (q *whoHas) conclude() (err error) {
	own := q.watch.Label(q.from)
	q.claims = Claims{From: q.from.Name(), Interface: q.link, Addr: q.Target}
	senders := q.senders()
	for _, d := range q.heard {
		if !d.Advertises || d.Rule != nil || d.Node != own || d.Direction != evidence.In {
			continue
		}
		claim := Claim{MAC: d.MAC.String(), After: d.At.Sub(q.begun)}
		for _, name := range senders[d.MAC] {
			claim.Node = name
			q.add(claim)
		}
		if len(senders[d.MAC]) == 0 {
			q.add(claim)
		}
	}
	if d, dropped := q.dropped(own, true); dropped {
		for i := range q.claims.Answers { // a trace cuts off which answer it was: where there are several, each may be
			q.claims.Answers[i].Stopped = d.Rule
		}
	}
	if q.owners, err = owners(q.from.Lab(), q.Target); err != nil {
		return fmt.Errorf("who has it now: %w", err)
	}
	var all []string
	for _, node := range q.owners {
		if _, on := q.endOf(node); on {
			all = append(all, q.watch.Label(node))
		}
	}
	for _, names := range senders {
		all = append(all, names...)
	}
	slices.Sort(all)
	for _, name := range slices.Compact(all) {
		heard := slices.ContainsFunc(q.claims.Answers, func(c Claim) bool { return c.Node == name })
		if !heard && name != own {
			q.claims.Unheard = append(q.claims.Unheard, q.unheard(name))
		}
	}
	return nil
}

// add adds a claim that is not there yet: a question that is flooded is answered more than once.
func (q *whoHas) add(c Claim) {
	same := func(other Claim) bool { return other.Node == c.Node && other.MAC == c.MAC }
	if !slices.ContainsFunc(q.claims.Answers, same) {
		q.claims.Answers = append(q.claims.Answers, c)
	}
}

// senders are the nodes that were seen to send an answer, and not to hand one on, by its MAC.
func (q *whoHas) senders() map[wire.MAC][]string {
	senders := map[wire.MAC][]string{}
	type at struct {
		node string
		mac  wire.MAC
	}
	came := map[at]bool{}
	for _, d := range q.heard {
		if !d.Advertises || d.Rule != nil {
			continue
		}
		here := at{d.Node, d.MAC}
		if d.Direction == evidence.Out && !came[here] && !slices.Contains(senders[d.MAC], d.Node) {
			senders[d.MAC] = append(senders[d.MAC], d.Node)
		}
		came[here] = came[here] || d.Direction == evidence.In
	}
	return senders
}

// endOf is a node's interface on the link; false where it has none there.
func (q *whoHas) endOf(node *harness.Node) (link string, on bool) {
	return endOnLink(q.from, q.link, node)
}

// endOnLink is a node's interface on the link of another's; false where it has none there.
func endOnLink(from *harness.Node, name string, node *harness.Node) (link string, on bool) {
	plan := from.Lab().Plan()
	own, _ := plan.Node(from.Name())
	here, is := own.Device(name)
	its, _ := plan.Node(node.Name())
	if !is || here.Segment == "" {
		return "", true // one of the asker's own, whose other ends the plan does not know
	}
	return onLink(plan, its, here.Segment)
}

// onLink is a node's device on the link of a segment; false where it has none there.
func onLink(plan *topo.Plan, node *topo.NodePlan, segment string) (device string, on bool) {
	for _, d := range node.Devices {
		if d.Segment != "" && plan.Link(d.Segment) == plan.Link(segment) {
			return d.Name, true
		}
	}
	return "", false
}

// dropped is the question, or an answer, that a rule of a node dropped.
func (q *whoHas) dropped(node string, answer bool) (verdict.Discovered, bool) {
	at := slices.IndexFunc(q.heard, func(d verdict.Discovered) bool { return d.Rule != nil && d.Advertises == answer && d.Node == node })
	if at < 0 {
		return verdict.Discovered{}, false
	}
	return q.heard[at], true
}

// unheard says why nothing was heard of a node.
func (q *whoHas) unheard(name string) Unheard {
	u := Unheard{Node: name}
	saw := func(direction evidence.Direction, answer bool) bool {
		return slices.ContainsFunc(q.heard, func(d verdict.Discovered) bool {
			return d.Rule == nil && d.Node == name && d.Direction == direction && d.Advertises == answer
		})
	}
	question, answer := "ARP request", "ARP reply"
	if q.Target.Is6() {
		question, answer = "neighbour solicitation", "neighbour advertisement"
	}
	own, isOwn := q.dropped(name, false)
	ownAnswer, isOwnAnswer := q.dropped(name, true)
	switch {
	case isOwn:
		u.by(own)
	case isOwnAnswer:
		u.by(ownAnswer)
	case saw(evidence.Out, true):
		if !q.elsewhere(&u, true) {
			u.Why = fmt.Sprintf("its %s left it, and did not come back", answer)
		}
	case saw(evidence.In, false):
		u.At, u.Why = name, fmt.Sprintf("the %s came to it, and it said nothing%s", question, q.setting(name))
	case !q.elsewhere(&u, false):
		u.Why = fmt.Sprintf("the %s did not come to it", question)
	}
	return u
}

// elsewhere says whether a rule of a node between dropped the question, or an answer.
func (q *whoHas) elsewhere(u *Unheard, answer bool) bool {
	for _, d := range q.heard {
		// A rule of one that has the address stops nobody else.
		if node := q.watch.Node(d.Node); d.Rule != nil && d.Advertises == answer && node != nil && !slices.Contains(q.owners, node) {
			u.by(d)
			return true
		}
	}
	return false
}

func (u *Unheard) by(d verdict.Discovered) {
	u.At, u.Rule = d.Node, d.Rule
	u.Why = fmt.Sprintf("the %s was dropped at %s by %s", d.Name(), d.Node, d.Rule)
}

// setting is why a node's kernel does not answer ARP for an address of its own, in words.
func (q *whoHas) setting(name string) string {
	node := q.watch.Node(name)
	if node == nil || q.Target.Is6() {
		return ""
	}
	link, _ := q.endOf(node)
	for _, of := range []string{"all", link} {
		key := "net/ipv4/conf/" + of + "/arp_ignore"
		if value, err := node.Sysctl(key); err == nil && of != "" && value != "0" {
			return fmt.Sprintf(": net.ipv4.conf.%s.arp_ignore=%s", of, value)
		}
	}
	return ""
}
