package policy

// unsaid are the states of which nothing is said: new, and those that differ from it in no more than that rules of NAT are asked about
// new ones alone; nil where rules tell no states apart.
func unsaid(root *fork, terminals []terminal) set {
	if root.depth >= len(asked) || asked[root.depth] != fieldState {
		return nil
	}
	var begin *fork
	for _, e := range root.edges {
		if e.over.has(small(stateNew)) {
			begin = e.to
		}
	}
	made := none()
	known := map[[2]*fork]bool{}
	for _, e := range root.edges {
		if begin != nil && agree(begin, e.to, terminals, known) {
			made = made.or(e.over)
		}
	}
	return made
}

// agree says whether packets end alike, but for those that the first translates.
func agree(a, b *fork, terminals []terminal, known map[[2]*fork]bool) bool {
	if a == b {
		return true
	}
	if a.depth == len(asked) {
		if terminals[a.leaf].translates() {
			return true
		}
		if b.depth == len(asked) {
			return false
		}
	}
	key := [2]*fork{a, b}
	if made, is := known[key]; is {
		return made
	}
	made := true
	switch {
	case a.depth < b.depth:
		for _, e := range a.edges {
			made = made && agree(e.to, b, terminals, known)
		}
	case a.depth > b.depth:
		for _, e := range b.edges {
			made = made && agree(a, e.to, terminals, known)
		}
	default:
		for _, e := range a.edges {
			for _, o := range b.edges {
				if !e.over.and(o.over).isEmpty() {
					made = made && agree(e.to, o.to, terminals, known)
				}
			}
		}
	}
	known[key] = made
	return made
}
