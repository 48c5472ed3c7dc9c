package harness

import (
	"fmt"
	"io"
	"strings"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// links writes every interface with its addresses and counters.
func (s *state) links(w io.Writer) error {
	links, addrs, err := s.linksAndAddrs()
	if err != nil {
		return err
	}
	for _, l := range links {
		fmt.Fprintf(w, "%d: %s: <%s> mtu %d %s", l.Index, s.title(l), linkFlags(l.Flags), l.MTU, l.Kind)
		if l.Master != 0 {
			fmt.Fprintf(w, " master %s", s.name(l.Master))
		}
		if l.Table != 0 {
			fmt.Fprintf(w, " table %d", l.Table)
		}
		if l.Tunnel != (inspect.Tunnel{}) {
			fmt.Fprintf(w, " %s", l.Tunnel)
		}
		fmt.Fprint(w, bridgePortText(l.BridgePort), stpText(l.BridgePort))
		fmt.Fprintf(w, " state %s\n", l.State)
		fmt.Fprintf(w, "    link %s\n", orDash(l.MAC))
		for _, addr := range addrs {
			if addr.Index == l.Index {
				fmt.Fprintf(w, "    %s\n", addrText(addr))
			}
		}
		in, out := l.Counters.Received, l.Counters.Sent
		fmt.Fprintf(w, "    received %d packets, %d bytes, %d dropped, %d errors; sent %d packets, %d bytes, %d dropped, %d errors\n",
			in.Packets, in.Bytes, in.Dropped, in.Errors, out.Packets, out.Bytes, out.Dropped, out.Errors)
	}
	return nil
}

// linksAndAddrs reads both, and notes what the interfaces are called.
func (s *state) linksAndAddrs() ([]inspect.Link, []inspect.Addr, error) {
	links, err := s.in.Links()
	if whole(err) != nil {
		return nil, nil, err
	}
	for _, l := range links {
		s.names[l.Index] = l.Name
	}
	addrs, err := s.in.Addrs()
	return links, addrs, whole(err)
}

// title is an interface and what it is stacked on, or the other end of its pair,
// as ip has it.
func (s *state) title(l inspect.Link) string {
	switch {
	case l.Peer == 0:
		return l.Name
	case l.PeerNamespace >= 0:
		return fmt.Sprintf("%s@if%d (netnsid %d)", l.Name, l.Peer, l.PeerNamespace)
	}
	return l.Name + "@" + s.name(l.Peer)
}

// bridgePortText is what a bridge's port does that is not plain, as bridge(8) has it.
func bridgePortText(p inspect.BridgePort) (text string) {
	for _, word := range []struct {
		is   bool
		text string
	}{{p.Isolated, " isolated on"}, {p.Locked, " locked on"}, {p.NoLearning, " learning off"}, {p.NoFlood, " flood off"}} {
		if word.is {
			text += word.text
		}
	}
	if p.VLANs != nil {
		text += fmt.Sprintf(" vlans pvid %d untagged %v tagged %v", p.VLANs.PVID, p.VLANs.Untagged, p.VLANs.Tagged)
	}
	return text
}

// stpText is the state of a bridge's port that STP keeps from forwarding. It is no part of
// bridgePortText, as it passes.
func stpText(p inspect.BridgePort) string {
	if !p.Waits() {
		return ""
	}
	return " stp " + p.STP
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
	// RUNNING follows when the kernel's link watch has had its turn, up to a second later.
	if flags&unix.IFF_UP != 0 && flags&unix.IFF_LOWER_UP == 0 {
		set = append([]string{"NO-CARRIER"}, set...)
	}
	return strings.Join(set, ",")
}

func addrText(addr inspect.Addr) string {
	text := "inet"
	if addr.Prefix.Addr().Is6() {
		text = "inet6"
	}
	text += " " + addr.Prefix.String()
	if addr.Peer.IsValid() {
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
