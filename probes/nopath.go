package probes

import (
	"fmt"
	"slices"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/verdict"
	"github.com/nstest/nstest/topo"
)

// paths says which nodes of a lab nothing joins. It is for one check: what joins them is
// read from the kernels once, and only when the plan has no path between two.
type paths struct {
	planned map[*harness.Lab]map[string]int // the part of the plan that a node is in
	found   map[*harness.Lab]map[*harness.Node]int
	carried map[*harness.Node]bool // whether a program in its island gets packets
	still   map[stillKey]bool      // whether a node hands on nothing
}

// apart says whether no chain of links joins the asker of a result and its target: neither
// the plan nor the kernels have one.
func (p *paths) apart(r Result) (bool, error) {
	if r.target == nil || r.from == nil || r.target.Lab() != r.from.Lab() || r.from.Alone() || r.delivered() || r.cameToTarget() {
		return false, nil
	}
	lab := r.from.Lab()
	if p.planned == nil {
		p.planned, p.found = map[*harness.Lab]map[string]int{}, map[*harness.Lab]map[*harness.Node]int{}
	}
	parts, known := p.planned[lab]
	if !known {
		parts = partsOf(lab.Plan())
		p.planned[lab] = parts
	}
	if parts[r.from.Name()] == parts[r.target.Name()] {
		return p.apartButFor(r)
	}
	found, known := p.found[lab]
	if !known {
		islands, err := lab.Islands()
		if err != nil {
			return false, fmt.Errorf("look for a path from %s to %s: %w", r.from, r.target, err)
		}
		found = numbered(islands)
		p.found[lab] = found
	}
	return p.separate(r, found)
}

// numbered is the island that each node is in.
func numbered(islands [][]*harness.Node) map[*harness.Node]int {
	found := map[*harness.Node]int{}
	for i, island := range islands {
		for _, node := range island {
			found[node] = i
		}
	}
	return found
}

// separate says whether the two are in islands between which no program carries packets.
func (p *paths) separate(r Result, found map[*harness.Node]int) (bool, error) {
	if found[r.from] == found[r.target] {
		return false, nil
	}
	for _, end := range []*harness.Node{r.from, r.target} {
		if carries, err := p.carries(found, end); err != nil || !carries {
			return err == nil, err
		}
	}
	return false, nil // programs at both may be a cable between them
}

// carries says whether a program at a node of an end's island gets packets that are not for
// it, which it may carry to another.
func (p *paths) carries(found map[*harness.Node]int, end *harness.Node) (bool, error) {
	if is, known := p.carried[end]; known {
		return is, nil
	}
	if p.carried == nil {
		p.carried = map[*harness.Node]bool{}
	}
	is := false
	for node, island := range found {
		if is || island != found[end] {
			continue
		}
		err := node.Do(func() error {
			sees, err := seesNothing(node)
			is = !sees
			return err
		})
		if err != nil {
			return false, fmt.Errorf("look for programs that get packets at node %s: %w", node, err)
		}
	}
	p.carried[end] = is
	return is, nil
}

// explain gives a result the cause that nothing joins the two, where that is so. Whoever
// answered instead has but the same address. A switch that was seen to keep the two in VLANs of
// their own is named itself.
func (p *paths) explain(r *Result) error {
	if r.Cause != nil && r.Cause.Kind == evidence.PortVLAN {
		return nil
	}
	apart, err := p.apart(*r)
	if err == nil && apart {
		cause := verdict.NoPath(r.from.Name(), r.target.Name())
		r.Cause = &cause
	}
	return err
}

// noPath says whether nothing joins the asker and the target.
func (r Result) noPath() bool { return r.Cause != nil && r.Cause.Kind == evidence.NoPath }

// partsOf are the parts of a plan that segments join, by node.
func partsOf(plan *topo.Plan) map[string]int {
	parts := map[string]int{}
	for i, node := range plan.Nodes {
		parts[node.Name] = i
	}
	join := func(ports []topo.PortRef) {
		var joined []int
		for _, port := range ports {
			joined = append(joined, parts[port.Node])
		}
		if len(joined) < 2 {
			return
		}
		for name, part := range parts {
			if slices.Contains(joined, part) {
				parts[name] = joined[0]
			}
		}
	}
	for _, segment := range plan.Segments {
		vlans := plan.VLANs(segment.Name)
		if vlans == nil {
			join(segment.Ports)
		}
		for _, ports := range vlans {
			join(ports)
		}
	}
	return parts
}
