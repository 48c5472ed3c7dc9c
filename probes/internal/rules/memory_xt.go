package rules

import (
	"fmt"
	"slices"

	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
)

// stateless are matches of iptables, ip6tables and ebtables that look at no more than the
// packet, its connection as it is, and what the node is set up to be. Of others it is not
// known what they depend on.
var stateless = []string{
	"802_3", "addrtype", "ah", "among", "arp", "bpf", "cluster", "comment", "connlabel", "connmark", "conntrack", "dccp", "devgroup", "dscp", "dst",
	"ecn", "esp", "eui64", "frag", "geoip", "hbh", "helper", "hl", "icmp", "icmp6", "icmpv6", "ip", "ip6", "ipcomp", "iprange", "ipv4options", "ipv6header",
	"ipvs", "l2tp", "length", "mac", "mark", "mark_m", "mh", "multiport", "osf", "physdev", "pkttype", "policy", "realm", "rpfilter", "rt", "sctp",
	"set", "socket", "srh", "state", "stp", "string", "tcp", "tcpmss", "tos", "ttl", "u32", "udp", "udplite", "vlan",
}

// matchMemory is xtMemory of a match as iptables-nft keeps it.
func matchMemory(e *expr.Match, fillsIPSets bool) Memory {
	asks, _, _, _ := conntrackInfo(e.Info)
	if asks&uint16(xt.ConntrackExpires) != 0 {
		return Memory{Kind: History, Text: expiry}
	}
	return xtMemory(e.Name, rawInfo(e.Info), fillsIPSets)
}

// targetMemory is that of a target which decides by itself.
func targetMemory(name string) Memory {
	switch name {
	case "HMARK", "CLUSTERIP":
		return Memory{Kind: Chance, Text: fmt.Sprintf("a hash of the packet (%s)", name)}
	case "SYNPROXY":
		return Memory{Kind: History, Text: "what the SYN proxy has seen"}
	}
	return Memory{}
}

// ownerGroups says whether a match owner may ask for more of a socket than its user: struct
// xt_owner_match_info, linux/netfilter/xt_owner.h.
func ownerGroups(raw []byte) bool {
	const match, users = 16, 1 // four numbers come before; XT_OWNER_UID
	return len(raw) <= match || raw[match]&^users != 0
}

// xtMemory is what a match of iptables depends on; raw is how iptables-nft keeps it, nil
// where it is known by name alone. What is in a set of ipset counts only where rules
// fill one.
func xtMemory(name string, raw []byte, fillsIPSets bool) Memory {
	switch name {
	case "limit", "hashlimit", "rateest":
		return Memory{Kind: Rate, Text: "a rate (" + name + ")"}
	case "quota", "quota2", "nfacct":
		return Memory{Kind: Rate, Text: "a quota (" + name + ")"}
	case "set":
		if !fillsIPSets {
			return Memory{}
		}
		fallthrough
	case "recent", "connbytes":
		return Memory{Kind: History, Text: "what came before (" + name + ")"}
	case "connlimit":
		return Memory{Kind: History, Text: "how many connections there are"}
	case "time":
		return Memory{Kind: Clock, Text: "the time"}
	case "owner":
		if ownerGroups(raw) {
			return Memory{Kind: Users, Text: "the user or group that sent it"}
		}
		return Memory{Kind: Users, Text: ByUser}
	case "cgroup":
		return Memory{Kind: Users, Text: "the control group that sent it"}
	case "cpu":
		return Memory{Kind: Chance, Text: "the processor that it came to"}
	case "statistic":
		return statistic(raw)
	}
	if slices.Contains(stateless, name) {
		return Memory{}
	}
	return Memory{Kind: Unread, Text: fmt.Sprintf("a match that is not known (%s)", name)}
}

// statistic reads struct xt_statistic_info: mode, flags, and by the mode the
// probability or one less than each how many packets.
func statistic(raw []byte) Memory {
	const modeNth, size = 1, 8
	if len(raw) >= size && raw[0] == modeNth {
		return every(int(nativeUint32(raw[4:])) + 1)
	}
	return Memory{Kind: Chance, Text: "a random number"}
}

func every(n int) Memory {
	return Memory{Kind: Period, Period: n, Text: fmt.Sprintf("which of %d packets in turn it is", n)}
}
