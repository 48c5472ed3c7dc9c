package watch

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// table is the watch's own tables in one namespace. Chains before all others set
// the trace flag of the packets that are watched; empty ones after all others tell
// what came as far. The user's tables stay as they are. Who flushes the ruleset takes
// them along, and they are put back before the next probe: a table that has an owner
// (NFT_TABLE_F_OWNER) would stay, but nft -j list ruleset says of its flags what lies
// behind the names that it knows, or breaks off in the middle (seen with 1.0.6). In a
// namespace of somebody else's it has one all the same, for it goes with its socket.
type table struct {
	rules *nfnl
	name  string
	mark  mark
	owned bool // by the socket: see tableOwner

	families map[byte]bool // that it has tables of
	devices  map[string]bool
	ports    map[uint16]int // the watch's: of datagrams, besides those that say that they are a probe's
	besides  [][]expr.Any   // what is traced besides what the mark matches
}

// tablePrefix begins the name of a watch's tables.
const tablePrefix = "nstest-trace-"

// IsOwn says whether a table is a watch's, and not the user's.
func IsOwn(table string) bool { return strings.HasPrefix(table, tablePrefix) }

// The families of tables (NFPROTO_ in linux/netfilter.h).
const (
	familyINet   = 1
	familyIPv4   = 2
	familyARP    = 3
	familyNetdev = 5
	familyBridge = 7
	familyIPv6   = 10
)

// hook is where packets pass (enum nf_inet_hooks; a bridge numbers them alike).
type hook uint32

const (
	hookPrerouting hook = iota
	hookInput
	hookForward
	hookOutput
	hookPostrouting
	hookIngress
)

// ownChain is a chain of the watch's own.
type ownChain struct {
	name string
	hook hook
	last bool // after all others, and empty; else before them, and sets the flag
}

var ipChains = []ownChain{
	{"prerouting", hookPrerouting, false}, {"output", hookOutput, false},
	{"prerouting-last", hookPrerouting, true}, {"input-last", hookInput, true}, {"forward-last", hookForward, true},
	{"output-last", hookOutput, true}, {"postrouting-last", hookPostrouting, true},
}

// arpChains are at the hooks of family arp, which has its own numbers
// (linux/netfilter_arp.h): 0 is in, 1 is out.
var arpChains = []ownChain{{"input", 0, false}, {"output", 1, false}}

// stepOf is what passing a chain of the watch's own means: the hook, and whether
// the packet is through with it.
func stepOf(family byte, chain string) (ownChain, bool) {
	switch family {
	case familyINet, familyBridge:
		for _, c := range ipChains {
			if c.name == chain {
				return c, true
			}
		}
	case familyARP:
		for _, c := range arpChains {
			if c.name == chain {
				return c, true
			}
		}
	case familyNetdev:
		return ownChain{chain, hookIngress, false}, true
	}
	return ownChain{}, false
}

// tableOwner is NFT_TABLE_F_OWNER (linux/netfilter/nf_tables.h): the table is the socket's
// that made it. Nobody else changes it, and it goes when the socket does.
const tableOwner = 2

// newTable is none yet: see add.
func newTable(rules *nfnl, m mark, owned bool, ports map[uint16]int) *table {
	return &table{
		rules: rules, owned: owned, name: fmt.Sprintf("%s%016x", tablePrefix, rand.Uint64()), mark: m,
		families: map[byte]bool{}, devices: map[string]bool{}, ports: ports,
	}
}

// add makes the table in families that have none yet; devices are those whose
// ingress is watched.
func (t *table) add(families []byte, devices []string) error {
	change := func(b *batch) {
		for _, family := range families {
			t.addFamily(b, family)
		}
		if len(devices) > 0 {
			t.addIngress(b, devices)
		}
	}
	if len(families)+len(devices) == 0 {
		return nil
	}
	if err := t.rules.commit(change); err != nil {
		return err
	}
	for _, family := range families {
		t.families[family] = true
	}
	for _, device := range devices {
		t.devices[device], t.families[familyNetdev] = true, true
	}
	return nil
}

// forget notes that the tables are gone.
func (t *table) forget() {
	clear(t.families)
	clear(t.devices)
}

func (t *table) addTable(b *batch, family byte) {
	if t.families[family] {
		return
	}
	b.add(unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE, family)
	b.text(unix.NFTA_TABLE_NAME, t.name)
	if t.owned {
		b.u32(unix.NFTA_TABLE_FLAGS, tableOwner)
	}
	b.end()
}

func (t *table) addFamily(b *batch, family byte) {
	t.addTable(b, family)
	if family == familyARP {
		for _, c := range arpChains {
			t.addChain(b, family, c, "")
			t.addRule(b, family, c.name, nil)
		}
		return
	}
	t.addSet(b, family)
	for _, c := range ipChains {
		t.addChain(b, family, c, "")
		if !c.last {
			t.addRules(b, family, c.name)
		}
		if !c.last && family == familyBridge {
			t.addRule(b, family, c.name, etherIs(unix.ETH_P_ARP))
		}
	}
}

