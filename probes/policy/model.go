package policy

import (
	"math"
	"slices"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/rules"
)

// model is what a node's rules say of packets of one family, as far as they are known
// exactly. It proposes packets; what it says of those that there are not holds only
// where it is exact.
type model struct {
	v6     bool
	domain box
	links  []inspect.Link
	addrs  []number // of the lab's other nodes, which packets have where they may
	set    *inspect.Ruleset
	chains map[*inspect.Chain]*chain
	// effects are those of all rules, also of tables that other packets meet.
	effects rules.Effects
	from    map[*inspect.Chain][]*inspect.Chain
	kinds   map[uint32]set // addresses, by what the node takes them for
	marks   set            // that packets have by rules alone, nil where that is not known
	// impossible are packets that there are not.
	impossible []box
}

// chain is one that was compiled.
type chain struct {
	of    *inspect.Chain
	lines []*line
	leads map[*chain]bool // to which rules of it, and of those that it leads to, jump
	hands map[*chain]bool // and for some packet, as far as is known
	lasts map[*chain]int  // see lastTo
}

// line is a rule of a family.
type line struct {
	rule *inspect.Rule
	in   *chain
	arms []arm
	// unknown are expressions of it that are not modelled; open are those of what other rules make of a packet, which is known
	// of its whole way, and not at one hook alone. lacks is why it has no packet.
	unknown []string
	open    []string
	lacks   string
	needs   []string // what would be needed to meet those
	// marks are the bytes of the mark that it sets; nil where it sets none.
	marks []cell
	// acts is what it does besides, "" for nothing: translates, marks, refuses in a way.
	acts string
	// values are what a map gives its packets for that, shape is it without the map.
	values []value
	shape  string
	// lengths are those that it asks for, of which no more is known; nil for none.
	lengths set
	// keeps says that whether it is asked may matter to other packets: it fills a set, or counts for a limit.
	keeps bool
}

// exact says whether its arms are all the packets that match it, and no others.
func (l *line) exact() bool { return len(l.unknown)+len(l.open) == 0 }

// settled says so of packets whose whole way is known.
func (l *line) settled() bool { return len(l.unknown) == 0 }

// narrows says whether a rule that is not exact has none but packets of its boxes: of what other rules write to a packet that is not sure.
func (l *line) narrows() bool {
	return len(l.open) == 0 && !slices.ContainsFunc(l.unknown, func(what string) bool { return !slices.Contains(l.needs, what) })
}

// arm are packets that a rule gives one verdict.
type arm struct {
	boxes []box
	// lowest and highest are destination ports, beyond which it has none: most rules are told by them not to have a packet.
	lowest, highest uint64
	verdict         verdict
	to              *chain
}

// verdict is what a rule does with a packet, for the rules after it.
type verdict int

const (
	goesOn verdict = iota
	accepts
	drops
	returns
	jumps
	goes
)

func (v verdict) ends() bool { return v == accepts || v == drops }

// arm is the one that has a packet.
func (l *line) arm(p *point) *arm {
	for i := range l.arms {
		if l.arms[i].has(p) != nil {
			return &l.arms[i]
		}
	}
	return nil
}

func (a *arm) has(p *point) *box {
	if port := p[fieldDport].lo; port < a.lowest || port > a.highest {
		return nil
	}
	for i := range a.boxes {
		if a.boxes[i].has(p) {
			return &a.boxes[i]
		}
	}
	return nil
}

// armOf is one, with what is quickly seen of it.
func armOf(boxes []box, v verdict, to *chain) arm {
	a := arm{boxes: boxes, verdict: v, to: to, lowest: math.MaxUint64}
	for i := range boxes {
		ports := boxes[i][fieldDport]
		if len(ports) == 0 {
			a.lowest, a.highest = 0, math.MaxUint64
			break
		}
		a.lowest, a.highest = min(a.lowest, ports[0].first.lo), max(a.highest, ports[len(ports)-1].last.lo)
	}
	return a
}

// line is a rule of the chain; nil where it has none, and for no rule.
func (c *chain) line(rule *inspect.Rule) *line {
	for _, l := range c.lines {
		if l.rule == rule {
			return l
		}
	}
	return nil
}

