package harness

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"
)

// NeighbourTableFull says whether the kernel refuses a new neighbour at the moment, an entry
// for ARP or neighbour discovery: its table is one for all namespaces of the machine, and has
// room for net.ipv4.neigh.default.gc_thresh3 of them (ipv6: another one; 1,024 by default),
// where permanent ones do not count. While it is full packets get lost anywhere. It asks for
// an entry that nobody uses, which it takes away again; of an attached node, in a namespace
// for the question.
func (n *Node) NeighbourTableFull(v6 bool) bool {
	n = n.here()
	if n.lab.attached {
		grounds, err := makeGrounds([]func() error{func() error { return nil }})
		if err != nil {
			return false
		}
		defer grounds[0].close()
		return grounds[0].neighbourTableFull(loIndex, v6)
	}
	for _, device := range n.planned().Devices {
		return n.ground.neighbourTableFull(device.Index, v6)
	}
	return false // it has no neighbours
}

// unusedNeighbours are of ranges for documentation (RFC 5737) and for what is discarded
// (RFC 6666).
var unusedNeighbours = map[bool]netip.Addr{false: netip.MustParseAddr("192.0.2.255"), true: netip.MustParseAddr("100::ff")}

func (g *ground) neighbourTableFull(index int, v6 bool) bool {
	addr := unusedNeighbours[v6]
	header := make([]byte, unix.SizeofNdMsg)
	header[0] = family(addr)
	binary.NativeEndian.PutUint32(header[4:], uint32(index))
	binary.NativeEndian.PutUint16(header[8:], unix.NUD_STALE)
	b := new(batch)
	b.begin(unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_EXCL, header)
	b.addr(unix.NDA_DST, addr)
	b.attr(unix.NDA_LLADDR, []byte{2, 0, 0, 0, 0, 1})
	b.end(describe("look whether there is room for a neighbour"))
	if err := g.rtnl.do(b); err != nil {
		return errors.Is(err, unix.ENOBUFS)
	}
	b = new(batch)
	b.forgetNeighbour(index, addr, describe("forget it"))
	_ = g.rtnl.do(b) // the kernel forgets it by itself
	return false
}
