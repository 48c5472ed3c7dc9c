package verdict

import (
	"slices"
	"strings"

	"github.com/nstest/nstest/probes/evidence"
)

var noForward = row{
	kind: evidence.NoForward, verb: "not forwarded", policy: isClosed, needs: needPackets | needLinks,
	mend: "let the router forward, or declare it with NoForward",
	sysctls: []string{
		"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", "net/ipv4/conf/*/forwarding",
		"net/ipv6/conf/*/force_forwarding", // there is none before Linux 6.17
	},
	at: map[stage]func(spot, *evidence.Cause) bool{
		handed: func(p spot, c *evidence.Cause) bool {
			key, off := p.forwardsNot()
			c.Detail, c.Sysctl = strings.ReplaceAll(key, "/", ".")+"=0", key
			return off
		},
	},
	confirmed: confirmation{counters: []string{"Ip.InAddrErrors", "Ip6.InAddrErrors"}},
	lift:      func(c evidence.Cause) Deed { return SetSysctl{c.Sysctl, "1"} },
}

// isClosed says whether somebody wants it so: the router was told not to forward
// there, where it was declared or since.
func isClosed(p spot, c evidence.Cause) bool {
	everywhere := []string{"net/ipv4/ip_forward", "net/ipv4/conf/all/forwarding"}
	if p.to.Is6() {
		everywhere = []string{"net/ipv6/conf/all/forwarding"}
	}
	declared := p.Nodes[p.state.Name]
	return declared.Router && slices.ContainsFunc(declared.Closed, func(key string) bool {
		return key == c.Sysctl || slices.Contains(everywhere, key)
	})
}

// forwardsNot says by which sysctl the node does not forward what came in there.
func (p spot) forwardsNot() (string, bool) {
	name, sysctls := p.in().Name, p.state.Sysctls
	key, all := "net/ipv4/conf/"+name+"/forwarding", "net/ipv4/ip_forward"
	if p.to.Is6() { // where a link's own says but whether it is a router's (ip-sysctl.rst)
		key, all = "net/ipv6/conf/all/forwarding", "net/ipv6/conf/all/forwarding"
	}
	if sysctls[key] != "0" || p.to.Is6() && sysctls["net/ipv6/conf/"+name+"/force_forwarding"] == "1" {
		return "", false
	}
	if sysctls[all] == "0" {
		key = all
	}
	return key, true
}
