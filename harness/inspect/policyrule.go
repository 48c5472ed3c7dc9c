package inspect

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// PolicyRule is a rule of policy routing (ip-rule(8)): which packets, and what to do.
type PolicyRule struct {
	V6       bool
	Priority int // lower first
	Invert   bool
	// What a packet must be; zero values ask for nothing.
	From, To                 netip.Prefix
	In, Out                  string // names of interfaces; In is "lo" for what the node sends
	Mark, Mask               uint32
	TOS, TOSMask             uint8
	Protocol                 uint8
	SourcePorts, Ports       Range
	SourcePortMask, PortMask uint16 // where they are not 0, the bits of a port that count
	FlowLabel, FlowLabelMask uint32 // of IPv6
	UIDs                     *Range
	L3Master                 bool // it came in at, or goes out by, an interface of a VRF
	Action                   int  // FR_ACT_TO_TBL and so on
	Table                    int  // of FR_ACT_TO_TBL
	Goto                     int  // the priority of FR_ACT_GOTO
	SuppressBits             int  // a route of a prefix no longer than this does not count; -1 for none
	SuppressGroup            bool // routes over some interfaces do not count
	odd                      bool // it asks for something that is not known here
	raw                      []byte
}

// Range is numbers from the first to the last; the zero Range is none.
type Range struct{ First, Last uint32 }

func (r Range) has(n uint32) bool { return n >= r.First && n <= r.Last }

func (r Range) String() string {
	if r.First == r.Last {
		return fmt.Sprint(r.First)
	}
	return fmt.Sprintf("%d-%d", r.First, r.Last)
}

// Raw is the rule as the kernel told it, and takes it in a request to delete it:
// struct fib_rule_hdr and attributes.
func (r *PolicyRule) Raw() []byte { return r.raw }

// PolicyRules are those of policy routing of the namespace in the order in which they
// are asked, IPv4's first.
func (ns Namespace) PolicyRules() (rules []PolicyRule, err error) {
	err = ns.ask(func(c *conn) (err error) {
		rules, err = c.readPolicyRules()
		return err
	})
	return rules, err
}

// readPolicyRules reads the policy routing rules in the order in which they are asked.
func (c *conn) readPolicyRules() (rules []PolicyRule, err error) {
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		header := make([]byte, fibRuleHeader)
		header[0] = family
		answers, err := c.ask(unix.RTM_GETRULE, unix.NLM_F_DUMP, header, nil)
		if err != nil {
			return nil, fmt.Errorf("list policy routing rules: %w", err)
		}
		for _, answer := range answers {
			if rule, ok := policyRuleOf(answer); ok {
				rules = append(rules, rule)
			}
		}
	}
	return rules, nil
}

const fibRuleHeader = 12 // struct fib_rule_hdr, linux/fib_rules.h

// policyRuleOf reads a rule: struct fib_rule_hdr, and attributes.
func policyRuleOf(data []byte) (PolicyRule, bool) {
	const invert = 2 // FIB_RULE_INVERT
	if len(data) < fibRuleHeader {
		return PolicyRule{}, false
	}
	attributes, err := netlink.NewAttributeDecoder(data[fibRuleHeader:])
	if err != nil {
		return PolicyRule{}, false
	}
	r := PolicyRule{
		V6: data[0] == unix.AF_INET6, TOS: data[3], Table: int(data[4]), Action: int(data[7]), SuppressBits: -1,
		Invert: binary.NativeEndian.Uint32(data[8:])&invert != 0, raw: append([]byte(nil), data...),
	}
	if r.TOS != 0 {
		r.TOSMask = 0xff
	}
	for attributes.Next() {
		r.read(attributes, int(data[1]), int(data[2]))
	}
	return r, attributes.Err() == nil
}

func (r *PolicyRule) read(a *netlink.AttributeDecoder, toBits, fromBits int) {
	switch a.Type() {
	case unix.FRA_DST:
		r.To = netip.PrefixFrom(addrOf(a.Bytes()), toBits)
	case unix.FRA_SRC:
		r.From = netip.PrefixFrom(addrOf(a.Bytes()), fromBits)
	case unix.FRA_IIFNAME:
		r.In = a.String()
	case unix.FRA_OIFNAME:
		r.Out = a.String()
	case unix.FRA_PRIORITY:
		r.Priority = int(a.Uint32())
	case unix.FRA_FWMARK:
		r.Mark = a.Uint32()
	case unix.FRA_FWMASK:
		r.Mask = a.Uint32()
	case unix.FRA_TABLE:
		r.Table = int(a.Uint32())
	case unix.FRA_GOTO:
		r.Goto = int(a.Uint32())
	case unix.FRA_SUPPRESS_PREFIXLEN:
		r.SuppressBits = int(int32(a.Uint32()))
	case unix.FRA_SUPPRESS_IFGROUP:
		r.SuppressGroup = int32(a.Uint32()) >= 0
	case unix.FRA_L3MDEV:
		r.L3Master = a.Uint8() != 0
	case unix.FRA_IP_PROTO:
		r.Protocol = a.Uint8()
	case unix.FRA_UID_RANGE:
		if raw := a.Bytes(); len(raw) == 8 {
			r.UIDs = &Range{binary.NativeEndian.Uint32(raw), binary.NativeEndian.Uint32(raw[4:])}
		}
	case unix.FRA_SPORT_RANGE:
		r.SourcePorts = portsOf(a.Bytes())
	case unix.FRA_DPORT_RANGE:
		r.Ports = portsOf(a.Bytes())
	case fraSourcePortMask:
		r.SourcePortMask = a.Uint16()
	case fraPortMask:
		r.PortMask = a.Uint16()
	case fraDSCP:
		r.TOS, r.TOSMask = a.Uint8()<<2, 0xfc
	case fraDSCPMask:
		r.TOSMask = a.Uint8() << 2
	case fraFlowLabel:
		r.FlowLabel = labelOf(a.Bytes())
	case fraFlowLabelMask:
		r.FlowLabelMask = labelOf(a.Bytes())
	case unix.FRA_PROTOCOL, unix.FRA_PAD: // who made it, and nothing
	default: // a tunnel's number, a realm
		r.odd = true
	}
}

