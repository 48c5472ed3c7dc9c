package topo

import (
	"fmt"
	"net/netip"
)

const (
	minMTU4 = 68    // RFC 791
	minMTU6 = 1280  // RFC 8200; below it the kernel takes IPv6 off the interface
	maxMTU  = 65535 // ETH_MAX_MTU, linux/if_ether.h
)

// checkMTUs checks those of the segments, then of their ports: one with an IPv6
// address needs more than one without.
func (p *planner) checkMTUs() {
	for i := range p.plan.Segments {
		segment := &p.plan.Segments[i]
		problem := mtuProblem(segment.MTU, segment.Prefixes)
		if problem != "" {
			p.wrong("segment %s: %s", shown(segment.Name), problem)
		}
		for _, at := range p.ends[i] {
			if problem != "" && p.network.nodes[at.node].ports[at.port].mtu == 0 {
				continue // it is the segment's
			}
			port := &p.plan.Nodes[at.node].Ports[at.port]
			if problem := mtuProblem(port.MTU, port.Addrs); problem != "" {
				p.wrong("%s: %s", p.place(at), problem)
			}
		}
	}
}

// checkDeviceMTUs checks those of the nodes' own devices.
func (p *planner) checkDeviceMTUs() {
	for i := range p.plan.Nodes {
		for _, device := range p.plan.Nodes[i].ownDevices() {
			if problem := mtuProblem(device.MTU, device.Addrs); problem != "" {
				p.wrong("node %s: %s %s: %s", p.nodeName(i), device.Kind, shown(device.Name), problem)
			}
		}
	}
}

func mtuProblem(mtu int, prefixes []netip.Prefix) string {
	least, with := minMTU4, ""
	for _, prefix := range prefixes {
		if prefix.Addr().Is6() {
			least, with = minMTU6, "with IPv6 "
		}
	}
	if mtu == 0 || mtu >= least && mtu <= maxMTU {
		return ""
	}
	return fmt.Sprintf("MTU %d: %sit must be between %d and %d", mtu, with, least, maxMTU)
}
