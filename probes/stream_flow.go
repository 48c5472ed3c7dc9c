package probes

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/nstest/nstest/harness"
	"golang.org/x/sys/unix"
)

// Flow is what came of a Stream to one address.
type Flow struct {
	// From and To name the sender and the target.
	From, To string
	// Addr is the address that packets were sent to.
	Addr netip.Addr
	// Probe is what was sent.
	Probe Probe
	// Node names where a packet has arrived: the target. See At.
	Node string
	// Sent is how many packets left their socket, of which Arrived were delivered, and Lost were
	// not. Unsent are those that never left it.
	Sent, Arrived, Lost, Unsent int
	// Copies is how often a packet was delivered once more, as long as others were waited for.
	// Reordered is how many arrived after one that was sent later (RFC 4737, 3.2).
	Copies, Reordered int
	// Packets are all that were to be sent, in that order.
	Packets []FlowPacket
	// Begun and Ended are when what changed meanwhile began, and when it had ended.
	Begun, Ended time.Time

	heard []delivery // in the order of arrival at each node
}

// FlowPacket is one packet of a Flow.
type FlowPacket struct {
	// Sent is when it was handed to the kernel.
	Sent time.Time
	// Errno is why it was not sent: a rule of the sender's, no route; 0 where it was.
	Errno unix.Errno
	// Arrived is when it came to the node that it was delivered in, by the kernel's stamp; the
	// zero time where it did not. Copies is how often it did so again.
	Arrived time.Time
	Copies  int

	gone time.Time // when the kernel had taken it
}

// At is the same flow, of which a packet has arrived where it was delivered at a node: whom a
// forwarded port leads to, or who is to get copies.
func (f Flow) At(node *harness.Node) Flow {
	return f.at([]*harness.Node{node})
}

// at is the flow as it arrived at nodes; none is any.
func (f Flow) at(nodes []*harness.Node) Flow {
	var all []string
	for _, node := range nodes {
		if node == nil {
			all = append(all, "no node")
			continue
		}
		all = append(all, node.Name())
	}
	f.Node = strings.Join(all, " or ")
	f.Sent, f.Arrived, f.Lost, f.Unsent, f.Copies, f.Reordered = 0, 0, 0, 0, 0, 0
	f.Packets = slices.Clone(f.Packets)
	for i := range f.Packets {
		f.Packets[i].Arrived, f.Packets[i].Copies = time.Time{}, 0
	}
	next := uint32(0)
	for _, d := range f.heard {
		if int(d.number) >= len(f.Packets) || len(nodes) > 0 && !slices.ContainsFunc(nodes, func(n *harness.Node) bool { return sameNode(n, d.node) }) {
			continue
		}
		p := &f.Packets[d.number]
		if !p.Arrived.IsZero() {
			p.Copies++
			f.Copies++
			continue
		}
		p.Arrived = d.at
		if f.Arrived++; d.number < next {
			f.Reordered++
		} else {
			next = d.number + 1
		}
	}
	for _, p := range f.Packets {
		if p.Errno != 0 {
			f.Unsent++
		}
	}
	f.Sent = len(f.Packets) - f.Unsent
	f.Lost = f.Sent - f.Arrived
	return f
}

// elsewhere are the nodes at which packets were delivered as well, each with how many.
func (f Flow) elsewhere() string {
	var order []string
	count := map[string]int{}
	for _, d := range f.heard {
		name := d.node.Name()
		if slices.Contains(strings.Split(f.Node, " or "), name) || f.Node == "" {
			continue
		}
		if count[name]++; count[name] == 1 {
			order = append(order, name)
		}
	}
	text := ""
	for _, name := range order {
		text += fmt.Sprintf("; %d were delivered at %s: see At", count[name], name)
	}
	return text
}

// String says in one line what became of the packets.
func (f Flow) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s -> %s (%s) %s: ", f.From, f.To, f.Addr, f.Probe)
	fmt.Fprintf(&text, "%d sent, %d arrived, %d lost", f.Sent, f.Arrived, f.Lost)
	for _, also := range []struct {
		many int
		what string
	}{{f.Unsent, "never left"}, {f.Copies, "copies"}, {f.Reordered, "reordered"}} {
		if also.many > 0 {
			fmt.Fprintf(&text, ", %d %s", also.many, also.what)
		}
	}
	if f.Arrived > 0 && f.Arrived < len(f.Packets) {
		fmt.Fprintf(&text, "; open %s, closed %s", f.Open(), f.Closed())
	}
	return text.String() + f.elsewhere()
}

// GomegaString keeps Gomega from printing every packet.
func (f Flow) GomegaString() string { return f.String() }
