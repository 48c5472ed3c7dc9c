package account

// Stop is a packet at a station of its way: a node, or a bridge in one.
type Stop struct {
	Node string
	// Bridge is true of a bridge.
	Bridge bool
	// In are the interfaces that it came in by, from the wire up, and Out those that it left
	// by, from the stack down; none of what the node itself sent, and of what stayed.
	In, Out []Link
	// Came and Left are the packet as it came, or was sent, and as it left; of what stayed
	// as it was at the end.
	Came, Left Header
	// Records are what rules tell of it, by their place in Input.Records.
	Records []int
	// Gap is true where it was lost from sight before it was seen there.
	Gap bool
	// Mirrored is true where it left as it had come: it may be a mirror's copy, and the packet
	// itself be there still.
	Mirrored bool
}

// stop is what is told of a visit's packet that became a branch.
func (b *book) stop(v *visit, br branch) Stop {
	s := Stop{Node: v.at.node, Bridge: v.at.bridge != 0, Came: v.head, Left: v.head, Gap: v.up != nil, Mirrored: br.mirrored}
	for _, in := range v.ins {
		s.In = append(s.In, b.link(s.Node, in.Index))
	}
	if len(s.In) == 0 && v.in != 0 { // no tap saw it come
		s.In = []Link{b.link(s.Node, v.in)}
	}
	if br.of != nil {
		for _, r := range br.of.records {
			s.Records = append(s.Records, b.placesOf(r)...)
		}
		s.Left = br.of.out().After
	}
	if br.exit != nil {
		s.Left = br.exit.first().Header
		for _, out := range br.exit.seen {
			s.Out = append(s.Out, b.link(s.Node, out.Index))
		}
	}
	return s
}

// placesOf are a record's in the input: of several, where it was joined from them.
func (b *book) placesOf(r *Record) []int {
	if r.of != nil {
		return r.of
	}
	for i := range b.Records {
		if &b.Records[i] == r {
			return []int{i}
		}
	}
	return nil
}

// Sent are the packets of a role themselves, without copies: those that arrived where they were
// to go, or where a request was answered in the target's place; where none did, the one of them
// that came nearest. Copied is true where a copy did, and none of them.
func (a Account) Sent(role Role) (own []Packet, copied bool) {
	arrived := func(p Packet) bool {
		return p.End.Kind == Delivered && (a.in.isGoal(role, p.End.Node) || role == Request && a.made(Answer, p.End.Node))
	}
	var others []Packet
	for _, p := range a.of(role) {
		switch {
		case p.Copy:
			copied = copied || arrived(p)
		case arrived(p):
			own = append(own, p)
		default:
			others = append(others, p)
		}
	}
	if len(own) > 0 || len(others) == 0 {
		return own, copied && len(own) == 0
	}
	b := &book{Input: &a.in, role: role}
	return []Packet{others[nearest(others, func(p Packet) int { return b.rank(p.End) })]}, copied
}

// SeenInto is what was known of a node.
func (a Account) SeenInto(node string) Node { return a.in.Nodes[node] }
