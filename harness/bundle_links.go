package harness

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// links writes every interface with its addresses and counters.
func (s *state) links(w io.Writer) error {
	links, err := s.handle.LinkList()
	if whole(err) != nil {
		return err
	}
	for _, link := range links {
		s.names[link.Attrs().Index] = link.Attrs().Name
	}
	addrs, err := s.handle.AddrList(nil, netlink.FAMILY_ALL)
	if whole(err) != nil {
		return err
	}
	isolated := s.isolated(links)
	for _, link := range links {
		a := link.Attrs()
		fmt.Fprintf(w, "%d: %s: <%s> mtu %d %s", a.Index, s.title(a), linkFlags(a.RawFlags), a.MTU, link.Type())
		if a.MasterIndex != 0 {
			fmt.Fprintf(w, " master %s", s.name(a.MasterIndex))
		}
		if isolated[a.Index] {
			fmt.Fprint(w, " isolated on")
		}
		fmt.Fprintf(w, " state %s\n", strings.ToUpper(a.OperState.String()))
		fmt.Fprintf(w, "    link %s\n", orDash(a.HardwareAddr.String()))
		for _, addr := range addrs {
			if addr.LinkIndex == a.Index {
				fmt.Fprintf(w, "    %s\n", addrText(addr))
			}
		}
		if c := a.Statistics; c != nil {
			fmt.Fprintf(w, "    received %d packets, %d bytes, %d dropped, %d errors; sent %d packets, %d bytes, %d dropped, %d errors\n",
				c.RxPackets, c.RxBytes, c.RxDropped, c.RxErrors, c.TxPackets, c.TxBytes, c.TxDropped, c.TxErrors)
		}
	}
	return nil
}

// title is an interface and what it is stacked on, or the other end of its pair,
// as ip has it.
func (s *state) title(a *netlink.LinkAttrs) string {
	switch {
	case a.ParentIndex == 0:
		return a.Name
	case a.NetNsID >= 0:
		return fmt.Sprintf("%s@if%d (netnsid %d)", a.Name, a.ParentIndex, a.NetNsID)
	}
	return a.Name + "@" + s.name(a.ParentIndex)
}

// isolated are the ports of bridges that reach no other isolated port. Each is
// asked for at a price that grows with their number.
func (s *state) isolated(links []netlink.Link) map[int]bool {
	const most = 64
	isolated := map[int]bool{}
	ports := slices.DeleteFunc(slices.Clone(links), func(l netlink.Link) bool { return l.Attrs().MasterIndex == 0 })
	for _, link := range ports[:min(len(ports), most)] {
		if info, err := s.handle.LinkGetProtinfo(link); whole(err) == nil {
			isolated[link.Attrs().Index] = info.Isolated
		}
	}
	return isolated
}

type flagName struct {
	flag uint32
	name string
}

// flagNames are the names of the flags that are set.
func flagNames(flags uint32, names []flagName) []string {
	var set []string
	for _, f := range names {
		if flags&f.flag != 0 {
			set = append(set, f.name)
		}
	}
	return set
}

func linkFlags(flags uint32) string {
	set := flagNames(flags, []flagName{
		{unix.IFF_LOOPBACK, "LOOPBACK"}, {unix.IFF_BROADCAST, "BROADCAST"}, {unix.IFF_POINTOPOINT, "POINTOPOINT"},
		{unix.IFF_MULTICAST, "MULTICAST"}, {unix.IFF_NOARP, "NOARP"}, {unix.IFF_ALLMULTI, "ALLMULTI"},
		{unix.IFF_PROMISC, "PROMISC"}, {unix.IFF_UP, "UP"}, {unix.IFF_LOWER_UP, "LOWER_UP"},
	})
	if flags&unix.IFF_UP != 0 && flags&unix.IFF_RUNNING == 0 {
		set = append([]string{"NO-CARRIER"}, set...)
	}
	return strings.Join(set, ",")
}

func addrText(addr netlink.Addr) string {
	text := "inet"
	if addr.IP.To4() == nil {
		text = "inet6"
	}
	text += " " + addr.IPNet.String()
	if addr.Peer != nil && !addr.Peer.IP.Equal(addr.IP) {
		text += " peer " + addr.Peer.String()
	}
	text += " scope " + scopeText(netlink.Scope(addr.Scope))
	return strings.Join(append([]string{text}, flagNames(uint32(addr.Flags), []flagName{
		{unix.IFA_F_TENTATIVE, "tentative"}, {unix.IFA_F_DADFAILED, "dadfailed"}, {unix.IFA_F_DEPRECATED, "deprecated"},
		{unix.IFA_F_SECONDARY, "secondary"}, {unix.IFA_F_NOPREFIXROUTE, "noprefixroute"},
	})...), " ")
}

// scopeText calls the widest scope as ip does.
func scopeText(scope netlink.Scope) string {
	if scope == netlink.SCOPE_UNIVERSE {
		return "global"
	}
	return scope.String()
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