func (t *table) addIngress(b *batch, devices []string) {
	if !t.families[familyNetdev] {
		t.addTable(b, familyNetdev)
		t.addSet(b, familyNetdev)
	}
	for _, device := range devices {
		t.addChain(b, familyNetdev, ownChain{device, 0, false}, device)
		t.addRules(b, familyNetdev, device)
		t.addRule(b, familyNetdev, device, etherIs(unix.ETH_P_ARP))
	}
}

// addChain makes a base chain. Priorities are the first and the last that there are.
func (t *table) addChain(b *batch, family byte, c ownChain, device string) {
	priority := int32(math.MinInt32)
	if c.last {
		priority = math.MaxInt32
	}
	b.add(unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE, family)
	b.text(unix.NFTA_CHAIN_TABLE, t.name)
	b.text(unix.NFTA_CHAIN_NAME, c.name)
	end := b.nest(unix.NFTA_CHAIN_HOOK)
	b.u32(unix.NFTA_HOOK_HOOKNUM, uint32(c.hook))
	b.u32(unix.NFTA_HOOK_PRIORITY, uint32(priority))
	if device != "" {
		b.text(unix.NFTA_HOOK_DEV, device)
	}
	end()
	b.text(unix.NFTA_CHAIN_TYPE, "filter")
	b.end()
}

const (
	portsSet     = "ports"
	portsSetID   = 1
	inetServices = 13 // the type of a port as nft prints it (datatype.h of nftables)
)

// addSet makes the set of ports.
func (t *table) addSet(b *batch, family byte) {
	b.add(unix.NFT_MSG_NEWSET, unix.NLM_F_CREATE, family)
	b.text(unix.NFTA_SET_TABLE, t.name)
	b.text(unix.NFTA_SET_NAME, portsSet)
	b.u32(unix.NFTA_SET_KEY_TYPE, inetServices)
	b.u32(unix.NFTA_SET_KEY_LEN, 2)
	b.u32(unix.NFTA_SET_ID, portsSetID)
	b.end()
	for port := range t.ports {
		t.addElement(b, family, port)
	}
}

func (t *table) addElement(b *batch, family byte, port uint16) {
	b.add(unix.NFT_MSG_NEWSETELEM, unix.NLM_F_CREATE, family)
	b.text(unix.NFTA_SET_ELEM_LIST_TABLE, t.name)
	b.text(unix.NFTA_SET_ELEM_LIST_SET, portsSet)
	elements := b.nest(unix.NFTA_SET_ELEM_LIST_ELEMENTS)
	element := b.nest(unix.NFTA_LIST_ELEM)
	key := b.nest(unix.NFTA_SET_ELEM_KEY)
	b.attr(unix.NFTA_DATA_VALUE, binary.BigEndian.AppendUint16(nil, port))
	key()
	element()
	elements()
	b.end()
}

// addPort has the datagrams from and to another of the watch's ports traced.
func (t *table) addPort(port uint16) error {
	return t.rules.commit(func(b *batch) {
		for family := range t.families {
			if family != familyARP {
				t.addElement(b, family, port)
			}
		}
	})
}

func (t *table) addRules(b *batch, family byte, chain string) {
	t.addMatches(b, family, chain, t.mark.matches())
	t.addMatches(b, family, chain, t.besides)
}

func (t *table) addMatches(b *batch, family byte, chain string, matches [][]expr.Any) {
	for _, match := range matches {
		t.addRule(b, family, chain, match)
	}
}

// addBesides has more traced, where the rest is.
func (t *table) addBesides(matches [][]expr.Any) error {
	t.besides = append(t.besides, matches...)
	return t.rules.commit(func(b *batch) {
		for family := range t.families {
			switch family {
			case familyARP:
			case familyNetdev:
				for device := range t.devices {
					t.addMatches(b, family, device, matches)
				}
			default:
				for _, c := range ipChains {
					if !c.last {
						t.addMatches(b, family, c.name, matches)
					}
				}
			}
		}
	})
}

// addRule makes a rule that sets the flag of what matches, and ends the chain for it.
func (t *table) addRule(b *batch, family byte, chain string, match []expr.Any) {
	b.add(unix.NFT_MSG_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_APPEND, family)
	b.text(unix.NFTA_RULE_TABLE, t.name)
	b.text(unix.NFTA_RULE_CHAIN, chain)
	end := b.nest(unix.NFTA_RULE_EXPRESSIONS)
	for _, e := range append(match,
		&expr.Immediate{Register: 1, Data: []byte{1}},
		&expr.Meta{Key: expr.MetaKeyNFTRACE, SourceRegister: true, Register: 1},
		&expr.Verdict{Kind: expr.VerdictAccept}) {
		if data, err := expr.Marshal(family, e); err == nil { // fails for no expression of ours
			b.attr(unix.NFTA_LIST_ELEM|unix.NLA_F_NESTED, data)
		}
	}
	end()
	b.end()
}
