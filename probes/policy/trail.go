package policy

import "slices"

// trail are packets on their way through the node's rules, as the model has it: a box of them, as they came, that have met the same so far.
type trail struct {
	box   box
	way   []leg    // that are left; the first is where they are
	bases []*chain // that are left there
	base  *chain   // where they are
	deep  stack
	over  [fields]override
	end   outcome
	may   []*line // that are not modelled, and might have led them another way
}

// leg is a hook on the way. In and out are the interfaces there, where they are not those that the packets' boxes have;
// more is by how much the TTL is more there.
type leg struct {
	hook    string
	in, out *number
	anyIn   bool // it is not known which
	more    uint64
}

// override is what became of a field on the way: a value, or one that is not known.
type override struct {
	is, unknown bool
	value       number
}

// wayOf are the hooks of a flow's packets. What the node sends to itself comes in again.
func (w *world) wayOf(from, to zone) []leg {
	none, own := number{}, small(lo)
	switch {
	case from.own && to.own:
		return []leg{{hook: "output", in: &none, out: &own}, {hook: "postrouting", in: &none, out: &own}, {hook: "prerouting"}, {hook: "input"}}
	case from.own:
		return []leg{{hook: "output"}, {hook: "postrouting"}}
	case to.own:
		return append(w.atVRF(from, 0), leg{hook: "prerouting"}, leg{hook: "input"})
	}
	return append(w.atVRF(from, 1), leg{hook: "prerouting", out: &none, more: 1}, leg{hook: "forward"}, leg{hook: "postrouting"})
}

// atVRF is where packets are first that come in by a VRF: at one of its ports.
func (w *world) atVRF(from zone, more uint64) []leg {
	if !w.isVRF(from.index) {
		return nil
	}
	none, first := number{}, leg{hook: "prerouting", anyIn: true, more: more}
	first.out = &none
	if ports := w.portsOf(from.index); len(ports) == 1 {
		port := small(uint64(ports[0]))
		first.in, first.anyIn = &port, false
	}
	return []leg{first}
}

// share are packets that have met the same: this is what becomes of them, if the rules that may have led them another way have not.
type share struct {
	box box
	end outcome
	may []*line
}

// mostShares bounds into how many shares the packets from one zone to another are divided, in one family.
const mostShares = 1 << 12

// walking follows all packets of a flow.
type walking struct {
	*world
	hull   box
	of     map[place]*entry
	nat    map[string]bool // the hooks at which a rule translates
	todo   []trail
	shares []share
}

// divideAll follows a box of packets to their ends; false where that is too much.
func (w *world) divideAll(b box, way []leg, of map[place]*entry) ([]share, bool) {
	walk := &walking{world: w, hull: b, of: of, nat: w.translating()}
	for _, t := range walk.begin(trail{box: b, way: way}) {
		walk.enter(t)
	}
	for len(walk.todo) > 0 {
		if len(walk.shares)+len(walk.todo) > mostShares {
			return walk.shares, false
		}
		top := len(walk.todo) - 1
		t := walk.todo[top]
		walk.todo = walk.todo[:top]
		walk.step(t)
	}
	return walk.shares, true
}

// enter brings packets to the hook that is next on their way, or to their end.
func (w *walking) enter(t trail) {
	if len(t.way) == 0 {
		w.shares = append(w.shares, share{t.box, t.end, t.may})
		return
	}
	at := t.way[0]
	t.over[fieldIn] = override{unknown: at.anyIn}
	if at.in != nil {
		t.over[fieldIn] = override{is: true, value: *at.in}
	}
	switch {
	case at.out != nil:
		t.over[fieldOut] = override{is: true, value: *at.out}
	case !t.over[fieldOut].unknown:
		t.over[fieldOut] = override{}
	}
	t.bases = w.hooked(at.hook)
	if connected, some := w.connections(t); some {
		w.next(connected)
		if t, some = t.ofState(stateInvalid, stateNew, stateUntracked); !some {
			return
		}
	}
	w.next(t)
}

// next brings packets to the base chain that is next at their hook.
func (w *walking) next(t trail) {
	if len(t.bases) == 0 {
		if !t.box[fieldState].has(small(stateNew)) && t.way[0].hook == "prerouting" {
			t.over[fieldDst], t.over[fieldDport] = override{}, override{} // they are told as they are from there on
		}
		t.way = t.way[1:]
		w.enter(t)
		return
	}
	const last = 100 // NF_IP_PRI_NAT_SRC: behind it, it is not known from whom packets of a connection are
	base := t.bases[0]
	if ends := base.of.Hook == "postrouting" || base.of.Hook == "input"; ends && base.of.Priority > last && len(w.nat) > 0 {
		t.over[fieldSrc], t.over[fieldSport] = override{unknown: true}, override{unknown: true}
	}
	w.into(t, base)
}

