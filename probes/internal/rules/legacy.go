package rules

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/harness/inspect"
)

// MatchLegacy is Match for a rule of iptables-legacy.
func MatchLegacy(rule *inspect.LegacyRule, p Packet) Answer {
	result, _ := matchLegacy(rule, &p)
	return result
}

// matchLegacy says as well which traits the answer depends on.
func matchLegacy(rule *inspect.LegacyRule, p *Packet) (result Answer, by Trait) {
	result = answer(p.family() == legacyFamily(rule))
	if p.family() == 0 {
		result = Maybe
	}
	for _, option := range rule.Options {
		if !option.OfTarget {
			is := legacyOption(rule, option, p)
			if is == Maybe {
				by |= legacyTraits[option.Name]
			}
			result = result.and(is.invert(option.Not))
		}
	}
	for _, module := range rule.Modules {
		if !slices.Contains(plainModules, module) {
			result = result.and(Maybe)
			by |= matchTrait(module, asksGroups(rule), p)
		}
	}
	return result, by
}

// asksGroups says whether a rule asks for more of a socket than its user.
func asksGroups(rule *inspect.LegacyRule) bool {
	return slices.ContainsFunc(rule.Options, func(o inspect.LegacyOption) bool { return o.Name == "--gid-owner" || o.Name == "--socket-exists" })
}

// legacyTraits are those of options.
var legacyTraits = map[string]Trait{
	"--sport": SourcePort, "--sports": SourcePort, "--source-ports": SourcePort, "--ports": SourcePort, "--ctorigsrcport": SourcePort,
	"--tcp-option": Headers, "-f": Fragments, "--ttl-eq": TTL, "--ttl-lt": TTL, "--ttl-gt": TTL, "--hl-eq": TTL, "--hl-lt": TTL, "--hl-gt": TTL,
}

// plainModules are those whose options are all there is to know.
var plainModules = []string{"tcp", "udp", "icmp", "icmp6", "multiport", "conntrack", "state", "comment", "mark", "sctp", "ttl", "hl"}

func legacyFamily(rule *inspect.LegacyRule) int {
	if strings.HasPrefix(rule.Chain.Table.Program, "ip6") {
		return 6
	}
	return 4
}

// legacyOption says whether a condition holds, its "!" aside.
func legacyOption(rule *inspect.LegacyRule, option inspect.LegacyOption, p *Packet) Answer {
	value := ""
	if len(option.Values) > 0 {
		value = option.Values[0]
	}
	switch option.Name {
	case "-p":
		if protocol, ok := protocolNumber(value); ok {
			return p.is(protocol)
		}
	case "-s":
		return inPrefix(p.Src, value)
	case "-d":
		return inPrefix(p.Dst, value)
	case "-i":
		return legacyDevice(p.In.Name, value, legacyHook(rule, p), "prerouting", "input", "forward")
	case "-o":
		return legacyDevice(p.Out.Name, value, legacyHook(rule, p), "forward", "output", "postrouting")
	case "--sport", "--sports", "--source-ports":
		return portAmong(p.SrcPort, value)
	case "--dport", "--dports", "--destination-ports":
		return portAmong(p.DstPort, value)
	case "--ports":
		return portAmong(p.SrcPort, value).or(portAmong(p.DstPort, value))
	case "--ctstate", "--state":
		return inStates(rule, p.State, value)
	case "--ttl-eq", "--hl-eq", "--ttl-lt", "--hl-lt", "--ttl-gt", "--hl-gt":
		if than, err := strconv.ParseUint(value, 10, 8); err == nil {
			mode := map[string]int{"eq": 0, "lt": 2, "gt": 3}[option.Name[len(option.Name)-2:]]
			return ttlIs(p.TTL, mode, uint8(than))
		}
	case "--tcp-flags":
		if len(option.Values) == 2 {
			return tcpFlags(p.Flags, option.Values[0], option.Values[1])
		}
	case "--icmp-type", "--icmpv6-type":
		if number, err := strconv.ParseUint(value, 10, 8); err == nil && p.Type != nil && number != 255 {
			return answer(*p.Type == uint8(number))
		}
	}
	return Maybe
}

// tcpFlags is about those that are asked for, and which of them must be set.
func tcpFlags(flags *uint8, mask, set string) Answer {
	if flags == nil {
		return Maybe
	}
	return answer(*flags&flagBits(mask) == flagBits(set))
}

func flagBits(text string) (bits uint8) {
	for word := range strings.SplitSeq(text, ",") {
		bits |= map[string]uint8{"FIN": 1, "SYN": 2, "RST": 4, "PSH": 8, "ACK": 16, "URG": 32, "ALL": 63}[word]
	}
	return bits
}

func inPrefix(a netip.Addr, text string) Answer {
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		one, err := netip.ParseAddr(text)
		if err != nil {
			return Maybe
		}
		prefix = netip.PrefixFrom(one, one.BitLen())
	}
	if !a.IsValid() {
		return Maybe
	}
	return answer(prefix.Contains(a))
}

