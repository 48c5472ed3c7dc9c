package harness

import (
	"slices"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/topo"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
)

// Islands are the lab's nodes in groups: any chain of links, bridges and tunnels joins
// those of one group, as the kernels have them at this moment, and none joins two groups:
// no packet gets from one to the other, whatever routes and rules say. A node joins its
// links, whether it forwards or not. What is outside of the lab counts as one node: two
// links that lead there, or to programs (tun, tap), or are of a kind that is not known,
// are taken as joined. What programs carry from node to node by other means is not seen.
//
// The nodes in still are known not to forward: each of their links is joined only to what
// it is stacked on, and they are in groups of their own.
func (l *Lab) Islands(still ...*Node) ([][]*Node, error) {
	l = l.here()
	if err := l.exists(); err != nil {
		return nil, at(err, "islands of lab %s", l.Name())
	}
	j := &joints{lab: l, leader: map[joint]joint{}, apart: map[*ground]bool{}}
	for _, node := range still {
		j.apart[node.here().ground] = true
	}
	if l.now().fabric != nil {
		j.apart[l.now().fabric] = true
	}
	for _, node := range l.now().nodes {
		if err := j.read(node.ground, node.name); err != nil {
			return nil, at(err, "look at the links of node %s", node.name)
		}
	}
	if l.now().fabric != nil {
		if err := j.read(l.now().fabric, ""); err != nil {
			return nil, at(err, "look at the switches")
		}
		if err := j.openVSwitches(); err != nil {
			return nil, err
		}
	}
	var islands [][]*Node
	of := map[joint]int{}
	for _, node := range l.now().nodes {
		leader := j.leads(joint{ground: node.ground})
		if _, known := of[leader]; !known {
			of[leader], islands = len(islands), append(islands, nil)
		}
		islands[of[leader]] = append(islands[of[leader]], node)
	}
	return islands, nil
}

// joint is what joins links: a node, or in the fabric a bridge, or a link that is on none; of
// nodes that hand nothing on, a link.
// The zero joint is what is outside of the lab.
type joint struct {
	ground *ground
	device int
	vlan   int // of a switch that keeps VLANs apart
}

// joints are the joints of a lab, each with another that it is joined to.
type joints struct {
	lab    *Lab
	leader map[joint]joint
	apart  map[*ground]bool // those whose links are by themselves
}

// leads is the joint that stands for all that one is joined to.
func (j *joints) leads(a joint) joint {
	for {
		leader, ok := j.leader[a]
		if !ok {
			return a
		}
		a = leader
	}
}

func (j *joints) join(a, b joint) {
	if a, b = j.leads(a), j.leads(b); a != b {
		j.leader[a] = b
	}
}

// read joins what the links of a namespace join.
func (j *joints) read(g *ground, name string) error {
	return once(g.enter, func() error {
		links, err := netlink.LinkList()
		if err != nil {
			return err
		}
		filtering, vlans, err := vlansOfLinks(links)
		if err != nil {
			return err
		}
		for _, link := range links {
			a := link.Attrs()
			if !j.apart[g] || a.MasterIndex == 0 {
				continue
			}
			own := joint{ground: g, device: a.Index}
			if !filtering[a.MasterIndex] {
				j.join(own, joint{ground: g, device: a.MasterIndex})
			}
			for _, vlan := range vlans[int32(a.Index)] {
				if filtering[a.MasterIndex] {
					j.join(own, joint{g, a.MasterIndex, int(vlan.Vid)})
				}
			}
		}
		for _, link := range links {
			if err := j.link(g, name, link); err != nil {
				return err
			}
		}
		return nil
	})
}

// vlansOfLinks are the bridges among links that keep VLANs apart, and the VLANs of their ports.
// The calling thread is in their namespace.
func vlansOfLinks(links []netlink.Link) (filtering map[int]bool, vlans map[int32][]*nl.BridgeVlanInfo, err error) {
	filtering = map[int]bool{}
	for _, link := range links {
		if inspect.KeepsVLANs(link) {
			filtering[link.Attrs().Index] = true
		}
	}
	if len(filtering) > 0 {
		vlans, err = netlink.BridgeVlanList()
	}
	return filtering, vlans, err
}

// closed are the kinds of link whose other end, if any, the kernel tells: in this
// namespace, or in that of IFLA_LINK_NETNSID.
var closed = []string{
	"bond", "bridge", "dummy", "erspan", "geneve", "gre", "gretap", "ifb", "ip6erspan", "ip6gre", "ip6gretap", "ip6tnl", "ipip", "ipvlan",
	"ipvtap", "macsec", "macvlan", "netkit", "nlmon", "sit", "team", "veth", "vlan", "vrf", "vti", "vti6", "vxlan", "wireguard", "xfrm",
}

// link joins a link's namespace and where its other end is. The calling thread is in the
// namespace.
func (j *joints) link(g *ground, name string, link netlink.Link) error {
	a, own := link.Attrs(), joint{ground: g}
	if j.apart[g] {
		own.device = a.Index
	}
	switch {
	case a.Name == "lo":
	case !slices.Contains(closed, link.Type()):
		j.join(own, joint{})
	case a.NetNsID >= 0:
		other, err := j.at(a.NetNsID, name)
		if err != nil {
			return err
		}
		end := joint{ground: other}
		if j.apart[other] {
			end.device = a.ParentIndex
		}
		j.join(own, end)
	case j.apart[g] && a.ParentIndex != 0:
		j.join(own, joint{ground: g, device: a.ParentIndex})
	}
	return nil
}

// at is the lab's namespace that the calling thread's knows by a number; nil for one that
// is none of the lab's. Those that the plan has at the other end are asked about first.
func (j *joints) at(id int, name string) (*ground, error) {
	candidates := make([]*ground, 0, len(j.lab.now().nodes)+1)
	if j.lab.now().fabric != nil {
		candidates = append(candidates, j.lab.now().fabric)
	}
	near := func(node *Node) bool {
		return slices.ContainsFunc(node.planned().Ports, func(p topo.PortPlan) bool { return j.onSegment(name, p.Segment) })
	}
	for _, wanted := range []bool{true, false} {
		for _, node := range j.lab.now().nodes {
			if near(node) == wanted {
				candidates = append(candidates, node.ground)
			}
		}
	}
	for _, g := range candidates {
		got, err := g.id()
		if err != nil {
			return nil, err
		}
		if got == id {
			return g, nil
		}
	}
	return nil, nil
}

// onSegment says whether a node is on a segment.
func (j *joints) onSegment(name, segment string) bool {
	node, ok := j.lab.now().byName[name]
	return ok && slices.ContainsFunc(node.planned().Ports, func(p topo.PortPlan) bool { return p.Segment == segment })
}

// id is the number that the calling thread's namespace knows this one by; -1 for none.
func (n *namespace) id() (int, error) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if n.fd < 0 {
		return 0, errDown
	}
	return netlink.GetNetNsIdByFd(n.fd)
}