// into brings packets to a base chain.
func (w *walking) into(t trail, base *chain) {
	t.bases = t.bases[1:]
	if base.of.Type == "nat" {
		w.translate(t, base)
		return
	}
	w.todo = append(w.todo, t.begin(base))
}

// begin is a trail at the beginning of a base chain.
func (t trail) begin(base *chain) trail {
	t.base, t.deep = base, stack{{base, 0}}
	return t
}

// step takes packets to the next rule that some of them match, or to their chain's end.
func (w *walking) step(t trail) {
	for l := t.deep.next(); l != nil; l = t.deep.next() {
		if w.pass(t, l) {
			return
		}
	}
	base := t.base.of
	by := w.of[placeOf(base, nil)]
	if base.Drops {
		w.dropped(t, by)
		return
	}
	t.end.let(base, by, 0)
	w.next(t)
}

// pass takes packets past a rule; false where it has none of them.
func (w *walking) pass(t trail, l *line) bool {
	type part struct {
		box box
		may bool
	}
	left := []part{{t.box, false}}
	met := false
	for i := range l.arms {
		a := &l.arms[i]
		if a.verdict == goesOn && l.marks == nil {
			continue
		}
		for j := range a.boxes {
			seen, some, sure := t.seen(&a.boxes[j])
			if !some {
				continue
			}
			sure = sure && l.settled()
			var rest []part
			for _, p := range left {
				both, some := p.box.and(&seen)
				if !some {
					rest = append(rest, p)
					continue
				}
				met = true
				w.follow(t, both, l, a, !sure || p.may)
				for _, b := range p.box.without(&seen, &w.hull) {
					rest = append(rest, part{b, p.may})
				}
				if !sure {
					rest = append(rest, part{both, true})
				}
			}
			left = rest
		}
	}
	if !met {
		return false
	}
	for _, p := range left {
		w.todo = append(w.todo, t.with(p.box, l, p.may))
	}
	return true
}

// with is the trail of some of the packets; may says that a rule might have led them another way.
func (t trail) with(b box, l *line, may bool) trail {
	t.box, t.deep = b, slices.Clone(t.deep)
	if may && !slices.Contains(t.may, l) {
		t.may = append(slices.Clone(t.may), l)
	}
	return t
}

// follow takes packets where a rule that matches them leads.
func (w *walking) follow(t trail, b box, l *line, a *arm, may bool) {
	t = t.with(b, l, may).marked(l)
	base := t.base
	by := w.of[placeOf(l.in.of, l.rule)]
	switch {
	case a.verdict == drops:
		w.dropped(t, by)
	case a.verdict == accepts && base.of.Type == "nat":
		w.translated(t, l, by)
	case a.verdict == accepts:
		t.end.let(base.of, by, 1)
		w.next(t)
	default:
		t.deep.follow(a)
		w.todo = append(w.todo, t)
	}
}

// dropped ends the packets' way.
func (w *walking) dropped(t trail, by *entry) {
	w.shares = append(w.shares, share{t.box, outcome{drops: true, by: by, nat: t.end.nat}, t.may})
}

// seen are a rule's packets as they came: false where there are none. Sure says that it has all of those.
func (t *trail) seen(h *box) (back box, some, sure bool) {
	back, sure = *h, true
	for f := range back {
		if back[f] == nil {
			continue
		}
		switch o := t.over[f]; {
		case o.unknown:
			back[f], sure = nil, false
		case o.is && !back[f].has(o.value):
			return back, false, false
		case o.is:
			back[f] = nil
		case field(f) == fieldTTL && t.way[0].more > 0:
			back[f] = back[f].less(t.way[0].more)
			if back[f].isEmpty() {
				return back, false, false
			}
		}
	}
	return back, true, sure
}

// less are small numbers, each by so much less.
func (s set) less(by uint64) set {
	made := none()
	for _, x := range s {
		if x.last.lo >= by {
			made = append(made, span{small(x.first.lo - min(by, x.first.lo)), small(x.last.lo - by)})
		}
	}
	return made
}
