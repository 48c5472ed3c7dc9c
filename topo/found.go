package topo

// Found is the plan of a network that somebody else made, from what was read of it:
// Owners, Nearest and Way answer about it as they do about a declared one. It is not
// validated, since a network that exists may have every mistake. A port on a segment
// that is not among the segments is an error of the caller's, and is on none.
func Found(name string, segments []SegmentPlan, nodes []NodePlan) *Plan {
	p := &Plan{Name: name, Segments: segments, Nodes: nodes}
	for i := range nodes {
		nodes[i].portDevices()
	}
	p.index = newIndex(p, nil)
	return p
}
