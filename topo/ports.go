package topo

import (
	"net/netip"
	"strings"
)

// planNodes plans the nodes' ports and all that needs no address.
func (p *planner) planNodes() {
	macs := p.chosenMACs()
	outer := newNamer()
	for i := range p.plan.Segments {
		if bridge := p.plan.Segments[i].Bridge; bridge != "" {
			outer.taken[bridge] = true
		}
	}
	for _, node := range p.network.nodes {
		plan := NodePlan{
			Name: node.name, Forward: node.forward, Sysctls: node.sysctls,
			Nft: node.nft, Iptables: node.ip4, Ip6tables: node.ip6,
		}
		for _, s := range node.sysctls {
			if !strings.HasPrefix(s.Key, "net.") && !strings.HasPrefix(s.Key, "net/") {
				p.wrong("node %s: sysctl %q: only those of net. belong to a node", node.name, s.Key)
			}
		}
		for _, text := range node.loopback {
			if prefix, ok := p.parseAddress("node "+node.name+": loopback", text); ok {
				plan.Loopback = append(plan.Loopback, prefix)
			}
		}
		p.planPorts(node, &plan, macs, outer)
		p.plan.Nodes = append(p.plan.Nodes, plan)
	}
}

// chosenMACs are taken, so that none is made up that somebody chose.
func (p *planner) chosenMACs() map[[6]byte]bool {
	taken := map[[6]byte]bool{}
	for _, node := range p.network.nodes {
		for _, port := range node.ports {
			if port.mac != "" {
				if mac, err := parseMAC(port.mac); err == nil {
					taken[mac] = true
				}
			}
		}
	}
	return taken
}

func (p *planner) planPorts(node *Node, plan *NodePlan, macs map[[6]byte]bool, outer *namer) {
	names := newNamer()
	for _, port := range node.ports {
		at, known := p.segments[port.segment]
		if !known {
			p.wrong("node %s: attached to %s, which is no segment of this network: declare it here", node.name, foreign(port.segment))
			// A place is kept, so that ports and their plans go in step.
			plan.Ports = append(plan.Ports, PortPlan{})
			continue
		}
		segment := &p.plan.Segments[at]
		made := PortPlan{Segment: segment.Name, Name: names.name(segment.Name), MTU: port.mtu}
		if made.MTU == 0 {
			made.MTU = segment.MTU
		}
		where := "node " + node.name + ": segment " + segment.Name
		p.checkMTU(where, port.mtu, segment.Prefixes)
		if port.mac == "" {
			made.MAC = makeMAC(macs, p.network.name, node.name, segment.Name)
		} else if mac, err := parseMAC(port.mac); err != nil {
			p.wrong("%s: %v", where, err)
		} else {
			made.MAC = mac
		}
		ref := PortRef{Node: node.name, Port: made.Name}
		if segment.Kind == KindSwitch {
			ref.Outer = outer.name(node.name)
		}
		segment.Ports = append(segment.Ports, ref)
		plan.Ports = append(plan.Ports, made)
	}
}

func foreign(s *Segment) string {
	if s == nil {
		return "nothing"
	}
	return s.name
}

// parseAddress reads an address with its prefix length.
func (p *planner) parseAddress(where, text string) (netip.Prefix, bool) {
	prefix, err := netip.ParsePrefix(text)
	if err != nil || prefix.Addr().Is4In6() || prefix.Addr().IsUnspecified() || prefix.Addr().IsMulticast() {
		p.wrong("%s: address %q: write it with its prefix length, like 192.0.2.1/32", where, text)
		return netip.Prefix{}, false
	}
	return prefix, true
}
