package rules

import "fmt"

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
	case "owner", "cgroup":
		return Memory{Kind: Users, Text: "the user that sent it"}
	case "cpu":
		return Memory{Kind: Chance, Text: "the processor that it came to"}
	case "statistic":
		return statistic(raw)
	}
	return Memory{}
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
