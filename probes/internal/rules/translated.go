package rules

import (
	"net/netip"
	"slices"

	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/harness/inspect"
)

// Destinations are those of which rules make others.
type Destinations struct {
	// Addrs are the addresses that rules name as destinations where they send packets for
	// them to somebody else's: dnat, redirect, tproxy, NETMAP, ip daddr set, and those of
	// iptables, in that rule, or in one that jumps or sets a mark. Of a range it is the first,
	// of a prefix the first but one. They are in the order of tables, chains and rules, each
	// once.
	Addrs []netip.Addr
	// Any is true where a rule that names none translates: what is sent to the node itself
	// may be meant.
	Any bool
	// Ranges are the ranges and prefixes that rules name which do it themselves.
	Ranges []Addresses
	// Ports are the rules that give packets another destination port.
	Ports []Forwarding
}

// Translated are the destinations that rules translate.
func Translated(set *inspect.Ruleset) (of Destinations) {
	translates := false
	add := func(found ...netip.Addr) {
		for _, addr := range found {
			if !slices.Contains(of.Addrs, addr) {
				of.Addrs = append(of.Addrs, addr)
			}
		}
	}
	for _, table := range set.Tables {
		for _, chain := range table.Chains {
			for _, rule := range chain.Rules {
				t := destinations{table: table}
				for _, e := range rule.Exprs {
					t.step(e)
				}
				translates, of.Any = translates || t.translates, of.Any || t.translates && len(t.found) == 0
				if f, changes := forwardingOf(rule); changes {
					of.Ports = append(of.Ports, f)
				}
				if t.translates || t.leads {
					add(t.found...)
				}
				if t.translates {
					of.Ranges = append(of.Ranges, rangesOf(rule)...)
				}
			}
		}
	}
	for _, table := range set.Legacy {
		for _, chain := range table.Chains {
			for _, rule := range chain.Rules {
				to, found := translatesTo(rule.Target), legacyDestinations(rule)
				translates, of.Any = translates || to, of.Any || to && len(found) == 0
				if f, changes := legacyForwardingOf(rule); changes {
					of.Ports = append(of.Ports, f)
				}
				if to || rule.Target == "MARK" || rule.Target == "CONNMARK" || !isBuiltin(rule.Target) {
					add(found...)
				}
			}
		}
	}
	if !translates {
		return Destinations{Ports: of.Ports}
	}
	return of
}

// rangesOf are the ranges and prefixes that a rule names as destinations.
func rangesOf(rule *inspect.Rule) (ranges []Addresses) {
	d := dividing{table: rule.Chain.Table, had: map[string]bool{}, destination: true}
	for _, e := range rule.Exprs {
		d.step(e)
	}
	for _, a := range slices.Concat(d.found...) {
		if !d.negated && a.Mask == nil && a.From != a.To {
			ranges = append(ranges, a)
		}
	}
	return ranges
}

// translatesTo says whether a target of iptables gives a packet another destination.
func translatesTo(target string) bool {
	return slices.Contains([]string{"DNAT", "REDIRECT", "TPROXY", "NETMAP"}, target)
}

// isBuiltin says whether a target is an extension's, and no chain; "" is one that does nothing.
func isBuiltin(target string) bool {
	return target == "" || targetAlters(target) != targetAlters("a chain")
}

