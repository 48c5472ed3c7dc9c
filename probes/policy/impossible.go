package policy

// states are packets of no state that connection tracking gives such: nf_conntrack_proto_icmp.c and
// nf_conntrack_proto_icmpv6.c. Of what kernels differ about, each is held to be possible.
func (m *model) states() (none []box) {
	if !m.effects.Tracks {
		return nil
	}
	protocol, other, kinds := uint64(protoICMP), uint64(protoICMPv6), icmpStates
	if m.v6 {
		protocol, other, kinds = protoICMPv6, protoICMP, icmp6States
	}
	rest := m.domain[fieldType]
	but := func(states set) set { // all others
		if m.effects.Untracks {
			states = states.or(just(stateUntracked))
		}
		return m.domain[fieldState].without(states)
	}
	add := func(types, states set) {
		rest = rest.without(types)
		none = append(none, box{fieldProto: just(protocol), fieldType: types, fieldState: but(states)})
	}
	for _, k := range kinds {
		add(k.types, k.states)
	}
	add(rest, just(stateInvalid))
	none = append(none, box{fieldProto: just(other), fieldState: but(just(stateInvalid))}) // the other family's, which is not looked at
	if !m.effects.Untracks {
		none = append(none, box{fieldProto: m.domain[fieldProto].without(just(protocol)), fieldState: just(stateUntracked)})
	}
	return none
}

// states are what ICMP's types may be.
type states struct{ types, states set }

var (
	errorStates = just(stateInvalid, stateRelated)
	askStates   = just(stateInvalid, stateNew, stateEstablished, stateRelated)
	replyStates = just(stateInvalid, stateEstablished)

	icmpStates = []states{
		{just(3, 4, 5, 11, 12), errorStates},
		{just(8, 13, 15, 17), askStates},
		{just(0, 14, 16, 18), replyStates},
	}
	icmp6States = []states{
		{between(small(0), small(127)).or(just(137)), errorStates}, // redirects, since Linux 5.11
		{just(128, 139), askStates},
		{just(129, 140), replyStates},
		{just(130, 131, 132, 133, 134, 135, 136, 143), just(stateInvalid, stateUntracked)}, // neighbour discovery and MLD
	}
)

// cannot is what of the impossible a packet is; nil where it may be.
func (m *model) cannot(p *point) *box {
	for i := range m.impossible {
		if m.impossible[i].has(p) {
			return &m.impossible[i]
		}
	}
	return nil
}

// possible are the packets of boxes without the impossible ones.
func (m *model) possible(boxes []box) []box { return m.less(boxes, m.impossible) }

// less are the packets of boxes without those of others.
func (m *model) less(boxes, others []box) []box {
	for i := range others {
		var rest []box
		for _, b := range boxes {
			if !b.meets(&others[i]) {
				rest = append(rest, b)
				continue
			}
			rest = append(rest, b.without(&others[i], &m.domain)...)
		}
		boxes = rest
	}
	return boxes
}

// cutShort are packets that end before their upper header does, and of a state that connection tracking gives those alone
// that it has read (nf_ct_get_tuple, nf_conntrack_tcp_packet).
func (m *model) cutShort() []box {
	if !m.effects.Tracks {
		return nil
	}
	states := m.domain[fieldState].without(just(stateInvalid, stateUntracked))
	return []box{
		{fieldProto: withPorts.or(icmp), fieldHead: just(headNone), fieldState: states},
		{fieldProto: just(protoTCP, protoSCTP, protoDCCP), fieldHead: just(headPorts), fieldState: states},
	}
}
