package harness

import (
	"encoding/binary"
	"net/netip"

	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

var ruleActions = map[topo.RouteType]byte{
	topo.Unicast:     unix.FR_ACT_TO_TBL,
	topo.Blackhole:   unix.FR_ACT_BLACKHOLE,
	topo.Unreachable: unix.FR_ACT_UNREACHABLE,
	topo.Prohibit:    unix.FR_ACT_PROHIBIT,
}

// addRule adds a planned rule of policy routing.
func (b *batch) addRule(rule topo.RulePlan, what func() string) {
	b.rule(unix.RTM_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, rule, what)
}

// delRule takes one away.
func (b *batch) delRule(rule topo.RulePlan, what func() string) {
	b.rule(unix.RTM_DELRULE, 0, rule, what)
}

// ruleHeader is a struct fib_rule_hdr, linux/fib_rules.h.
func ruleHeader(rule topo.RulePlan) []byte {
	const invert = 2 // FIB_RULE_INVERT
	header := make([]byte, 12)
	header[0] = unix.AF_INET
	if rule.IPv6 {
		header[0] = unix.AF_INET6
	}
	header[3], header[7] = rule.TOS, ruleActions[rule.Type]
	if rule.To.IsValid() {
		header[1] = byte(rule.To.Bits())
	}
	if rule.From.IsValid() {
		header[2] = byte(rule.From.Bits())
	}
	if rule.Not {
		binary.NativeEndian.PutUint32(header[8:], invert)
	}
	return header
}

func (b *batch) rule(kind, flags uint16, rule topo.RulePlan, what func() string) {
	b.begin(kind, flags, ruleHeader(rule))
	b.u32(unix.FRA_PRIORITY, uint32(rule.Priority))
	for kind, prefix := range map[uint16]netip.Prefix{unix.FRA_DST: rule.To, unix.FRA_SRC: rule.From} {
		if prefix.IsValid() && prefix.Bits() > 0 {
			b.addr(kind, prefix.Addr())
		}
	}
	for kind, name := range map[uint16]string{unix.FRA_IIFNAME: rule.In, unix.FRA_OIFNAME: rule.Out} {
		if name != "" {
			b.text(kind, name)
		}
	}
	if rule.Mask != 0 {
		b.u32(unix.FRA_FWMARK, rule.Mark)
		b.u32(unix.FRA_FWMASK, rule.Mask)
	}
	if rule.Protocol != 0 {
		b.attr(unix.FRA_IP_PROTO, []byte{rule.Protocol})
	}
	for kind, ports := range map[uint16][2]uint16{unix.FRA_SPORT_RANGE: rule.SourcePorts, unix.FRA_DPORT_RANGE: rule.Ports} {
		if ports != [2]uint16{} {
			b.attr(kind, binary.NativeEndian.AppendUint16(binary.NativeEndian.AppendUint16(nil, ports[0]), ports[1]))
		}
	}
	if rule.UIDs != nil {
		b.attr(unix.FRA_UID_RANGE, words(rule.UIDs[0], rule.UIDs[1]))
	}
	if rule.Type == topo.Unicast {
		b.u32(unix.FRA_TABLE, uint32(rule.Table))
	}
	if rule.SuppressPrefixLength >= 0 {
		b.u32(unix.FRA_SUPPRESS_PREFIXLEN, uint32(rule.SuppressPrefixLength))
	}
	b.end(what)
}