func legacyDestinations(rule *inspect.LegacyRule) (addrs []netip.Addr) {
	for _, o := range rule.Options {
		if o.Name != "-d" || o.Not || len(o.Values) != 1 {
			continue
		}
		if prefix, err := netip.ParsePrefix(o.Values[0]); err == nil {
			addrs = append(addrs, within(prefix.Addr(), prefix.IsSingleIP()))
		} else if addr, err := netip.ParseAddr(o.Values[0]); err == nil {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}

// within is an address, or the one after it where it only begins a prefix.
func within(addr netip.Addr, whole bool) netip.Addr {
	if whole {
		return addr
	}
	return addr.Next()
}

// destinations is a rule on its way through its expressions: where registers hold the
// destination's address, and what it is compared with.
type destinations struct {
	table      *inspect.Table
	at         int // the byte of the registers where it begins, less 1; 0 for nowhere
	size       int // bytes of it: 4 or 16
	partly     bool
	found      []netip.Addr
	translates bool
	leads      bool // to another chain, or by a mark
}

func (d *destinations) step(e any) {
	switch e := e.(type) {
	case *expr.Payload:
		d.payload(e)
	case *expr.Bitwise:
		if d.at != 0 && offsetOf(e.SourceRegister) <= d.at-1 {
			d.partly = true
		}
	case *expr.Cmp:
		if e.Op != expr.CmpOpNeq {
			d.take(offsetOf(e.Register), e.Data, !d.partly && e.Op == expr.CmpOpEq)
		}
	case *expr.Range:
		if e.Op == expr.CmpOpEq {
			d.take(offsetOf(e.Register), e.FromData, true)
		}
	case *expr.Lookup:
		d.lookup(e)
	case *expr.NAT:
		d.translates = d.translates || e.Type == expr.NATTypeDestNAT
	case *expr.Redir, *expr.TProxy:
		d.translates = true
	case *expr.Target:
		d.translates = d.translates || translatesTo(e.Name)
		d.leads = d.leads || e.Name == "MARK" || e.Name == "CONNMARK"
	case *expr.Verdict:
		d.leads = d.leads || e.Kind == expr.VerdictJump || e.Kind == expr.VerdictGoto
	case *expr.Meta:
		d.leads = d.leads || e.SourceRegister && e.Key == expr.MetaKeyMARK
	case *expr.Ct:
		d.leads = d.leads || e.SourceRegister && e.Key == expr.CtKeyMARK
	}
}

// payload notes where a register holds the address: alone, or behind the source's.
func (d *destinations) payload(e *expr.Payload) {
	const (
		v4, v4Size = 16, 4
		v6, v6Size = 24, 16
	)
	if e.Base != expr.PayloadBaseNetworkHeader {
		return
	}
	begins, ends := int(e.Offset), int(e.Offset+e.Len)
	if e.OperationType == expr.PayloadWrite {
		d.translates = d.translates || begins < v6+v6Size && ends > v4
		return
	}
	for _, a := range [][2]int{{v4, v4Size}, {v6, v6Size}} {
		if ends == a[0]+a[1] && begins <= a[0] && (d.table.Family != "ip6" || a[1] == v6Size) {
			d.at, d.size, d.partly = offsetOf(e.DestRegister)+a[0]-begins+1, a[1], false
		}
	}
}

// take takes the address out of what a register is compared with.
func (d *destinations) take(at int, data []byte, whole bool) {
	if d.at == 0 {
		return
	}
	first := d.at - 1 - at
	if first < 0 || first+d.size > len(data) {
		return
	}
	addr, _ := netip.AddrFromSlice(data[first : first+d.size])
	if addr = within(addr, whole); addr.IsValid() && !addr.IsUnspecified() {
		d.found = append(d.found, addr)
	}
}

// lookup takes those of a set's, or a map's, elements; what a map of verdicts says leads on.
func (d *destinations) lookup(e *expr.Lookup) {
	set := d.table.Sets[e.SetName]
	if set == nil || e.Invert {
		return
	}
	d.leads = d.leads || set.Verdicts
	for i := range set.Elements {
		element := &set.Elements[i]
		if !element.CatchAll {
			d.take(offsetOf(e.SourceRegister), element.Key, element.End == nil || set.Fields != nil)
		}
	}
}

// Redirecting is the first rule at the hook prerouting that may give a packet another destination; nil where none does.
func Redirecting(set *inspect.Ruleset, p Packet) *inspect.Rule {
	for _, table := range set.Tables {
		for _, chain := range table.Chains {
			if chain.Hook != "" && chain.Hook != "prerouting" || table.Dormant() {
				continue
			}
			for _, rule := range chain.Rules {
				d := destinations{table: table}
				for _, x := range rule.Exprs {
					d.step(x)
				}
				if d.translates && Match(rule, p) != No {
					return rule
				}
			}
		}
	}
	return nil
}
