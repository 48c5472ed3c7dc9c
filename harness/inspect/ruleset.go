package inspect

import (
	"fmt"
	"slices"
)

// Ruleset is what rules a namespace has: nftables' of all families, and those of
// iptables-legacy where Legacy was filled in (see ParseLegacy). iptables-nft's are
// nftables tables.
type Ruleset struct {
	// Generation is the kernel's count of changes by the time it was read.
	Generation uint32
	// Tables are in the kernel's order, without those whose name begins with "nstest-".
	Tables []*Table
	Legacy []*LegacyTable
}

// Table is an nftables table.
type Table struct {
	// Family is nft's word: ip, ip6, inet, arp, bridge or netdev.
	Family, Name string
	// Handle is the kernel's number of it: a table that is made again has another. 0 where
	// the kernel (before 4.16) has none.
	Handle uint64
	// Flags are the kernel's NFT_TABLE_F_*: 1 is dormant.
	Flags  uint32
	Chains []*Chain
	// Sets are its sets and maps by name, also those without one ("__set0").
	Sets map[string]*Set
	// FillsIPSets is true where a rule of iptables-nft, in this table or another, puts
	// into a set of ipset.
	FillsIPSets bool

	expectations []Expectation // of its objects
}

// Dormant says whether the kernel passes over the table.
func (t *Table) Dormant() bool { return t.Flags&1 != 0 }

// Chain is the table's chain of that name, nil where it has none.
func (t *Table) Chain(name string) *Chain {
	for _, chain := range t.Chains {
		if chain.Name == name {
			return chain
		}
	}
	return nil
}

// Chain is a chain of an nftables table.
type Chain struct {
	Table *Table
	Name  string
	// Hook is where a base chain stands, in nft's word (prerouting, input, forward,
	// output, postrouting, ingress, egress); "" for a chain that rules jump to.
	Hook string
	// Priority is the kernel's number: lower comes first.
	Priority int32
	// Type is filter, nat or route.
	Type string
	// Drops is true for a base chain whose policy is drop.
	Drops bool
	// Devices are the interfaces that an ingress or egress chain is bound to.
	Devices []string
	Rules   []*Rule
}

// String is its place: "inet filter forward".
func (c *Chain) String() string { return c.Table.Family + " " + c.Table.Name + " " + c.Name }

// Rule is a rule of nftables.
type Rule struct {
	Chain *Chain
	// Handle is the kernel's number of it in its table; Position its place in the
	// chain, from 1.
	Handle   uint64
	Position int
	// Digest differs where another rule took its number, as `nft replace rule` has it. What it
	// counted does not matter.
	Digest uint64
	// Comment is nft's comment, or that of iptables-nft.
	Comment string
	// Exprs are its expressions in order: pointers to the types of
	// google/nftables/expr, or *Opaque, or *ObjectMap.
	Exprs []any
}

// String is its place, and its comment where it has one: `rule 3 of inet filter
// forward ("no ssh")`.
func (r *Rule) String() string {
	text := fmt.Sprintf("rule %d of %s", r.Position, r.Chain)
	if r.Comment != "" {
		text += fmt.Sprintf(" (%q)", r.Comment)
	}
	return text
}

// Opaque is an expression that is not known in full: what it does to a packet, and
// to the registers of its rule, is not known either.
type Opaque struct {
	// Name is the kernel's: "osf".
	Name string
	// Data are its attributes as they came.
	Data []byte
}

// ObjectMap is a reference to a stateful object that a map names.
type ObjectMap struct {
	Register uint32
	SetName  string
}

// Expires says whether some of it ends by itself after a time, which the kernel does not
// count as a change.
func (s *Ruleset) Expires() bool {
	return slices.ContainsFunc(s.Tables, func(t *Table) bool {
		for _, set := range t.Sets {
			if set.Expires() {
				return true
			}
		}
		return false
	})
}

// Table is the table of a family and name, nil where there is none.
func (s *Ruleset) Table(family, name string) *Table {
	for _, table := range s.Tables {
		if table.Family == family && table.Name == name {
			return table
		}
	}
	return nil
}

// Chain is the chain of that place, nil where there is none.
func (s *Ruleset) Chain(family, table, name string) *Chain {
	if t := s.Table(family, table); t != nil {
		return t.Chain(name)
	}
	return nil
}

// Rule is the rule with a handle in a chain, nil where there is none.
func (c *Chain) Rule(handle uint64) *Rule {
	i := slices.IndexFunc(c.Rules, func(r *Rule) bool { return r.Handle == handle })
	if i < 0 {
		return nil
	}
	return c.Rules[i]
}
