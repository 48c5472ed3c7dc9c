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
}

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
		p.devices[link.Attrs().Index] = device{linkOf(link), bridges[link.Attrs().MasterIndex]}
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
