package account

import "slices"

// flooded says whether a packet came in only where it was not for.
func (e *exit) flooded() bool { return len(e.to) > 0 && !e.arrived() }

// nearest is the index of what came nearest to where it was to go, the first of equals.
func nearest[T any](all []T, reach func(T) int) (first int) {
	most := reach(all[0])
	for i, t := range all {
		if n := reach(t); n > most {
			first, most = i, n
		}
	}
	return first
}

// never is the reach of what came to nobody whom it was for.
const never = offWay - 1

// reachOf is how far what became of a packet came on its way: see rank.
func (b *book) reachOf(br branch) int {
	switch {
	case br.exit != nil:
		return b.reachExit(br.exit)
	case br.gap != nil:
		return b.reachVisit(br.gap)
	}
	return b.rank(br.end)
}

func (b *book) reachExit(e *exit) int {
	if n, known := b.reach[e]; known {
		return n
	}
	n := never
	switch {
	case e.gap != nil:
		n = b.reachVisit(e.gap)
	case e.flooded():
	case len(e.to) == 0:
		n = b.rank(End{Kind: OnTheLink, Node: e.at.node})
	}
	for _, v := range e.to {
		if !v.stray() {
			n = max(n, b.reachVisit(v))
		}
	}
	if b.reach == nil {
		b.reach = map[*exit]int{}
	}
	b.reach[e] = n
	return n
}

func (b *book) reachVisit(v *visit) int {
	n := never
	for _, l := range v.lines {
		n = max(n, b.reachOf(b.lineBranch(v, l)))
	}
	for _, e := range v.exits {
		n = max(n, b.reachExit(e))
	}
	if len(v.lines) == 0 && (len(v.exits) == 0 || b.keeps(v)) {
		n = max(n, b.reachOf(branch{end: b.cameAndStayed(v), gap: v.gap}))
	}
	return n
}

// choose puts first what a bridge made of a packet for the host that it was for: of a
// flood any may be called the packet itself.
func (b *book) choose(all []branch) {
	first := nearest(all, b.reachOf)
	all[0], all[first] = all[first], all[0]
	for i := range all {
		all[i].copy = i > 0
	}
}

// likeliest is the exit by which the packet itself left, of several: as the kernel
// hands packets on, and of these the one that came nearest.
func (b *book) likeliest(v *visit, exits []*exit) int {
	return nearest(exits, func(e *exit) int {
		n := b.reachExit(e)
		if v.at.bridge == 0 && v.forwards(e) {
			n += (len(b.Way) + 2) * stages
		}
		return n
	})
}

// others are the exits but one.
func others(exits []*exit, at int) []*exit {
	return slices.Delete(slices.Clone(exits), at, at+1)
}
