package watch

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/verdict"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

// Flowed is what an Open vSwitch does with packets like the trail's, which again sends once
// more: ofproto/trace of the packet that was sent names the flow, and that one's count moves.
// It is the zero Flowed where the packet did not end at one, or that is not shown.
func (w *Watch) Flowed(t *Trail, heard Heard, again func() (*Trail, error)) (found verdict.Flowed) {
	first, crosses := w.crossing(t, heard)
	if !crosses {
		return found
	}
	w.tries.turn.Lock()
	defer w.tries.turn.Unlock()
	before, err := first.flows()
	if err != nil {
		return found
	}
	begun := time.Now()
	w.judging(true, nil)
	defer w.judging(false, nil)
	second, err := again()
	if err != nil {
		return found
	}
	x, crosses := w.crossing(second, heard)
	if !crosses || x.at.Name() != first.at.Name() || x.Seen.Role != first.Seen.Role || x.At != first.At {
		return found
	}
	trace, err := x.at.Trace(x.words)
	if err != nil || x.arrives(trace) || !x.counted(trace, before) || !w.aloneAt(x, second, begun) {
		return found
	}
	last := trace.Last()
	found = verdict.Flowed{
		At: x.At, Leg: x.Seen.Role, Switch: x.named(last.Bridge), Normal: strings.Contains(last.Actions, "NORMAL"),
		Flow: evidence.Flow{Table: last.Table, Priority: last.Priority, Cookie: last.Cookie, Match: last.Match, Actions: last.Actions, Missed: last.Missed},
	}
	if !found.Normal {
		found.Handed = strings.Join(x.elsewhere(trace), ", ")
	}
	if trace.Unfollowed != "" {
		found.Doubt = fmt.Sprintf("it decides by more than the packet (%s)", trace.Unfollowed)
	} else {
		found.Doubt = x.otherwise(trace, before)
	}
	return found
}

// crossing is a packet that left for an Open vSwitch.
type crossing struct {
	verdict.Crossing
	at    *harness.OpenVSwitch
	all   []*harness.OpenVSwitch // it, and those that patch ports join to it
	from  string                 // the switch's port by which it came
	mac   string                 // the sender's
	to    []string               // those that it was for
	words string                 // the packet, as ovs-fields(7) has it
}

// crossing is the trail's packet that was last seen to leave for an Open vSwitch.
func (w *Watch) crossing(t *Trail, heard Heard) (x crossing, crosses bool) {
	lab, ports := w.switchedAt(t.Flow.From)
	if len(ports) == 0 {
		return x, false
	}
	o := w.Observation(t, heard)
	if x.Crossing, crosses = o.Crossing(func(end verdict.End) bool { _, is := ports[end]; return is }); !crosses {
		return x, false
	}
	x.enter(lab, ports)
	packet, from, seen := w.heard.packet(verdict.End{Node: x.Seen.Node, Interface: x.Seen.Interface}, x.Seen.At)
	if !seen || len(x.to) == 0 || x.MAC == "" || packet.Fragment {
		return x, false
	}
	x.mac = from
	x.words = x.fields(packet)
	return x, true
}

// enter notes the switch that the packet leaves for, and its ports.
func (x *crossing) enter(lab *harness.Lab, ports map[verdict.End]switchedPort) {
	own := ports[x.At]
	x.at, x.from = lab.OVS(own.segment), own.outer
	x.all = x.at.Patched()
	for _, end := range x.To {
		if port := ports[end]; x.passes(port.segment) {
			x.to = append(x.to, port.outer)
		}
	}
}

// passes says whether a switch, by its segment, is one that the packet may come to.
func (x crossing) passes(segment string) bool {
	return slices.ContainsFunc(x.all, func(o *harness.OpenVSwitch) bool { return o.Name() == segment })
}

// named is the segment of one of those switches.
func (x crossing) named(bridge string) string {
	for _, o := range x.all {
		if o.Bridge() == bridge {
			return o.Name()
		}
	}
	return x.at.Name()
}

// flows are those of all of them.
func (x crossing) flows() (all []harness.OVSFlow, err error) {
	for _, o := range x.all {
		flows, err := o.Flows()
		if err != nil {
			return nil, err
		}
		all = append(all, flows...)
	}
	return all, nil
}

// switchedPort is a port of an Open vSwitch.
type switchedPort struct{ segment, outer string }

// switchedAt are the lab of a node, and the ports of its Open vSwitches by the ends of nodes; there
// are none where the node is somebody else's.
func (w *Watch) switchedAt(label string) (*harness.Lab, map[verdict.End]switchedPort) {
	p := w.pointOf(label)
	if p == nil || p.node.Attached() {
		return nil, nil
	}
	lab, ports := p.node.Lab(), map[verdict.End]switchedPort{}
	labels := w.labelsOf(lab)
	for _, o := range lab.OpenVSwitches() {
		for _, ref := range o.Ports() {
			ports[verdict.End{Node: labels[ref.Node], Interface: ref.Port}] = switchedPort{o.Name(), ref.Outer}
		}
	}
	return lab, ports
}

