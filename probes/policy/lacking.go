package policy

import (
	"fmt"

	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/probes/internal/rules"
)

// needs notes of an expression that is not modelled what would be needed to meet it.
func (c *compiler) needs(what string) {
	c.unknown(what)
	c.line.needs = append(c.line.needs, what)
}

// lacking notes that an expression is not modelled: with what it needs where packets as they are sent
// do not have it, or one packet alone cannot show it; else by its name.
func (c *compiler) lacking(x any, name string) {
	switch m := rules.MemoryOf(c.line.rule, x); m.Kind {
	case 0, rules.Unread:
	default:
		c.needs("packets that meet it in another state: it depends on " + m.Text)
		return
	}
	switch x := x.(type) {
	case *expr.Match:
		if what := matchesNeed[x.Name]; what != "" {
			c.needs(what + " (" + name + ")")
			return
		}
	case *expr.Ct:
		c.needs(connectionNeed + " (" + name + ")")
		return
	case *expr.Exthdr:
		c.needs(headerNeed + " (" + name + ")")
		return
	case *expr.Socket:
		c.needs(socketNeed + " (" + name + ")")
		return
	}
	c.unknown(name)
}

const (
	headerNeed     = "a packet with an option or extension header, which none that is sent has"
	connectionNeed = "a connection of which more is so than that there is one"
	socketNeed     = "a socket of the node that takes part"
	linkNeed       = "a frame that is otherwise than those that are sent"
)

// matchesNeed is what matches of iptables ask for that no packet has which is sent.
var matchesNeed = map[string]string{
	"rt": headerNeed, "frag": headerNeed, "hbh": headerNeed, "dst": headerNeed, "ah": headerNeed, "esp": headerNeed, "ipv6header": headerNeed,
	"mh": headerNeed, "srh": headerNeed, "ipv4options": headerNeed, "tcpmss": headerNeed, "policy": headerNeed,
	"conntrack": connectionNeed, "connmark": connectionNeed, "connlabel": connectionNeed, "helper": connectionNeed,
	"socket": socketNeed, "mac": linkNeed, "pkttype": linkNeed, "physdev": linkNeed,
}

// early notes that there is no state yet at a hook where packets meet a rule.
func (c *compiler) early() {
	if c.meets(rules.BeforeTracking) {
		c.unknown("a state before connection tracking")
	}
}

// marked notes that packets may have another mark than they came with.
func (c *compiler) marked() {
	if c.effects.Marks {
		c.opens("a mark that rules set")
	}
}

// status notes that a condition is about what rules made of a connection.
func (c *compiler) status(name string) {
	need := connectionNeed + " (" + name + ")"
	c.early()
	c.opens(need)
	c.line.needs = append(c.line.needs, need)
}

// opens notes that an expression is about what other rules make of a packet.
func (c *compiler) opens(what string) { c.line.open = union(c.line.open, what) }

// written notes that a header may be another than it was sent with.
func (c *compiler) written() {
	if c.effects.Writes {
		c.unknown("a header that rules write to")
	}
}

// ctWord is nft's word for what is asked of a connection.
func ctWord(key expr.CtKey) string {
	words := []string{
		"state", "direction", "status", "mark", "secmark", "expiration", "helper", "l3proto", "saddr", "daddr", "protocol", "proto-src", "proto-dst",
		"label", "packets", "bytes", "avgpkt", "zone", "event", "saddr", "daddr", "saddr", "daddr", "id",
	}
	if int(key) < len(words) {
		return words[key]
	}
	return fmt.Sprint(uint32(key))
}
