package inspect

import (
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Link is an interface.
type Link struct {
	Index, Master int
	Name, Kind    string // Kind is veth, bridge and so on; "device" for a plain one
	Up, Carrier   bool
	MTU           int  // bytes
	Isolated      bool // a bridge's port that talks to no other isolated one
	Table         int  // of a VRF
}

func (s *State) readLinks(h *netlink.Handle) error {
	links, err := h.LinkList()
	if err != nil {
		return err
	}
	for _, link := range links {
		s.Links = append(s.Links, linkOf(h, link))
	}
	return nil
}

func linkOf(h *netlink.Handle, link netlink.Link) Link {
	a := link.Attrs()
	l := Link{
		Index: a.Index, Master: a.MasterIndex, Name: a.Name, Kind: link.Type(), MTU: a.MTU,
		Up: a.RawFlags&unix.IFF_UP != 0, Carrier: a.RawFlags&unix.IFF_LOWER_UP != 0,
	}
	if vrf, ok := link.(*netlink.Vrf); ok {
		l.Table = int(vrf.Table)
	}
	if a.MasterIndex != 0 {
		if info, err := h.LinkGetProtinfo(link); err == nil {
			l.Isolated = info.Isolated
		}
	}
	return l
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
