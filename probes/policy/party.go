package policy

import (
	"maps"
	"slices"

	"github.com/nstest/nstest/harness/inspect"
)

// touched are the rules that a packet meets, or may meet, in a base chain without one.
func (c *cover) touched(d *detour) map[*entry]bool {
	made := map[*entry]bool{}
	for _, h := range d.matched {
		made[c.entryOf(h.line)] = true
	}
	for _, l := range d.may {
		made[c.entryOf(l)] = true
	}
	return made
}

// entryOf is that of a rule of the model.
func (c *cover) entryOf(l *line) *entry { return c.byPlace[placeOf(l.rule.Chain, l.rule)] }

// touchLater notes what may have the packets in chains that come after the rule's, whatever became of them before.
func (c *cover) touchLater(t *trial) {
	w := c.worldOf(&t.packets[0])
	for _, base := range basesOf(c.set) {
		in := w.chains[base]
		if in == nil || slices.ContainsFunc(w.from[t.entry.chain], func(own *inspect.Chain) bool { return own == base }) {
			continue
		}
		for _, reached := range append(chainsOf(in), in) {
			for _, l := range reached.lines {
				if e := c.entryOf(l); e != t.entry && l.mayHave(&t.packets[len(t.packets)-1].at, w.effects.Translates) {
					t.touches[e] = true
				}
			}
		}
	}
}

// mayHave says whether a rule may have a packet at another hook, where its interfaces, state and mark may be others, and its ends
// where NAT is.
func (l *line) mayHave(p *point, translated bool) bool {
	for i := range l.arms {
		for j := range l.arms[i].boxes {
			b := l.arms[i].boxes[j]
			for f := range b {
				switch field(f) {
				case fieldIn, fieldOut, fieldState, fieldMark, fieldTTL, fieldStatus:
					b[f] = nil
				case fieldSrc, fieldDst, fieldSport, fieldDport:
					if translated {
						b[f] = nil
					}
				}
			}
			if b.has(p) {
				return true
			}
		}
	}
	return false
}

// party are trials whose rules can be deleted together: none has packets of another.
type party struct {
	trials  []*trial
	gone    map[*entry]bool
	touched map[*entry]bool
}

func grouped(trials []*trial) (groups []*party) {
	slices.SortStableFunc(trials, func(a, b *trial) int { // what may be redundant first
		switch {
		case a.alike == b.alike:
			return 0
		case a.alike:
			return -1
		}
		return 1
	})
	for _, t := range trials {
		at := slices.IndexFunc(groups, func(g *party) bool { return g.fits(t) })
		if at < 0 && len(groups) == mostGroups {
			continue
		}
		if at < 0 {
			at = len(groups)
			groups = append(groups, &party{gone: map[*entry]bool{}, touched: map[*entry]bool{}})
		}
		g := groups[at]
		g.trials, g.gone[t.entry] = append(g.trials, t), true
		maps.Copy(g.touched, t.touches)
	}
	return groups
}

func (g *party) fits(t *trial) bool {
	if g.touched[t.entry] {
		return false
	}
	for e := range t.touches {
		if g.gone[e] {
			return false
		}
	}
	return true
}