// What linux/fib_rules.h has got since x/sys was made.
const (
	fraDSCP           = 25
	fraFlowLabel      = 26
	fraFlowLabelMask  = 27
	fraSourcePortMask = 28
	fraPortMask       = 29
	fraDSCPMask       = 30
)

// portMatches says whether a port is one that a rule asks for.
func portMatches(r Range, mask, port uint16) bool {
	if mask != 0 {
		return (uint16(r.First)^port)&mask == 0
	}
	return r == Range{} || r.has(uint32(port))
}

// portsOf reads struct fib_rule_port_range.
func portsOf(raw []byte) Range {
	if len(raw) != 4 {
		return Range{}
	}
	return Range{uint32(binary.NativeEndian.Uint16(raw)), uint32(binary.NativeEndian.Uint16(raw[2:]))}
}

// labelOf reads a flow label, or its mask, in network order.
func labelOf(raw []byte) uint32 {
	if len(raw) != 4 {
		return 0
	}
	return binary.BigEndian.Uint32(raw)
}

// policyActions are what a rule may do but look into a table, or go to another rule, in
// ip-rule(8)'s words.
var policyActions = map[int]string{
	unix.FR_ACT_NOP: "nop", unix.FR_ACT_BLACKHOLE: "blackhole", unix.FR_ACT_UNREACHABLE: "unreachable", unix.FR_ACT_PROHIBIT: "prohibit",
}

// String is the rule as ip rule prints it: 1000: from all ipproto tcp dport 80 prohibit.
func (r *PolicyRule) String() string {
	words := []string{fmt.Sprintf("%d:", r.Priority)}
	add := func(has bool, format string, args ...any) {
		if has {
			words = append(words, fmt.Sprintf(format, args...))
		}
	}
	add(r.Invert, "not")
	add(true, "from %s", prefixText(r.From))
	add(r.To.IsValid(), "to %s", prefixText(r.To))
	add(r.TOS != 0, "tos %#x", r.TOS)
	add(r.Mark != 0 && r.Mask == ^uint32(0), "fwmark %#x", r.Mark)
	add((r.Mark != 0 || r.Mask != 0) && r.Mask != ^uint32(0), "fwmark %#x/%#x", r.Mark, r.Mask)
	add(r.In != "", "iif %s", r.In)
	add(r.Out != "", "oif %s", r.Out)
	if r.UIDs != nil {
		add(true, "uidrange %d-%d", r.UIDs.First, r.UIDs.Last)
	}
	add(r.Protocol != 0, "ipproto %s", protocolText(r.Protocol))
	add(r.SourcePorts != Range{}, "sport %s", portText(r.SourcePorts, r.SourcePortMask))
	add(r.FlowLabelMask != 0, "flowlabel %#x/%#x", r.FlowLabel, r.FlowLabelMask)
	add(r.Ports != Range{}, "dport %s", portText(r.Ports, r.PortMask))
	switch name := policyActions[r.Action]; {
	case name != "":
		add(true, "%s", name)
	case r.Action == unix.FR_ACT_GOTO:
		add(true, "goto %d", r.Goto)
	case r.L3Master:
		add(true, "lookup [l3mdev-table]")
	default:
		add(true, "lookup %s", TableName(r.Table))
	}
	add(r.SuppressBits >= 0, "suppress_prefixlength %d", r.SuppressBits)
	return strings.Join(words, " ")
}

// TableName is what ip route calls a table.
func TableName(table int) string {
	switch table {
	case unix.RT_TABLE_LOCAL:
		return "local"
	case unix.RT_TABLE_MAIN:
		return "main"
	case unix.RT_TABLE_DEFAULT:
		return "default"
	}
	return fmt.Sprint(table)
}

// prefixText is a prefix; a single address has no length, and none is all.
func prefixText(prefix netip.Prefix) string {
	switch {
	case !prefix.IsValid() || prefix.Bits() == 0:
		return "all"
	case prefix.IsSingleIP():
		return prefix.Addr().String()
	}
	return prefix.String()
}

func portText(r Range, mask uint16) string {
	if mask != 0 && mask != 0xffff {
		return fmt.Sprintf("%#x/%#x", r.First, mask)
	}
	return r.String()
}

func protocolText(protocol uint8) string {
	names := map[uint8]string{
		unix.IPPROTO_TCP: "tcp", unix.IPPROTO_UDP: "udp", unix.IPPROTO_ICMP: "icmp", unix.IPPROTO_ICMPV6: "ipv6-icmp", unix.IPPROTO_SCTP: "sctp",
	}
	if name, ok := names[protocol]; ok {
		return name
	}
	return fmt.Sprint(protocol)
}