// newModel compiles a ruleset for a family. Tracked says that packets have states though no rule asks for one.
func newModel(set *inspect.Ruleset, state *inspect.State, v6, tracked bool) *model {
	m := &model{v6: v6, set: set, links: state.Links, chains: map[*inspect.Chain]*chain{}}
	m.domain = domainOf(state.Links, v6)
	m.effects = rules.EffectsOf(set)
	m.effects.Tracks = m.effects.Tracks || tracked
	m.kinds = kindsOf(state.Routes, v6)
	m.impossible = m.states()
	m.station()
	for _, table := range m.tables() {
		for _, c := range table.Chains {
			m.chains[c] = &chain{of: c, leads: map[*chain]bool{}, hands: map[*chain]bool{}, lasts: map[*chain]int{}}
		}
	}
	m.marks = m.marksOf()
	for _, table := range m.tables() {
		for _, c := range table.Chains {
			made := m.chains[c]
			for _, rule := range c.Rules {
				made.lines = append(made.lines, m.compile(made, rule))
			}
		}
	}
	for _, c := range m.chains {
		lead(c.leads, c, false)
		lead(c.hands, c, true)
	}
	return m
}

// lead notes all chains that one leads to; with hands those alone where some packet may come.
func lead(to map[*chain]bool, by *chain, hands bool) {
	for _, l := range by.lines {
		for _, a := range l.arms {
			if a.to != nil && !to[a.to] && (len(a.boxes) > 0 || !hands) {
				to[a.to] = true
				lead(to, a.to, hands)
			}
		}
	}
}

// tables are those that packets of the family meet.
func (m *model) tables() (tables []*inspect.Table) {
	own := "ip"
	if m.v6 {
		own = "ip6"
	}
	for _, t := range m.set.Tables {
		if !t.Dormant() && (t.Family == own || t.Family == "inet") {
			tables = append(tables, t)
		}
	}
	return tables
}

// ahead are the base chains that a packet meets at a hook before one, as it is there, where that is sure: at the
// same priority nothing is, nor where NAT may stand between the two.
func (m *model) ahead(of *chain) []*chain {
	if m.effects.Writes || m.effects.Translates && of.of.Hook != "forward" {
		return nil
	}
	return slices.DeleteFunc(m.hooked(of.of.Hook), func(c *chain) bool { return c.of.Priority >= of.of.Priority || c.of.Type == "nat" })
}

// bases are the base chains from which jumps lead to a chain, itself if it is one.
func (m *model) bases(c *chain) (bases []*chain) {
	for _, base := range m.from[c.of] {
		bases = append(bases, m.chains[base])
	}
	return bases
}

// tries says whether packets are tried at a base chain.
func (m *model) tries(c *inspect.Chain) bool { return slices.Contains(known, c.Hook) }

// known are the hooks at which packets are tried.
var known = []string{"prerouting", "input", "forward", "output", "postrouting"}

func domainOf(links []inspect.Link, v6 bool) (d box) {
	const byteMost, portMost, markMost = 0xff, 0xffff, 0xffffffff
	devices := set{{}} // none
	for _, l := range links {
		devices = append(devices, span{small(uint64(l.Index)), small(uint64(l.Index))})
	}
	all := numberOf(slices.Repeat([]byte{byteMost}, addrSize(v6)))
	for f := range d {
		switch field(f) {
		case fieldIn, fieldOut:
			d[f] = devices.tidy()
		case fieldSrc, fieldDst:
			d[f] = between(number{}, all)
		case fieldHead:
			d[f] = just(headWhole, headNone, headPorts)
		case fieldSport, fieldDport:
			d[f] = between(number{}, small(portMost))
		case fieldState:
			d[f] = just(stateInvalid, stateEstablished, stateRelated, stateNew, stateUntracked)
		case fieldMark:
			d[f] = between(number{}, small(markMost))
		case fieldStatus:
			d[f] = just(statuses...)
		default:
			d[f] = between(number{}, small(byteMost))
		}
	}
	return d
}

// The states of conntrack, as a rule asks for them (NF_CT_STATE_BIT).
const (
	stateInvalid     = 1
	stateEstablished = 2
	stateRelated     = 4
	stateNew         = 8
	stateUntracked   = 64
)
