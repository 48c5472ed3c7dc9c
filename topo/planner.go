package topo

import (
	"fmt"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"
)

// planner turns a declaration into a plan and gathers what is wrong with it. A
// mistake ends nothing, so that all of them are found; what it leaves unknown is
// noted, so that none is reported that only follows from another.
type planner struct {
	network  *Network
	plan     *Plan
	segments map[*Segment]int
	domain   []int                  // by segment: one that it is one with, or itself
	joined   bool                   // some are one with others
	master   map[end]int            // by interface: the number of its master
	partial  []bool                 // by segment: a prefix of it was a mistake
	doubt    []bool                 // by segment: an address on it was a mistake
	unknown  map[end]bool           // ports of whose segment or addresses little is known
	ends     [][]end                // by segment: its ports
	used     []map[netip.Addr]claim // by segment
	macs     []map[[6]byte]claim    // by segment: those that were chosen
	astray   map[end]bool           // ports over what is a mistake
	carriers []carrier              // of tunnels that pass routers
	mistakes []error
}

// end is a node's port, by number.
type end struct{ node, port int }

// claim is who has an address or a MAC, and whether a second owner is meant.
type claim struct {
	end
	meant bool
}

// Plan checks the declaration and plans it. The error is *Mistakes, all of them.
func (n *Network) Plan() (*Plan, error) {
	if n == nil {
		return nil, noNetwork()
	}
	p := n.planner()
	if err := p.mistaken(); err != nil {
		return nil, err
	}
	if p.plan.index == nil {
		p.plan.index = newIndex(p.plan, p.domains())
	}
	p.automaticRoutes()
	p.carrierRoutes()
	p.planPeers()
	return p.plan, nil
}

// noNetwork is the mistake of a nil Network.
func noNetwork() error {
	p := new(planner)
	p.wrong("there is none: declare one with New")
	return &Mistakes{List: p.mistakes}
}

// planner plans all but the routes that nobody declared.
func (n *Network) planner() *planner {
	n.adopt()
	p := &planner{
		network:  n,
		plan:     &Plan{Name: n.name},
		segments: map[*Segment]int{},
		unknown:  map[end]bool{},
		astray:   map[end]bool{},
	}
	p.mistakes = append(p.mistakes, n.absent...)
	p.checkNames()
	p.checkGone()
	p.planSegments()
	p.planNodes()
	p.checkPorts()
	p.planImpairments()
	p.planAddresses()
	p.deviceAddresses()
	p.planOverlays()
	p.checkMTUs()
	p.checkDeviceMTUs()
	p.declaredRoutes()
	p.checkCarriers()
	p.planRules()
	p.planTexts()
	return p
}

// maxName is the length of a host name's label (RFC 1123).
const maxName = 63

func (p *planner) checkNames() {
	p.checkName("network", p.network.name)
	seen := map[string]int{}
	for i, segment := range p.network.segments {
		p.segments[segment] = i
		p.checkName("segment", segment.name)
		p.checkTwice("segment", segment.name, seen)
	}
	seen = map[string]int{}
	for _, node := range p.network.nodes {
		p.checkName("node", node.name)
		p.checkTwice("node", node.name, seen)
	}
}

func (p *planner) checkName(what, name string) {
	switch {
	case name == "":
		p.wrong("%s without a name: give it one", what)
	case len(name) > maxName:
		p.wrong("%s %s: the name has %d bytes: shorten it to %d", what, shown(name), len(name), maxName)
	case shown(name) != name:
		p.wrong("%s %s: the name has white space or control characters: take them out", what, shown(name))
	}
}

// checkTwice reports a name once, however often it is used again.
func (p *planner) checkTwice(what, name string, seen map[string]int) {
	seen[name]++
	if seen[name] == 2 && name != "" {
		p.wrong("%s %s: declared twice: give each a name of its own", what, shown(name))
	}
}

// shown is a name as messages print it: quoted where it would not be a word.
func shown(name string) string {
	if name == "" || !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}) {
		return fmt.Sprintf("%q", name)
	}
	return name
}

// place is a node, and its port's segment, as messages begin with it.
func (p *planner) place(at end) string {
	node := p.network.nodes[at.node]
	return "node " + shown(node.name) + ": segment " + shown(node.ports[at.port].segment.Name())
}

func (p *planner) nodeName(node int) string { return shown(p.network.nodes[node].name) }
