package inspect

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"

	mdlayher "github.com/mdlayher/netlink"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Link is an interface.
type Link struct {
	Index, Master int
	Name, Kind    string // Kind is veth, bridge and so on; "device" for a plain one
	Up, Carrier   bool
	MTU           int    // bytes
	Flags         uint32 // IFF_UP and so on (netdevice(7))
	MAC           string // "" for none
	Encap         string // what its frames are, in ip's word: ether, loopback, none
	State         string // as ip has it: UP, DOWN, LOWERLAYERDOWN, UNKNOWN
	// Peer is the index of what it is stacked on, or of the other end of its pair: 0
	// for none. PeerNamespace is -1 where that is here, and else the kernel's number of
	// where it is.
	Peer, PeerNamespace int
	BridgePort               // of one that is a bridge's port
	Table               int  // of a VRF
	VLAN                int  // the number of a vlan
	Snoops              bool // of a bridge that does multicast snooping
	Tunnel              Tunnel
	XDP                 bool // a program gets its frames before all else
	Counters            Counters
}

// BridgePort is what a bridge's port does that is not plain (bridge(8)).
type BridgePort struct {
	Isolated   bool // it talks to no other isolated one
	Locked     bool // it takes frames from those alone whose MAC has an entry there
	NoLearning bool // what comes in there makes no entries
	NoFlood    bool // frames to a MAC without an entry are not sent there
	// STP is its state as ip has it: disabled, listening, learning, forwarding, blocking.
	STP string
	// VLANs are the port's; nil where the bridge keeps none apart.
	VLANs *BridgeVLANs
}

// stpStates are those of a bridge's port (BR_STATE_*, linux/if_bridge.h).
var stpStates = []string{"disabled", "listening", "learning", "forwarding", "blocking"}

// Waits says whether the port takes frames of nobody, and hands none on, though it may later.
func (p BridgePort) Waits() bool { return p.STP != "" && p.STP != "forwarding" && p.STP != "disabled" }

// Counters are what an interface has received and sent.
type Counters struct{ Received, Sent Traffic }

// Traffic is one way of it.
type Traffic struct{ Packets, Bytes, Dropped, Errors uint64 }

// Links are the interfaces of the namespace. Where the kernel changed them under way
// there are some, and netlink.ErrDumpInterrupted.
func (ns Namespace) Links() ([]Link, error) {
	links, failed := ns.Handle.LinkList()
	if failed != nil && len(links) == 0 {
		return nil, failed
	}
	all, ports, filtering := make([]Link, len(links)), false, map[int]bool{}
	for i, link := range links {
		all[i] = linkOf(link)
		ports = ports || all[i].Master != 0
		if KeepsVLANs(link) {
			filtering[all[i].Index] = true
		}
	}
	if !ports {
		return all, failed
	}
	err := ns.ask(func(c *conn) error {
		ports, err := c.bridgePorts(len(filtering) > 0)
		for i := range all {
			all[i].BridgePort = ports[all[i].Index]
			switch {
			case !filtering[all[i].Master]:
				all[i].VLANs = nil
			case all[i].VLANs == nil: // the kernel tells nothing of a port without any
				all[i].VLANs = new(BridgeVLANs)
			}
		}
		return err
	})
	return all, errors.Join(failed, err)
}

func linkOf(link netlink.Link) Link {
	a := link.Attrs()
	l := Link{
		Index: a.Index, Master: a.MasterIndex, Name: a.Name, Kind: link.Type(), MTU: a.MTU, Flags: a.RawFlags,
		Up: a.RawFlags&unix.IFF_UP != 0, Carrier: a.RawFlags&unix.IFF_LOWER_UP != 0, MAC: a.HardwareAddr.String(), Encap: a.EncapType,
		State: strings.ToUpper(a.OperState.String()), Peer: a.ParentIndex, PeerNamespace: a.NetNsID,
		XDP: a.Xdp != nil && a.Xdp.Attached, Tunnel: tunnelOf(link),
	}
	if vrf, ok := link.(*netlink.Vrf); ok {
		l.Table = int(vrf.Table)
	}
	if vlan, ok := link.(*netlink.Vlan); ok {
		l.VLAN = vlan.VlanId
	}
	if bridge, ok := link.(*netlink.Bridge); ok {
		l.Snoops = bridge.MulticastSnooping != nil && *bridge.MulticastSnooping
	}
	if tun, ok := link.(*netlink.Tuntap); ok {
		l.Kind = tun.Mode.String()
	}
	if c := a.Statistics; c != nil {
		l.Counters = Counters{Traffic{c.RxPackets, c.RxBytes, c.RxDropped, c.RxErrors}, Traffic{c.TxPackets, c.TxBytes, c.TxDropped, c.TxErrors}}
	}
	return l
}

// bridgePorts are the ports of bridges, by index, with their VLANs if that is wanted: one dump
// for all of them.
func (c *conn) bridgePorts(vlans bool) (map[int]BridgePort, error) {
	header := make([]byte, unix.SizeofIfInfomsg)
	header[0] = unix.AF_BRIDGE
	var more *mdlayher.AttributeEncoder
	if vlans {
		more = askVLANs()
	}
	answers, err := c.ask(unix.RTM_GETLINK, unix.NLM_F_DUMP, header, more)
	ports := map[int]BridgePort{}
	for _, answer := range answers {
		if len(answer) < unix.SizeofIfInfomsg {
			continue
		}
		index := int(binary.NativeEndian.Uint32(answer[4:]))
		attributes, err := mdlayher.NewAttributeDecoder(answer[unix.SizeofIfInfomsg:])
		if err != nil {
			return ports, err
		}
		for attributes.Next() {
			switch attributes.Type() {
			case unix.IFLA_PROTINFO:
				attributes.Nested(func(port *mdlayher.AttributeDecoder) error {
					own := bridgePortOf(port)
					own.VLANs = ports[index].VLANs
					ports[index] = own
					return nil
				})
			case unix.IFLA_AF_SPEC:
				attributes.Nested(func(spec *mdlayher.AttributeDecoder) error {
					own := ports[index]
					own.VLANs = bridgeVLANsOf(spec)
					ports[index] = own
					return nil
				})
			}
		}
	}
	return ports, err
}

func bridgePortOf(attributes *mdlayher.AttributeDecoder) (p BridgePort) {
	for attributes.Next() {
		switch attributes.Type() {
		case unix.IFLA_BRPORT_STATE:
			if state := int(attributes.Uint8()); state < len(stpStates) {
				p.STP = stpStates[state]
			}
		case unix.IFLA_BRPORT_ISOLATED:
			p.Isolated = attributes.Uint8() != 0
		case unix.IFLA_BRPORT_LOCKED:
			p.Locked = attributes.Uint8() != 0
		case unix.IFLA_BRPORT_LEARNING:
			p.NoLearning = attributes.Uint8() == 0
		case unix.IFLA_BRPORT_UNICAST_FLOOD:
			p.NoFlood = attributes.Uint8() == 0
		}
	}
	return p
}

// Link is the interface of an index; the zero Link when there is none.
func (s *State) Link(index int) Link {
	return s.linkThat(func(l Link) bool { return l.Index == index })
}

// LinkNamed is the interface of a name; the zero Link when there is none.
func (s *State) LinkNamed(name string) Link {
	return s.linkThat(func(l Link) bool { return l.Name == name })
}

func (s *State) linkThat(is func(Link) bool) Link {
	at := slices.IndexFunc(s.Links, is)
	if at < 0 {
		return Link{}
	}
	return s.Links[at]
}
