package topo

import (
	"fmt"
	"io"
	"strings"
)

// OVS declares a segment of any number of ports, up to 1,023: an Open vSwitch. Its ports have
// VLANs as those of Switch have (Access, Trunk). It hands frames on as a switch does until its
// flows say otherwise: see Segment.Flow.
//
// Of packets in fragments it takes all for no port's, the first too (ovs-fields(7), ip_frag), so
// that a flow of a UDP port stops no datagram that is larger than the MTU.
//
//	office := topo.New("office")
//	lan := office.OVS("br-int", "10.0.1.0/24")
//	lan.Flow("priority=10,tcp,in_port=pc,tp_dst=22,actions=drop")
//	office.Host("pc", lan)
//	office.Host("web", lan)
func (n *Network) OVS(name string, prefixes ...string) *Segment {
	return n.segment(name, KindOVS, prefixes)
}

// Flow adds flows to an Open vSwitch, in the words of ovs-ofctl(8) add-flow, beside the one
// that every Open vSwitch begins with: priority=0,actions=NORMAL. A port is called as its node
// is (in_port=pc, actions=output:web), as far as that is a name of an interface: the plan's
// PortRef.Outer. They are added, in order, when the network works without them.
func (s *Segment) Flow(flows ...string) *Segment {
	if s != nil {
		s.flows = append(s.flows, flows...)
	}
	return s
}

// planFlows checks what Open vSwitch's own parser would not tell as well.
func (p *planner) planFlows(s *Segment) (flows []string) {
	where := "segment " + shown(s.name)
	if len(s.flows) > 0 && s.kind != KindOVS {
		p.wrong("%s: it is a %s, which has no flows: declare it with OVS", where, s.kind)
		return nil
	}
	for i, text := range s.flows {
		text = strings.TrimSpace(text)
		switch {
		case text == "":
			p.wrong("%s: flow %d is empty: write it as ovs-ofctl add-flow has it", where, i+1)
		case strings.ContainsAny(text, "\n\r\x00"):
			p.wrong("%s: flow %q is several lines: give each line as a flow of its own", where, text)
		case !strings.Contains(text, "actions="):
			p.wrong("%s: flow %q has no actions: write actions=drop, or what is to be done", where, text)
		default:
			flows = append(flows, text)
		}
	}
	return flows
}

func (p *Plan) writeFlows(w io.Writer) {
	head := "\nSEGMENT\tFLOW\n"
	for i := range p.Segments {
		for _, flow := range p.Segments[i].Flows {
			fmt.Fprintf(w, "%s%s\t%s\n", head, p.Segments[i].Name, flow)
			head = ""
		}
	}
}