// legacyHook is where the packet is; in a user's own chain the packet says it.
func legacyHook(rule *inspect.LegacyRule, p *Packet) string {
	if rule.Chain.Policy != "" {
		return strings.ToLower(rule.Chain.Name)
	}
	return p.Hook
}

// legacyDevice is about an interface's name, or how it begins ("eth+"), at the hooks
// that know one.
func legacyDevice(name, text, hook string, there ...string) Answer {
	if !slices.Contains(there, hook) || name == "" {
		return Maybe
	}
	if beginning, ok := strings.CutSuffix(text, "+"); ok {
		return answer(strings.HasPrefix(name, beginning))
	}
	return answer(name == text)
}

// portAmong says whether a port is one of "22,80,1000:2000".
func portAmong(port *uint16, text string) Answer {
	spans, ok := portSpans(text)
	if !ok || port == nil {
		return Maybe
	}
	for _, s := range spans {
		if *port >= s.from && *port <= s.to {
			return Yes
		}
	}
	return No
}

// portSpans reads "22,80,1000:2000"; not the names of services.
func portSpans(text string) (spans []span, ok bool) {
	for part := range strings.SplitSeq(text, ",") {
		low, high, ranged := strings.Cut(part, ":")
		if !ranged {
			high = low
		}
		from, err1 := strconv.ParseUint(low, 10, 16)
		to, err2 := strconv.ParseUint(high, 10, 16)
		if low == "" {
			from, err1 = 0, nil
		}
		if high == "" {
			to, err2 = 65535, nil
		}
		if err1 != nil || err2 != nil {
			return nil, false
		}
		spans = append(spans, span{from: uint16(from), to: uint16(to)})
	}
	return spans, true
}

// inStates is about conntrack's states, which table raw does not know yet.
func inStates(rule *inspect.LegacyRule, state *uint32, text string) Answer {
	if state == nil || rule.Chain.Table.Name == "raw" {
		return Maybe
	}
	result := No
	for word := range strings.SplitSeq(text, ",") {
		bit, ok := map[string]uint32{"NEW": expr.CtStateBitNEW, "ESTABLISHED": expr.CtStateBitESTABLISHED,
			"RELATED": expr.CtStateBitRELATED, "INVALID": expr.CtStateBitINVALID, "UNTRACKED": expr.CtStateBitUNTRACKED}[word]
		switch {
		case !ok: // SNAT, DNAT
			result = result.or(Maybe)
		case *state&bit != 0:
			return Yes
		}
	}
	return result
}

func protocolNumber(text string) (uint8, bool) {
	if text == "ipv6-icmp" {
		text = "icmpv6"
	}
	for number, word := range protocolWords {
		if word == text {
			return number, true
		}
	}
	number, err := strconv.ParseUint(text, 10, 8)
	return uint8(number), err == nil
}

// RemembersLegacy is Remembers for a rule of iptables-legacy.
func RemembersLegacy(rule *inspect.LegacyRule) (Memory, bool) {
	if rule.Target == "" || targetEnds(rule.Target) == goesOn && targetAlters(rule.Target) == 0 && rule.Target != "TEE" {
		return Memory{}, false
	}
	var users Memory
	for _, module := range rule.Modules {
		m := xtMemory(module, nil, rule.Chain.Table.FillsIPSets)
		if module == "conntrack" && slices.ContainsFunc(rule.Options, func(o inspect.LegacyOption) bool { return o.Name == "--ctexpire" }) {
			m = Memory{Kind: History, Text: expiry}
		}
		if module == "owner" && !asksGroups(rule) {
			m.Text = ByUser
		}
		if module == "statistic" {
			m = legacyStatistic(rule, m)
		}
		m.Rule = rule
		switch m.Kind {
		case 0:
		case Users:
			users = m
		default:
			return m, true
		}
	}
	if users.Kind == 0 {
		users = targetMemory(rule.Target)
		users.Rule = rule
	}
	return users, users.Kind != 0
}

// legacyStatistic finds the period.
func legacyStatistic(rule *inspect.LegacyRule, chance Memory) Memory {
	for _, option := range rule.Options {
		if option.Name == "--every" && len(option.Values) == 1 {
			if n, err := strconv.Atoi(option.Values[0]); err == nil && n > 0 {
				return every(n)
			}
		}
	}
	return chance
}

// legacy adds what a rule of iptables-legacy names.
func (n *names) legacy(rule *inspect.LegacyRule) {
	var protocols []uint8
	var spans []span
	for _, option := range rule.Options {
		if len(option.Values) != 1 || option.OfTarget {
			continue
		}
		list, _ := portSpans(option.Values[0])
		switch option.Name {
		case "-p":
			if protocol, ok := protocolNumber(option.Values[0]); ok {
				protocols = append(protocols, protocol)
			}
		case "--dport", "--dports", "--ports", "--ctorigdstport":
			spans = append(spans, list...)
		}
		if slices.Contains([]string{"--sport", "--sports", "--ports"}, option.Name) {
			for _, s := range list {
				s.source = true
				spans = append(spans, s)
			}
		}
	}
	n.add(rule, legacyFamily(rule), protocols, spans)
}
