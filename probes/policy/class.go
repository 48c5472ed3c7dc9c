package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// mostParts bounds into how many parts the packets of a class are told.
const mostParts = 1 << 11

// tell puts what was measured into flows.
func (m *measuring) tell() {
	for i := 0; i < len(m.halves); {
		first := m.halves[i]
		f := Flow{From: m.zones[first.from].name, To: m.zones[first.to].name}
		for ; i < len(m.halves) && m.halves[i].from == first.from && m.halves[i].to == first.to; i++ {
			m.tellHalf(&f, m.halves[i])
		}
		f.apart()
		m.policy.Flows = append(m.policy.Flows, f)
	}
}

// tellHalf adds the classes of one family to a flow.
func (m *measuring) tellHalf(f *Flow, h *half) {
	c := m.classify(h)
	if c.why != "" {
		m.note(h, c.why)
		return
	}
	t := &teller{world: h.world, hull: h.hull, never: h.never, unsaid: c.unsaid}
	for i, boxes := range c.boxes {
		switch to := &c.ends[i]; {
		case len(boxes) == 0:
		case i == c.rest:
			class := f.class(to, true)
			class.Parts = append(class.Parts, m.part(h, t, boxes, h.hull, "all else"))
		default:
			class := f.class(to, false)
			for _, b := range boxes {
				class.Parts = append(class.Parts, m.part(h, t, []box{b}, b, t.text(&b, to.translates())))
			}
		}
	}
}

// classes are the packets of a half by what becomes of them.
type classes struct {
	ends   []terminal
	boxes  [][]box // of each, those that there are
	rest   int     // which is told as all else
	unsaid set
	why    string // they cannot be told
	wrong  int    // so many shares were known to be
}

// classify finds them. It is asked again when the kernel has shown more.
func (m *measuring) classify(h *half) *classes {
	if h.found == nil || h.found.wrong != len(h.wrong) {
		h.found = m.classesOf(h)
	}
	return h.found
}

func (m *measuring) classesOf(h *half) *classes {
	ends, d, root := m.diagramOf(h)
	if d == nil {
		return &classes{why: "it is too much to be told in words", wrong: len(h.wrong)}
	}
	c := &classes{ends: ends, boxes: make([][]box, len(ends)), rest: m.rest(ends), unsaid: unsaid(root, ends), wrong: len(h.wrong)}
	for i := range ends {
		boxes, ok := d.boxesOf(d.only(root, i, map[*fork]*fork{}), h.hull, mostParts)
		if !ok && i != c.rest {
			c.why = fmt.Sprintf("what is %s: these are more than %d parts", ends[i].text(), mostParts)
			break
		}
		c.boxes[i] = slices.DeleteFunc(boxes, func(b box) bool { return len(h.less([]box{b}, h.never)) == 0 })
	}
	return c
}

// missing are samples for the parts of which no packet was shown.
func (m *measuring) missing(h *half) (all []*sample) {
	c := m.classify(h)
	for i, boxes := range c.boxes {
		for _, b := range boxes {
			if i == c.rest || slices.ContainsFunc(h.samples, func(t *sample) bool { return t.shown && b.has(&t.point) }) {
				continue
			}
			for at := range h.shares {
				if both, some := b.and(&h.shares[at].box); some {
					all = append(all, h.samplesOf(at, both)...)
				}
			}
		}
	}
	return all
}

// diagramOf tells the packets of a half apart by what becomes of them.
func (m *measuring) diagramOf(h *half) ([]terminal, *diagram, *fork) {
	var boxes []box
	for _, s := range h.shares {
		boxes = append(boxes, s.box)
	}
	var all []terminal
	known := map[string]int{}
	leaf := func(shares []int) int {
		t := m.terminalOf(h, shares)
		text := fmt.Sprint(t.ends, t.may, t.text())
		at, is := known[text]
		if !is {
			at = len(all)
			known[text], all = at, append(all, t)
		}
		all[at].like = union(all[at].like, t.ends...)
		return at
	}
	d, root := newDiagram(h.hull, boxes, leaf)
	return all, d, root
}

// terminalOf is what becomes of packets that are in some shares.
func (m *measuring) terminalOf(h *half, shares []int) (t terminal) {
	for _, i := range shares {
		s := &h.shares[i]
		if h.wrong[i] != nil {
			return terminal{wrong: h.wrong[i]}
		}
		t.ends, t.may = union(t.ends, s.end), union(t.may, s.may...)
	}
	if len(t.ends) == 1 {
		t.may = nil
	}
	slices.SortFunc(t.ends, func(a, b outcome) int { return cmp.Compare(m.place(a.by), m.place(b.by)) })
	return t
}

