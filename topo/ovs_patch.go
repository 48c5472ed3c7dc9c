package topo

import (
	"fmt"
	"io"
	"slices"
)

// PatchPlan is a patch port of an Open vSwitch: what leaves by it comes in at another's.
type PatchPlan struct {
	Name string // as its switch and flows call it; no other port of the lab is called so
	To   string // the other segment
	Peer string // the patch port there
}

// Patch joins an Open vSwitch to others, to each by a pair of patch ports (ovs-vswitchd.conf.db(5)),
// as br-int is to br-ex. The segments are one broadcast domain then, with the prefixes of all, as far
// as flows hand frames on. Patch ports carry all VLANs; what has no VLAN is in VLAN 1 where others
// have some. Flows call a patch port by both segments: that of br-int to br-ex is br-int-br-ex, cut
// to the 15 bytes that a port's name has; SegmentPlan.Patches has it.
//
//	outside := office.OVS("br-ex")
//	lan := office.OVS("br-int", "10.0.1.0/24").Patch(outside)
//	lan.Flow("priority=10,tcp,in_port=br-int-br-ex,tp_dst=22,actions=drop")
func (s *Segment) Patch(others ...*Segment) *Segment {
	if s != nil {
		s.patches = append(s.patches, others...)
	}
	return s
}

// Patched are the segments that patch ports make one with a segment, by name, itself included, in
// order of declaration: it alone without any, and none where there is no such segment.
func (p *Plan) Patched(segment string) (joined []*SegmentPlan) {
	alone, has := p.Segment(segment)
	switch {
	case !has:
		return nil
	case len(alone.Patches) == 0:
		return []*SegmentPlan{alone}
	}
	names := []string{segment}
	for i := 0; i < len(names); i++ {
		s, _ := p.Segment(names[i])
		for _, patch := range s.Patches {
			if !slices.Contains(names, patch.To) {
				names = append(names, patch.To)
			}
		}
	}
	for i := range p.Segments {
		if slices.Contains(names, p.Segments[i].Name) {
			joined = append(joined, &p.Segments[i])
		}
	}
	return joined
}

// planPatches plans the pairs of patch ports, whose names no port gets then.
func (p *planner) planPatches(names *namer) {
	for i, s := range p.network.segments {
		for _, other := range s.patches {
			if problem := p.patchProblem(s, other); problem != "" {
				p.wrong("segment %s: patched to %s", shown(s.name), problem)
				continue
			}
			own, its := &p.plan.Segments[i], &p.plan.Segments[p.segments[other]]
			near, far := names.name(s.name+"-"+other.name), names.name(other.name+"-"+s.name)
			own.Patches = append(own.Patches, PatchPlan{Name: near, To: its.Name, Peer: far})
			its.Patches = append(its.Patches, PatchPlan{Name: far, To: own.Name, Peer: near})
		}
	}
}

// patchProblem is why a segment cannot be patched to another, with what to do; "" where it can.
func (p *planner) patchProblem(s, other *Segment) string {
	j, known := p.segments[other]
	switch {
	case !known:
		return foreign(other) + ": declare it in this network"
	case s.kind != KindOVS:
		return fmt.Sprintf("%s: it is a %s itself, which has no patch ports: declare it with OVS", shown(other.name), s.kind)
	case other.kind != KindOVS:
		return fmt.Sprintf("%s: that is a %s, which has no patch ports: declare it with OVS", shown(other.name), other.kind)
	case s == other:
		return "itself: take that out"
	case slices.Contains(p.plan.Patched(s.name), &p.plan.Segments[j]):
		return shown(other.name) + ": patch ports join them already, and frames would go round for ever: take one out"
	}
	return ""
}

// joinPatches makes segments one that patch ports join.
func (p *planner) joinPatches() {
	for i := range p.plan.Segments {
		for _, patch := range p.plan.Segments[i].Patches {
			p.join(i, p.segmentNamed(patch.To))
		}
	}
}

func (p *Plan) writePatches(w io.Writer) {
	head := "\nSEGMENT\tPATCH PORT\tTO\n"
	for i := range p.Segments {
		for _, patch := range p.Segments[i].Patches {
			fmt.Fprintf(w, "%s%s\t%s\t%s %s\n", head, p.Segments[i].Name, patch.Name, patch.To, patch.Peer)
			head = ""
		}
	}
}