// packet is what was heard to leave somewhere at a time, with its sender's MAC.
func (c *Capture) packet(where verdict.End, at time.Time) (packet *wire.Packet, from string, seen bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range slices.Backward(c.frames) {
		if f.where == where && f.at.Equal(at) && f.out() {
			packet, seen = wire.Parse(f.data)
			return packet, wire.MAC(f.hardware).String(), seen
		}
	}
	return nil, "", false
}

// frame is what comes in for a MAC, in the words of ovs-fields(7): they go on with what it carries.
func (x crossing) frame(to string) []string {
	words := []string{"in_port=" + x.from, "dl_src=" + x.mac, "dl_dst=" + to}
	if x.Tag != 0 {
		words = append(words, fmt.Sprintf("dl_vlan=%d", x.Tag))
	}
	return words
}

// fields are the packet, in the words of ovs-fields(7).
func (x crossing) fields(p *wire.Packet) string {
	words := x.frame(x.MAC)
	source, destination, kind := "nw_src=", "nw_dst=", "ip"
	if p.Source.Is6() {
		source, destination, kind = "ipv6_src=", "ipv6_dst=", "ipv6,ipv6_label=0"
	}
	words = append(words, kind, source+p.Source.String(), destination+p.Destination.String(),
		fmt.Sprintf("nw_proto=%d,nw_tos=%d,nw_ecn=%d,nw_ttl=%d", p.Protocol, p.TOS&^3, p.TOS&3, p.TTL))
	switch {
	case p.ICMPv6:
		words = append(words, fmt.Sprintf("icmpv6_type=%d,icmpv6_code=%d", p.Type, p.Code))
	case p.ICMP:
		words = append(words, fmt.Sprintf("icmp_type=%d,icmp_code=%d", p.Type, p.Code))
	case p.Protocol == unix.IPPROTO_TCP:
		words = append(words, fmt.Sprintf("tcp_src=%d,tcp_dst=%d,tcp_flags=%#x", p.SourcePort, p.DestinationPort, p.Flags))
	case p.Protocol == unix.IPPROTO_UDP:
		words = append(words, fmt.Sprintf("udp_src=%d,udp_dst=%d", p.SourcePort, p.DestinationPort))
	case p.Protocol == unix.IPPROTO_SCTP:
		words = append(words, fmt.Sprintf("sctp_src=%d,sctp_dst=%d", p.SourcePort, p.DestinationPort))
	}
	return strings.Join(words, ",")
}

// arrives says whether the switch hands the packet on to one of those that it was for.
func (x crossing) arrives(t harness.OVSTrace) bool {
	return slices.ContainsFunc(x.to, func(port string) bool { return slices.Contains(t.Outputs, port) })
}

// elsewhere are the ports to which the switch hands the packet, but for where it came from.
func (x crossing) elsewhere(t harness.OVSTrace) (ports []string) {
	for _, o := range x.all {
		for _, ref := range o.Ports() {
			if ref.Outer != x.from && slices.Contains(t.Outputs, ref.Outer) {
				ports = append(ports, ref.Outer)
			}
		}
	}
	return ports
}

// countBound is how long the switch may take to count what it has dropped.
const countBound = 500 * time.Millisecond

// counted says whether the flow that decides has counted more than before.
func (x crossing) counted(t harness.OVSTrace, before []harness.OVSFlow) bool {
	was, counts := t.Counted(before)
	for begun := time.Now(); counts && time.Since(begun) < countBound; {
		flows, err := x.flows()
		if err != nil {
			return false
		}
		if is, _ := t.Counted(flows); is > was {
			return true
		}
	}
	return false
}

// aloneAt says whether no other probe's packets were seen at the switch's nodes since a time.
func (w *Watch) aloneAt(x crossing, second *Trail, since time.Time) bool {
	_, ports := w.switchedAt(x.At.Node)
	for end, port := range ports {
		if at := w.pointOf(end.Node); x.passes(port.segment) && at != nil && !w.alone(at, []*try{{second: second}}, since) {
			return false
		}
	}
	return len(ports) > 0
}

// deleteFlow takes a flow away; where none was for the packet, it adds one.
func deleteFlow(node *harness.Node, deed verdict.DeleteFlow) error {
	o, f := node.Lab().OVS(deed.Switch), deed.Flow
	if f == nil {
		return errors.New("there is no such flow")
	}
	if f.Missed {
		_, err := o.Ofctl("add-flow", fmt.Sprintf("table=%d,priority=0,actions=NORMAL", f.Table))
		return err
	}
	match := fmt.Sprintf("table=%d,priority=%d", f.Table, f.Priority)
	if f.Match != "" {
		match += "," + f.Match
	}
	_, err := o.Ofctl("del-flows", "--strict", match)
	return err
}
