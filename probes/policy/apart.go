package policy

import (
	"slices"

	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/rules"
)

// detour is a packet's way through a base chain without a rule, as the model has it.
type detour struct {
	goal
	// taken is what of the rule has the packet, where it comes to the rule; else nil.
	taken *arm
	// drops and acts are what becomes of it without the rule, ended how much was done when it came to the rule.
	drops bool
	acts  []string
	done  int
	// matched are rules that led it where it is, or would have it go there after the rule; passed would have led it another way.
	matched []hit
	passed  []*arm
	// may are rules after the one that is gone which may have it, though that is not known.
	may    []*line
	unsure bool
}

// around follows a packet through a goal's base chain as if the goal's rule were not there.
func around(p *point, g goal) *detour { return (&detour{goal: g}).follow(p, true) }

// follow goes a packet's way; gone says that the goal's rule is not there.
func (d *detour) follow(p *point, gone bool) *detour {
	deep := stack{{d.base, 0}}
	for l := deep.next(); l != nil; l = deep.next() {
		if l == d.line {
			if a := l.arm(p); a != nil && d.taken == nil {
				d.taken, d.done = a, len(d.acts)
			}
			if gone {
				continue
			}
		}
		a, box := d.meet(l, p)
		if a == nil {
			continue
		}
		d.unsure = d.unsure || d.taken != nil && l.keeps
		switch {
		case a.verdict == goesOn && l.acts == "":
			continue
		case !l.exact():
			if d.doubts(l, a) {
				deep.follow(a)
			}
			continue
		}
		d.matched = append(d.matched, hit{line: l, box: box, arm: a})
		if l.acts != "" {
			d.acts = append(d.acts, l.acts)
		}
		if a.verdict.ends() {
			d.drops = a.verdict == drops
			return d
		}
		deep.follow(a)
	}
	d.drops = d.base.of.Drops
	return d
}

// meet is what of a rule has a packet; what has not, and would lead it to another verdict, is noted.
func (d *detour) meet(l *line, p *point) (*arm, *box) {
	for i := range l.arms {
		a := &l.arms[i]
		if box := a.has(p); box != nil {
			return a, box
		}
		switch {
		case a.verdict == goesOn && l.acts == "":
		case d.taken == nil && a.verdict.ends(): // then it would not come to the rule
		case d.alike(l, a):
		default:
			d.passed = append(d.passed, a)
		}
	}
	return nil, nil
}

// alike says whether a rule after the one that is gone ends a packet's way as that does.
func (d *detour) alike(l *line, a *arm) bool {
	return d.taken != nil && a.verdict.ends() && a.verdict == d.taken.verdict && l.acts == d.line.acts && len(d.acts) == d.done
}

// doubts notes a rule of which it is not known whether it has the packet, and says whether to go where it leads.
func (d *detour) doubts(l *line, a *arm) (leads bool) {
	if d.taken == nil {
		leads = a.to != nil && (a.to == d.chain() || a.to.leads[d.chain()])
		d.unsure = d.unsure || leads
		return leads
	}
	d.may = append(d.may, l)
	d.unsure = d.unsure || !d.alike(l, a)
	return false
}

// differs says whether the packet meets another verdict where the rule is.
func (d *detour) differs(p *point) bool {
	switch {
	case d.taken == nil:
		return false
	case d.taken.verdict.ends():
		acts := d.acts[:d.done:d.done]
		if d.line.acts != "" {
			acts = append(acts, d.line.acts)
		}
		return d.drops != (d.taken.verdict == drops) || !slices.Equal(d.acts, acts)
	}
	with := (&detour{goal: d.goal}).follow(p, false)
	d.unsure = d.unsure || with.unsure
	d.matched, d.passed, d.may = append(d.matched, with.matched...), append(d.passed, with.passed...), append(d.may, with.may...)
	return d.drops != with.drops || !slices.Equal(d.acts, with.acts)
}

// apart looks for packets that the goal's rule decides, and that meet another verdict without it: at most so many, among so many. It shows each
// packet that it looks at; all says that it saw one of each kind.
func (s *search) apart(most, tries int, see func(b *box, p point, d *detour, differs bool)) (all bool) {
	all = true
	for {
		b, p, some := s.draw(tries)
		if !some {
			return all && len(s.open) == 0
		}
		d := around(&p, s.goal)
		differs := d.differs(&p)
		all = all && !d.unsure
		see(&b, p, d, differs)
		if differs {
			if most--; most == 0 {
				return false
			}
		}
		s.divideBy(b, d)
	}
}

// divideBy puts back what may go another way than a packet whose way is known.
func (s *search) divideBy(b box, d *detour) {
	for _, h := range d.matched {
		var some bool
		if b, some = s.part(b, h.box); !some {
			return
		}
	}
	for _, a := range d.passed {
		s.meeting(b, a.boxes)
	}
}

// keeps says whether an expression of a rule remembers packets that come to it.
func keeps(r *inspect.Rule) bool {
	return slices.ContainsFunc(r.Exprs, func(x any) bool {
		if opaque, is := x.(*inspect.Opaque); is && !rules.Idle(opaque.Name) {
			return true
		}
		kind := rules.MemoryOf(r, x).Kind
		return kind != 0 && kind != rules.Users
	})
}

// logs says whether a rule tells of its packets, besides a verdict.
func logs(r *inspect.Rule) bool {
	return unseen(r) != "" || slices.ContainsFunc(r.Exprs, func(x any) bool {
		switch x := x.(type) {
		case *expr.Log, *expr.Objref, *inspect.ObjectMap:
			return true
		case *inspect.Opaque:
			return x.Name == "log"
		case *expr.Target:
			return slices.Contains([]string{"LOG", "NFLOG"}, x.Name)
		}
		return false
	})
}
