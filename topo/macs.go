package topo

import (
	"fmt"
	"hash/fnv"
	"net"
)

// makeMAC is a MAC made of names: locally administered and not a group's (IEEE
// 802, the second and first lowest bit of the first byte), the same every time.
func makeMAC(taken map[[6]byte]bool, parts ...string) [6]byte {
	hash := fnv.New64a()
	for _, part := range parts {
		_, _ = hash.Write([]byte(part))
		_, _ = hash.Write([]byte{0})
	}
	for sum := hash.Sum64(); ; sum++ {
		mac := [6]byte{byte(sum>>40)&^3 | 2, byte(sum >> 32), byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}
		if !taken[mac] {
			taken[mac] = true
			return mac
		}
	}
}

// parseMAC reads a chosen MAC: six bytes, not a group's.
func parseMAC(text string) (mac [6]byte, err error) {
	hardware, err := net.ParseMAC(text)
	switch {
	case err != nil || len(hardware) != len(mac):
		return mac, fmt.Errorf("MAC %q: write it like 02:00:00:00:00:01", text)
	case hardware[0]&1 != 0:
		return mac, fmt.Errorf("MAC %s is a group's: clear the lowest bit of its first byte", hardware)
	}
	copy(mac[:], hardware)
	if mac == [6]byte{} {
		return mac, fmt.Errorf("MAC %s is no port's: choose another", hardware)
	}
	return mac, nil
}

// chosenMACs are taken, so that none is made up that somebody chose.
func (p *planner) chosenMACs() map[[6]byte]bool {
	taken := map[[6]byte]bool{}
	for _, node := range p.network.nodes {
		for i := range node.ports {
			if was := node.ports[i].held; was != nil {
				taken[was.mac] = true
			}
			if !node.ports[i].chosenMAC {
				continue
			}
			if mac, err := parseMAC(node.ports[i].mac); err == nil {
				taken[mac] = true
			}
		}
	}
	return taken
}

// chosenMAC reads a port's MAC. One that is on a segment twice gives two ports
// the same link-local address, and a bridge learns it now here, now there: a
// mistake, unless one of the two says that it is meant.
func (p *planner) chosenMAC(at end, segment int) [6]byte {
	port := &p.network.nodes[at.node].ports[at.port]
	mac, err := parseMAC(port.mac)
	if err != nil {
		p.wrong("%s: %v", p.place(at), err)
		return mac
	}
	first, taken := p.macs[segment][mac]
	if taken && !first.meant && !port.duplicate {
		p.wrong("%s: MAC %s is node %s's already: choose another, or say that it is meant with Duplicate",
			p.place(at), net.HardwareAddr(mac[:]), p.nodeName(first.node))
		return mac
	}
	if !taken {
		first.end = at
	}
	first.meant = first.meant || port.duplicate
	p.macs[segment][mac] = first
	return mac
}
