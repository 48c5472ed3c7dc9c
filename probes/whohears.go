package probes

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/watch"
)

// Audience is what came of WhoHears.
type Audience struct {
	// From and Interface are who asked, and where; Addr is the broadcast or group that was asked,
	// with Probe.
	From, Interface string
	Addr            netip.Addr
	Probe           Probe
	// Heard are the nodes at which a program's socket has it, in the order of the lab.
	Heard []Hearer
	// Missed are the others on the link.
	Missed []Missed
	// Result is the datagram's, as Watch has it: Packets are its copies.
	Result Result
}

// Hearer is a node that heard.
type Hearer struct {
	Node, Interface string
	// Answered is true where an answer was seen to leave it.
	Answered bool
}

// Missed is a node that did not hear, and why.
type Missed struct {
	Node string
	// At is where it ended, and Rule is what ended it; nil where no rule did.
	At   string
	Rule *evidence.Rule
	// Why says it in words.
	Why string
}

// WhoHears sends a datagram to all on a link: to 255.255.255.255, a subnet's broadcast address or
// a group, and tells at which nodes a program's socket has it. Of each other node on the link it
// tells why not: the rule that ended it, that it is not in the group, that nobody there has the
// port, or that it did not come to it.
//
//	heard, err := probes.WhoHears(ctx, client, "lan", netip.MustParseAddr("239.1.2.3"), probes.UDP(5000))
//	fmt.Println(heard)
//	// client asks at lan 239.1.2.3 udp/5000
//	//   player hears it
//	//   fw does not: it is not in the group 239.1.2.3 at lan
//	//   quiet does not: dropped at quiet by rule "ip daddr 239.1.2.3 drop" of inet filter input
//	Expect(heard.Nodes()).To(ConsistOf("player"))
//
// It waits for the probe's whole time (Within), unless the end of every copy was seen, and may send
// a second datagram to confirm what ended the first. Who is in which group, and has which socket, is
// read from the nodes' kernels afterwards; and from what they count, that a socket has taken a datagram.
// Of what a router hands on to other links its own nodes are told as well, where they were seen to get it.
func WhoHears(ctx context.Context, from *harness.Node, link string, to netip.Addr, p Probe) (Audience, error) {
	if err := asks(ctx, from); err != nil {
		return Audience{}, fmt.Errorf("who hears: %w", err)
	}
	to = to.Unmap()
	audience, err := whoHears(ctx, from, link, to, p)
	if err != nil {
		err = fmt.Errorf("node %s: interface %s: who hears %s: %w", from, link, to, err)
	}
	return audience, err
}

func whoHears(ctx context.Context, from *harness.Node, link string, to netip.Addr, p Probe) (Audience, error) {
	a := Audience{From: from.Name(), Interface: link, Addr: to.WithZone(""), Probe: p}
	switch {
	case p.kind == nil || !p.kind.protocol.IsDatagrams():
		return a, errors.New("only datagrams are for several: use UDP or UDPLite")
	case p.source.fragmented:
		return a, errors.New("Fragmented(): what is for several is asked in one packet")
	case p.source.device != "" && p.source.device != link:
		return a, fmt.Errorf("FromInterface(%q) is another", p.source.device)
	}
	p = p.FromInterface(link)
	if err := p.checkAt(from); err != nil {
		return a, err
	}
	if to = to.WithZone(""); !to.IsMulticast() && !isBroadcast(from, link, to) {
		return a, errors.New("it is no group, nor a broadcast address of that link")
	}
	if to.Is6() {
		to = to.WithZone(link)
	}
	w, err := watchOf(from, from.Lab())
	if err != nil {
		return a, err
	}
	h := hearing{Audience: &a, watch: w, from: from}
	if err = h.takenBefore(); err != nil {
		return a, err
	}
	if a.Result, err = watchAddr(ctx, w, from, to, a.Addr.String(), to, p); err != nil {
		return a, err
	}
	if c := a.Result.Cause; c != nil && c.Kind == evidence.Unknown && c.Node == "" {
		return a, errors.New(c.Detail) // lost
	}
	h.snooping = sync.OnceValue(h.snoops)
	for _, node := range from.Lab().Nodes() {
		if node == from {
			continue
		}
		if err := h.of(node); err != nil {
			return a, err
		}
	}
	return a, nil
}

// isBroadcast says whether an address is one of IPv4's for all on a node's link.
func isBroadcast(node *harness.Node, link string, addr netip.Addr) bool {
	if addr == everybody {
		return true
	}
	prefixes, err := prefixesAt(node, link)
	return err == nil && slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Addr().Is4() && broadcastOf(p) == addr })
}

// Nodes are those that heard.
func (a Audience) Nodes() (nodes []string) {
	for _, h := range a.Heard {
		nodes = append(nodes, h.Node)
	}
	return nodes
}

// String is a line for the question and one for each node.
func (a Audience) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s asks at %s %s %s", a.From, a.Interface, a.Addr, a.Probe)
	for _, h := range a.Heard {
		fmt.Fprintf(&text, "\n  %s hears it", h.Node)
		if h.Answered {
			text.WriteString(", and answers")
		}
	}
	for _, m := range a.Missed {
		fmt.Fprintf(&text, "\n  %s does not: %s", m.Node, m.Why)
	}
	return text.String()
}

// GomegaString keeps Gomega from printing what it is made of.
func (a Audience) GomegaString() string { return a.String() }

// hearing looks at who heard.
type hearing struct {
	*Audience
	watch    *watch.Watch
	from     *harness.Node
	snooping func() string // snoops, once
	before   map[*harness.Node]taken
}
