package policy

import (
	"slices"

	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/harness/inspect"
)

// linkTypes are the kernel's numbers of what interfaces' frames are (linux/if_arp.h), of those that are known.
var linkTypes = map[string]uint16{"ether": 1, "loopback": 772, "none": 0xfffe}

// linkType loads what the frames of an interface are. Without an interface the rule does not match (nft_meta_get_eval).
func (c *compiler) linkType(x *expr.Meta, of field) {
	const size = 2
	if slices.ContainsFunc(c.links, func(l inspect.Link) bool { return linkTypes[l.Encap] == 0 }) {
		c.lacking(x, metaWord(x.Key))
		c.regs.put(x.Register, toldCells(size)...)
		return
	}
	c.only(of, c.domain[of].without(set{{}}))
	c.regs.put(x.Register, fieldCells(of, asType, size)...)
}

// typeOf is the number of an interface's frames; 0 for no interface.
func (m *model) typeOf(index number) uint16 {
	for _, l := range m.links {
		if l.Index == int(index.lo) {
			return linkTypes[l.Encap]
		}
	}
	return 0
}

// frameWord is nft's word for a part of Ethernet's header.
func frameWord(at int) string {
	const source, kind = 6, 12
	switch {
	case at < source:
		return "ether daddr"
	case at < kind:
		return "ether saddr"
	}
	return "ether type"
}
