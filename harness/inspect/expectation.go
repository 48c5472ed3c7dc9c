package inspect

import (
	"bytes"
	"encoding/binary"

	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"golang.org/x/sys/unix"
)

// Expectation is what rules have connection tracking expect: connections that it will take
// for related to one that there is, once a packet of that has said so.
type Expectation struct {
	// By is what expects them, in nft's words: ct expectation NAME, ct helper ftp.
	By string
	// Family is 4 or 6, Protocol the upper one, Port that of the destination; 0 is any.
	Family   int
	Protocol uint8
	Port     uint16
}

// Kinds of stateful object that expect connections (NFT_OBJECT_*, linux/netfilter/nf_tables.h).
const (
	objectHelper = 3
	objectExpect = 9
)

// helped are the protocols of the connections that a kernel's helper expects
// (net/netfilter/nf_conntrack_*.c); of others any may be.
var helped = map[string]uint8{
	"ftp": unix.IPPROTO_TCP, "irc": unix.IPPROTO_TCP, "sane": unix.IPPROTO_TCP, "amanda": unix.IPPROTO_TCP,
	"tftp": unix.IPPROTO_UDP, "netbios-ns": unix.IPPROTO_UDP, "snmp": unix.IPPROTO_UDP, "pptp": unix.IPPROTO_GRE,
}

func helperOf(name string) Expectation {
	return Expectation{By: "ct helper " + name, Protocol: helped[name]}
}

// Expectations are all that its rules may have expected, of nftables and of both kinds of
// iptables: connection tracking is one for all of them.
func (s *Ruleset) Expectations() (all []Expectation) {
	for _, table := range s.Tables {
		all = append(all, table.expectations...)
		for _, chain := range table.Chains {
			for _, rule := range chain.Rules {
				for _, e := range rule.Exprs {
					if target, ok := e.(*expr.Target); ok && target.Name == "CT" {
						all = append(all, helperOfTarget(target.Info)...)
					}
				}
			}
		}
	}
	for _, table := range s.Legacy {
		for _, chain := range table.Chains {
			for _, rule := range chain.Rules {
				for _, option := range rule.Options {
					if rule.Target == "CT" && option.Name == "--helper" && option.OfTarget && len(option.Values) == 1 {
						all = append(all, helperOf(option.Values[0]))
					}
				}
			}
		}
	}
	return all
}

// helperOfTarget reads struct xt_ct_target_info: two numbers of 2 bytes, two of 4, and a name.
func helperOfTarget(info xt.InfoAny) []Expectation {
	const begin, size = 2 + 2 + 4 + 4, 16
	raw, ok := info.(*xt.Unknown)
	if !ok || len(*raw) < begin+size {
		return nil
	}
	name, _, _ := bytes.Cut((*raw)[begin:begin+size], []byte{0})
	if len(name) == 0 {
		return nil
	}
	return []Expectation{helperOf(string(name))}
}

// names says whether a rule names an object, or a map has names of that kind.
func (t *Table) names(is func(kind uint32, name string) bool) bool {
	for _, set := range t.Sets {
		for _, element := range set.Elements {
			if is(set.ObjectType, element.Object) {
				return true
			}
		}
	}
	for _, chain := range t.Chains {
		for _, rule := range chain.Rules {
			for _, e := range rule.Exprs {
				if object, ok := e.(*expr.Objref); ok && is(uint32(object.Type), object.Name) {
					return true
				}
			}
		}
	}
	return false
}

// expects says whether a rule names an object that expects connections: only then objects
// are read.
func (t *Table) expects() bool {
	return t.names(func(kind uint32, _ string) bool { return kind == objectHelper || kind == objectExpect })
}

// object takes one that expects connections, where a rule names it.
func (r *rulesetReader) object(family byte, data ruleAttrs) error {
	table := r.tables[tableKey{family, data.first(unix.NFTA_OBJ_TABLE).text()}]
	is := func(kind uint32, name string) bool {
		return kind == data.first(unix.NFTA_OBJ_TYPE).uint32() && name == data.first(unix.NFTA_OBJ_NAME).text()
	}
	if table == nil || !table.names(is) {
		return nil
	}
	const object = 4 // NFTA_OBJ_DATA
	content := data.first(object)
	switch data.first(unix.NFTA_OBJ_TYPE).uint32() {
	case objectHelper:
		table.expectations = append(table.expectations, helperOf(content.first(unix.NFTA_CT_HELPER_NAME).text()))
	case objectExpect:
		const network, upper, port = 1, 2, 3 // NFTA_CT_EXPECT_L3PROTO, L4PROTO, DPORT
		made := Expectation{By: "ct expectation " + data.first(unix.NFTA_OBJ_NAME).text()}
		if b := content.first(network); len(b) == 2 {
			made.Family = map[uint16]int{unix.NFPROTO_IPV4: 4, unix.NFPROTO_IPV6: 6}[binary.BigEndian.Uint16(b)]
		}
		if b := content.first(upper); len(b) == 1 {
			made.Protocol = b[0]
		}
		if b := content.first(port); len(b) == 2 {
			made.Port = binary.BigEndian.Uint16(b)
		}
		table.expectations = append(table.expectations, made)
	}
	return nil
}
