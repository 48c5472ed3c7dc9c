package policy

import (
	"fmt"

	"github.com/google/nftables/expr"
)

// unmodelled is a byte of the IP header of which the model has no field.
func (m *model) unmodelled(at int) cell {
	const length4, length6, header6 = 2, 4, 40
	words4 := map[int]string{0: "ip version or hdrlength", 1: "ip dscp or ecn", 4: "ip id", 5: "ip id", 6: "ip frag-off", 7: "ip frag-off", 10: "ip checksum", 11: "ip checksum"}
	switch {
	case !m.v6 && (at == length4 || at == length4+1):
		return lengthCells("ip length", asBytes, 2, 0)[at-length4]
	case m.v6 && (at == length6 || at == length6+1):
		return lengthCells("ip6 length", asBytes, 2, header6)[at-length6]
	case m.v6 && at < length6:
		return cell{name: "ip6 version, dscp or flowlabel"}
	case !m.v6 && words4[at] != "":
		return cell{name: words4[at]}
	}
	return cell{name: fmt.Sprintf("@nh,%d,8", at*8)}
}

// unnamed notes that cells are not modelled: of what, if it is known.
func (c *compiler) unnamed(cells []cell) {
	said := false
	for _, x := range cells {
		switch {
		case x.told:
			said = true
		case x.loose && x.of == fieldDport:
			said = true
			c.unknown("th dport of whatever protocol")
		case x.loose:
			said = true
			c.unknown("th sport of whatever protocol")
		case x.name != "":
			said = true
			c.unknown(x.name)
		}
	}
	if !said {
		c.unknown("an expression that is not modelled")
	}
}

// loosely keeps of ports, where a rule does not ask for the protocol, what is so of protocols that have some. Of others anything may be.
func (c *compiler) loosely(boxes []box) {
	var among []box
	for _, b := range boxes {
		b[fieldProto] = withPorts.and(b[fieldProto])
		among = append(among, b)
	}
	c.meet(append(among, box{fieldProto: c.domain[fieldProto].without(withPorts)}))
}

// metaWord is nft's word for what is asked of a packet besides its headers.
func metaWord(key expr.MetaKey) string {
	words := []string{
		"length", "protocol", "priority", "mark", "iif", "oif", "iifname", "oifname", "iiftype", "oiftype", "skuid", "skgid", "nftrace", "rtclassid",
		"secmark", "nfproto", "l4proto", "ibrname", "obrname", "pkttype", "cpu", "iifgroup", "oifgroup", "cgroup", "random", "ipsec", "iifkind", "oifkind",
		"ibrpvid", "ibrvproto", "time", "day", "hour", "sdif", "sdifname",
	}
	if int(key) < len(words) {
		return "meta " + words[key]
	}
	return fmt.Sprintf("meta %d", key)
}
