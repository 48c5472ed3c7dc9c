package watch

import (
	"fmt"
	"slices"

	"github.com/nstest/nstest/probes/internal/account"
	"github.com/vishvananda/netlink"
)

// device is an interface of a node.
type device struct {
	account.Link
	ofBridge bool // it is a port of one
	// tags are those of the VLANs that are on it.
	tags []int
}

// takes says whether it takes frames with the tag of a VLAN: one that is on it does, or what it is a
// port of. The kernel takes another one for somebody else's (netif_receive_skb, net/core/dev.c).
func (d device) takes(tag int) bool { return tag == 0 || d.Master != 0 || slices.Contains(d.tags, tag) }

// device is the interface of an index.
func (p *point) device(index int) device {
	if p.devices == nil {
		p.readDevices()
	}
	d, ok := p.devices[index]
	if !ok {
		d.Name = fmt.Sprintf("if%d", index) // it came and went
	}
	return d
}

func (p *point) readDevices() {
	p.devices = map[int]device{}
	links, err := p.node.Netlink().LinkList()
	if err != nil {
		return
	}
	bridges := map[int]bool{}
	for _, link := range links {
		bridges[link.Attrs().Index] = link.Type() == "bridge"
	}
	for _, link := range links {
		p.devices[link.Attrs().Index] = device{Link: linkOf(link), ofBridge: bridges[link.Attrs().MasterIndex]}
	}
	for _, link := range links {
		if vlan, is := link.(*netlink.Vlan); is && vlan.NetNsID < 0 {
			lower := p.devices[vlan.ParentIndex]
			lower.tags = append(lower.tags, vlan.VlanId)
			p.devices[vlan.ParentIndex] = lower
		}
	}
}

// The kinds of interface that are on another, and those whose packets travel inside
// others.
var (
	upperKinds  = []string{"vlan", "macvlan", "macvtap", "ipvlan", "ipvtap", "macsec"}
	tunnelKinds = []string{
		"wireguard", "gre", "gretap", "ip6gre", "ip6gretap", "vxlan", "geneve", "ipip", "sit", "ip6tnl", "vti", "vti6", "xfrm", "tuntap", "erspan", "bareudp",
	}
)

func linkOf(link netlink.Link) account.Link {
	a, kind := link.Attrs(), link.Type()
	l := account.Link{
		Index: a.Index, Name: a.Name, Master: a.MasterIndex,
		Bridge: kind == "bridge", Tunnel: slices.Contains(tunnelKinds, kind), Loopback: a.Name == "lo",
	}
	if slices.Contains(upperKinds, kind) && a.NetNsID < 0 {
		l.Lower = a.ParentIndex
	}
	return l
}