// union are some, and others that are not among them.
func union[T comparable](some []T, others ...T) []T {
	for _, o := range others {
		if !slices.Contains(some, o) {
			some = append(some, o)
		}
	}
	return some
}

// place is where an entry stands among all; who is not there is last.
func (m *measuring) place(e *entry) int {
	if at := slices.Index(m.entries, e); at >= 0 {
		return at
	}
	return len(m.entries)
}

// rest is the terminal that is told as all else: that of a policy where packets are filtered, or else of the last rule.
func (m *measuring) rest(all []terminal) int {
	best, most := 0, [4]int{-1}
	for i, t := range all {
		if ending := t.ending(); ending == Unsure || ending == Unknown || t.translates() {
			continue
		}
		for _, o := range t.ends {
			if now := m.general(&t, o.by); slices.Compare(now[:], most[:]) > 0 {
				best, most = i, now
			}
		}
	}
	return best
}

// general is how far a terminal's end is the one of what no rule is about: a policy's, where packets are filtered, the last one's,
// and by nobody else.
func (m *measuring) general(t *terminal, by *entry) (how [4]int) {
	how = [4]int{0, 0, m.place(by), -len(t.ends)}
	if by != nil && by.of == nil {
		how[0] = 1
		if slices.Contains(filtering, by.chain.Hook) {
			how[1] = 1
		}
	}
	return how
}

// class is the flow's of an ending, which it may have of the other family already.
func (f *Flow) class(t *terminal, rest bool) *Class {
	text := t.text()
	at := slices.IndexFunc(f.Classes, func(c Class) bool { return c.Text == text && c.Rest == rest })
	if at < 0 {
		at = len(f.Classes)
		f.Classes = append(f.Classes, Class{Ending: t.ending(), Text: text, Why: t.why(), Rest: rest})
	}
	c := &f.Classes[at]
	for _, o := range t.like {
		if o.by != nil {
			c.By = union(c.By, o.by.rule.where())
		}
		for _, e := range o.nat {
			if e != nil {
				c.Translated = union(c.Translated, e.rule.where())
			}
		}
	}
	return c
}

// part is one of a class: some boxes, which are told as one.
func (m *measuring) part(h *half, t *teller, boxes []box, whole box, text string) Part {
	p := Part{IPv6: h.v6, Text: text, Conditions: t.conditions(&whole)}
	best := -1
	for _, b := range boxes {
		for _, tried := range h.samples {
			switch {
			case tried.shown && b.has(&tried.point):
				if now := m.plain(tried); now > best {
					best, p.Witness = now, tried.sent
				}
			case tried.why != "" && h.shares[tried.share].box.meets(&b):
				p.Untried = tried.why
			}
		}
	}
	switch {
	case best >= 0:
		p.Untried = ""
	case p.Untried == "":
		p.Untried = "no packet of it was found"
	}
	return p
}

// plain is how much a packet is like those that people send, and begin with.
func (m *measuring) plain(t *sample) int {
	const begins, carries = 20, 10
	n := m.plainness(t.sent[len(t.sent)-1])
	if t.state == stateNew {
		n += begins
	}
	if hasPorts(t.sent[0].Protocol) && !t.sent[0].Short {
		n += carries
	}
	return n
}

// apart says of parts of which family they are, where the words do not, and the other family has no such.
func (f *Flow) apart() {
	families := map[bool]int{}
	lines := map[string]map[bool]bool{}
	for _, c := range f.Classes {
		for _, p := range c.Parts {
			families[p.IPv6]++
		}
	}
	for _, c := range f.Classes {
		nothingElse := c.Rest && !slices.ContainsFunc(c.Parts, func(p Part) bool { return families[p.IPv6] > 1 })
		for i := range c.Parts {
			p := &c.Parts[i]
			if nothingElse {
				p.Text = "all"
			}
			line := p.line(&c)
			if lines[line] == nil {
				lines[line] = map[bool]bool{}
			}
			lines[line][p.IPv6] = true
		}
	}
	for i := range f.Classes {
		c := &f.Classes[i]
		for j := range c.Parts {
			p := &c.Parts[j]
			if len(families) > 1 && len(lines[p.line(c)]) == 1 && !p.tellsFamily() {
				p.Text += " in " + familyWord(p.IPv6)
			}
		}
	}
}

// tellsFamily says whether a part is about addresses, or a protocol that one family alone has.
func (p *Part) tellsFamily() bool {
	words := strings.Fields(p.Text)
	own := map[bool]string{false: "icmp", true: "icmpv6"}[p.IPv6]
	return slices.Contains(words, own) || slices.Contains(words, "to") || strings.Contains(p.Text, "from ") && !strings.Contains(p.Text, "from port ")
}
