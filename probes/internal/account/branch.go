package account

import "slices"

// branches are what became of a packet at a station, the packet itself first.
func (b *book) branches(v *visit) (all []branch) {
	exits := v.exits
	take := func() branch { // the packet itself went by one that no record tells of
		at := b.likeliest(v, exits)
		e := exits[at]
		exits = others(exits, at)
		return b.relay(v, e)
	}
	var main *line
	if len(v.lines) > 0 && !v.lines[0].clone {
		main = v.lines[0]
	}
	switch {
	case main == nil && len(exits) > 0 && !b.keeps(v):
		all = append(all, take())
	case main == nil:
		all = append(all, branch{end: b.cameAndStayed(v), gap: v.gap})
	case len(exits) > 0 && main.escaped():
		all = append(all, take())
		all[0].of = main
	default:
		all = append(all, b.lineBranch(v, main))
	}
	for _, l := range v.lines {
		if l != main {
			br := b.lineBranch(v, l)
			br.copy = true
			all = append(all, br)
		}
	}
	for _, e := range exits {
		all = append(all, branch{exit: e, copy: true})
	}
	if v.at.bridge != 0 {
		b.choose(all)
	}
	return all
}

// relay is what left a node without a record of how.
func (b *book) relay(v *visit, e *exit) branch {
	br := branch{exit: e}
	if v.at.bridge == 0 && !v.own() && !v.forwards(e) {
		br.relayed = v.at.node
		br.mirrored = len(v.lines) == 0 && compatible(v.head, e.first().Header) && !v.routes(e)
	}
	return br
}

// keeps says whether what came to the node where it was to go was let in there,
// though something left as well: a mirror's, or to others of a group.
func (b *book) keeps(v *visit) bool {
	if !b.atGoal(v.at) || v.own() || v.foreign() {
		return false
	}
	if b.Nodes[v.at.node].Opaque != "" || group(v.head) {
		return true
	}
	return !slices.ContainsFunc(v.exits, v.forwards)
}

// group says whether a packet is for more than one.
func group(h Header) bool {
	to := h.Destination.Addr()
	return to.IsMulticast() || to.Is4() && to.As4() == [4]byte{255, 255, 255, 255}
}

// lineBranch is what became of a packet in the rules' hands.
func (b *book) lineBranch(v *visit, l *line) branch {
	switch {
	case l.exit != nil:
		return branch{exit: l.exit, of: l}
	case l.gap != nil:
		return branch{gap: l.gap, of: l}
	}
	end := b.endAt(v)
	end.Hook, end.Layer = l.lastHook()
	end.Header = l.out().After
	stop := l.stop()
	switch {
	case stop != nil && stop.Drop != nil:
		end.Kind, end.Seen, end.Rule, end.Header = Dropped, true, stop.Drop, stop.After
	case stop != nil:
		end.Kind, end.Took, end.Rule = Taken, stop.Took, stop.By
	case v.stray():
		end.Kind, end.Seen = Strayed, true
	case l.left():
		out := b.link(v.at.node, l.out().Out)
		end.Kind, end.Interface, end.Index = Waiting, out.Name, out.Index
	case l.came(IP, InputHook):
		end.Kind, end.Seen = Delivered, true
	case v.head.Piece.is() && b.atGoal(v.at): // it waits there for the others
		end.Kind, end.Seen = Delivered, false
	case !b.reads(v, l):
		return branch{end: b.cameAndStayed(v), gap: v.gap, of: l}
	}
	return branch{end: end, of: l}
}

// reads says whether a line tells that a packet did not come to the input rules.
func (b *book) reads(v *visit, l *line) bool {
	return !b.atGoal(v.at) || b.Nodes[v.at.node].Traced &&
		slices.ContainsFunc(l.records, func(r *Record) bool { return r.Layer == IP && r.ID != 0 })
}

// lastHook is the last hook that a line came to.
func (l *line) lastHook() (Hook, Layer) {
	for _, r := range slices.Backward(l.records) {
		if len(r.Hooks) > 0 {
			return r.Hooks[len(r.Hooks)-1], r.Layer
		}
	}
	return 0, IP
}

// endAt is an end at a station, of the kind Died.
func (b *book) endAt(v *visit) End {
	at := b.link(v.at.node, v.in)
	return End{Kind: Died, Node: v.at.node, Interface: at.Name, Index: v.in, In: v.in, Bridge: v.at.bridge != 0, Header: v.head}
}

// cameAndStayed is the end of a packet that came in somewhere, of which nothing
// else is known.
func (b *book) cameAndStayed(v *visit) End {
	end := b.endAt(v)
	switch {
	case v.stray():
		end.Kind, end.Seen = Strayed, true
	case b.atGoal(v.at):
		end.Kind = Delivered
	}
	return end
}
